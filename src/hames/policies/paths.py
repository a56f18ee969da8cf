"""Path patterns of rules, compared component by component."""

from fnmatch import fnmatchcase
from posixpath import isabs, join, normpath

import msgspec

from hames.core.errors import ConfigError


class PathPattern(msgspec.Struct, frozen=True):
    """A pattern under a root. `anywhere`: it has no slash, so it may match at any depth."""

    root: tuple[str, ...]
    parts: tuple[str, ...]
    anywhere: bool

    def matches(self, path: str, *, below: bool) -> bool:
        """Whether `path` (absolute) fits. `below`: also when a directory above it does."""
        parts = _parts(path)
        depth = len(self.root)
        if parts[:depth] != self.root:
            return False
        wanted = ("**", *self.parts) if self.anywhere else self.parts
        return _fits(wanted, parts[depth:], below)

    def literal(self) -> str | None:
        """The path that the pattern stands for, with all below it; None when it has wildcards.

        For a name at any depth it is the one in the root itself.
        """
        parts = self.parts[:-1] if self.parts[-1:] == ("**",) else self.parts
        if any(_is_glob(part) for part in parts):
            return None
        return "/" + "/".join((*self.root, *parts))


def read_pattern(text: str, workspace: str, home: str) -> PathPattern:
    """Read a pattern as people write it: `//etc/x` from the root, `~/x` from the home directory, and
    `/x`, `./x` and `x/y` from the workspace; `x` alone at any depth below the workspace. `x/` is `x/**`.

    Raises `ConfigError` when it cannot be compared by components.
    """
    if text.startswith("//"):
        base, rest = "/", text[2:]
    elif text == "~" or text.startswith("~/"):
        base, rest = home, text[2:]
    else:
        base, rest = workspace, text.removeprefix("./").lstrip("/")
    parts = [part for part in rest.split("/") if part not in ("", ".")]
    while parts and parts[0] == "..":
        base = normpath(join(base, ".."))
        del parts[0]
    if ".." in parts:
        raise ConfigError(f'the path pattern "{text}" has ".." in the middle; write the path without it')
    anywhere = len(parts) == 1 and parts[0] != "**" and not text.startswith(("/", "./", "../", "~"))
    if text.endswith("/") or not parts:
        parts.append("**")
    return PathPattern(_parts(base), tuple(parts), anywhere)


def inside(path: str, roots: tuple[str, ...]) -> bool:
    """Whether `path` is one of `roots` or below one, after `..` is resolved. A relative path is not."""
    if not isabs(path):
        return False
    parts = _parts(path)
    return any(parts[: len(root)] == root for root in map(_parts, roots))


def _parts(path: str) -> tuple[str, ...]:
    return tuple(part for part in normpath(path).split("/") if part)


def _is_glob(part: str) -> bool:
    return any(letter in part for letter in "*?[")


def _fits(wanted: tuple[str, ...], parts: tuple[str, ...], below: bool) -> bool:
    """Dynamic programming over the components: `reached` holds how many of `parts` may be used up."""
    reached = {0}
    for part in wanted:
        if part == "**":
            reached = set(range(min(reached), len(parts) + 1))
        else:
            reached = {used + 1 for used in reached if used < len(parts) and fnmatchcase(parts[used], part)}
        if not reached:
            return False
    return below or len(parts) in reached
