"""What is wrong with a setting, in words for a person: the key with its whole path, and the fix."""

from collections.abc import Iterable, Mapping
from typing import cast

from hames.core.errors import ConfigError
from hames.core.nearest import hint

Words = Mapping[str, tuple[str, ...]]
"""By key, the words that it takes, where these are few."""


def check_keys(table: Mapping[str, object], known: Iterable[str], under: str, where: str) -> None:
    """Raises `ConfigError` for a key that is not `known`. `under` is the path of the table, with a point."""
    for key in table:
        if key not in known:
            better = hint(key, known) or f"; the keys are {', '.join(known)}"
            raise ConfigError(f'{where}: there is no setting "{under}{spelled(key)}"{better}')


def as_table(value: object, path: str, where: str) -> Mapping[str, object]:
    """`value` as a table. Raises `ConfigError`."""
    if not isinstance(value, dict):
        raise ConfigError(f'{where}: "{path}": expected table, got {type(value).__name__}')
    return cast(Mapping[str, object], value)


def explain(error: str, table: Mapping[str, object], under: str, words: Words) -> str:
    """The decoder's words about a value, as words for a person."""
    problem, _, place = error.partition(" - at `$.")
    key = place.rstrip("`")
    few = words.get(key.partition("[")[0])
    if few:
        return f'"{under}{key}" is one of {", ".join(few)}'
    for word, plain in (("`", ""), (" | null", ""), ("object", "table"), ("Expected", "expected")):
        problem = problem.replace(word, plain)
    found = table.get(key)
    got = f", got {found:g}" if "got" not in problem and isinstance(found, int | float) else ""
    return f'"{under}{key}": {problem}{got}'


def spelled(key: str) -> str:
    """A key as TOML has it in a path."""
    return key if key and key.replace("-", "").replace("_", "").isalnum() and key.isascii() else f'"{key}"'
