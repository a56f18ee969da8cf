"""`hames models`: what is known of each model, and whether the key for it is there."""

from collections.abc import Iterator, Sequence

import msgspec

from hames.assembly.endpoint import own_address
from hames.assembly.settings import Settings
from hames.assembly.standard_streams import print_lines
from hames.core.errors import ExitCode, UsageError
from hames.core.profiles import PeakHours, Price, Provider, WireName
from hames.models.profiles import ANY_MODEL, default_model

DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
HEADING = ("model", "window", "output", "hit", "miss", "out", "sees", "key", "wire", "address")


class Row(msgspec.Struct, frozen=True):
    """One model. With `any` the provider takes more than it lists, and these are guesses for those.

    `key_env` is the name of the variable for the key, `key_set` whether it is there: empty and true where
    none is needed.
    """

    provider: str
    model: str
    any: bool
    default: bool
    wire: WireName
    base_url: str
    window: int
    max_output: int
    price: Price | None
    long_input: int
    long_price: Price | None
    peak: PeakHours | None
    sees: bool
    aliases: tuple[str, ...]
    concurrency: int | None
    key_env: str
    key_set: bool


def list_models(settings: Settings, wanted: str, *, as_json: bool) -> ExitCode:
    """The models with `wanted` in their name, as a table or as JSON lines. Raises `UsageError` for none."""
    rows = [row for row in _rows(settings) if wanted.casefold() in _searched(row).casefold()]
    if not rows:
        raise UsageError(f"no model has {wanted!r} in its name: `hames models` shows all")
    print_lines((msgspec.json.encode(row).decode() for row in rows) if as_json else _table(rows))
    return ExitCode.DONE


def _rows(settings: Settings) -> Iterator[Row]:
    for provider in settings.providers.values():
        yield from _rows_of(settings, provider)


def _rows_of(settings: Settings, provider: Provider) -> Iterator[Row]:
    usual = default_model(provider)
    for model, facts in provider.models.items():
        yield Row(
            provider=provider.name,
            model=model,
            any=model == ANY_MODEL,
            default=model == usual or usual in facts.aliases,
            wire=provider.wire,
            base_url=own_address(settings.environ, provider),
            window=facts.window,
            max_output=facts.max_output,
            price=facts.price,
            long_input=facts.long_input,
            long_price=facts.long_price,
            peak=provider.peak,
            sees=facts.sees,
            aliases=facts.aliases,
            concurrency=facts.concurrency or provider.concurrency,
            key_env=provider.key_env,
            key_set=not provider.key_env or settings.environ.secret(provider.key_env) is not None,
        )


def _searched(row: Row) -> str:
    return " ".join((f"{row.provider}/{row.model}", *row.aliases))


def _table(rows: Sequence[Row]) -> Iterator[str]:
    cells = [HEADING, *(_cells(row) for row in rows)]
    widths = [max(len(line[column]) for line in cells) for column in range(len(HEADING))]
    for line in cells:
        padded = (
            cell.rjust(width) if 1 <= column <= 5 else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(line, widths, strict=True))
        )
        yield "  ".join(padded).rstrip()
    yield ""
    yield "Prices are US dollars for a million tokens: input read from the cache, other input, output."
    yield "A dash: not known; set it in [providers.NAME.models.MODEL]. NAME: any that the server has."
    for row in rows:
        if row.long_price is not None:
            long = " / ".join(_dollars(row.long_price))
            yield f"{row.provider}/{row.model}: {long} with more than {row.long_input:,} tokens of input."
    for name, peak in {row.provider: row.peak for row in rows if row.peak is not None}.items():
        yield f"{name}: {_peak(peak)}"


def _cells(row: Row) -> tuple[str, ...]:
    name = f"{row.provider}/{'NAME' if row.any else row.model}"
    key = f"{row.key_env} {'is set' if row.key_set else 'is not set'}" if row.key_env else "none needed"
    return (
        f"{name} (default)" if row.default else name,
        _tokens(row.window),
        _tokens(row.max_output),
        *_dollars(row.price),
        "yes" if row.sees else "no",
        key,
        row.wire,
        row.base_url or "--base-url URL",
    )


def _tokens(count: int) -> str:
    for size, unit in ((1_000_000, "M"), (1_000, "k")):
        if count >= size:
            return f"{count / size:.3g}{unit}"
    return str(count)


def _dollars(price: Price | None) -> tuple[str, str, str]:
    if price is None:
        return ("-", "-", "-")
    return (_amount(price.hit), _amount(price.miss), _amount(price.output))


def _amount(dollars: float) -> str:
    """At least cents, and no digit of a small price lost."""
    digits = f"{dollars:.6f}".rstrip("0")
    return f"{dollars:.2f}" if len(digits.partition(".")[2]) < 2 else digits


def _peak(peak: PeakHours) -> str:
    days = ", ".join(DAYS[day] for day in peak.days)
    hours = " and ".join(f"{first:02}:00 to {end:02}:00" for first, end in peak.hours)
    return f"prices times {peak.factor:g} on {days} from {hours} UTC."
