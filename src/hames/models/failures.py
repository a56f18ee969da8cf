"""What a failed attempt was: from a status, headers and an error body to a `ModelError`. Pure."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime

import msgspec

from hames.core.errors import FailureKind, ModelError
from hames.core.text import one_line

SHOWN_CHARS = 400
"""This much of a server's own words is shown."""

_OVERFLOW = (
    "context_length",
    "context length",
    "context size",
    "context window",
    "context_size",
    "maximum context",
    "exceed context limit",
    "prompt is too long",
    "prompt too long",
    "input is too long",
    "range of input length",
    "too many input tokens",
    "exceeded model token limit",
    "exceeds max length",
    "maximum prompt length",
    "exceeds the maximum allowed length",
)
_BALANCE = (
    "insufficient_quota",
    "insufficient balance",
    "balance",
    "billing",
    "credit",
    "arrears",
    "欠费",
    "余额",
)
_REFUSED = ("content_filter", "content exists risk", "data_inspection", "content_policy", "sensitive content")
_NO_KEY = ("invalid_api_key", "invalid api key", "incorrect api key", "api key not valid")
_NO_MODEL = ("model_not_found", "unknown model", "invalid model", "no such model", "model names are")
# The types of an error event that say more than that the server is in trouble.
_TYPES: dict[str, FailureKind] = {
    "invalid_request_error": "rejected",
    "authentication_error": "auth",
    "permission_error": "auth",
    "billing_error": "balance",
    "not_found_error": "unknown_model",
    "request_too_large": "overflow",
}
# Patterns are compiled when first used: most runs never fail.
_MODEL_MISSING = r"\bmodel\b.{0,100}\b(?:not exist|not found|not available)\b"
# OpenAI, vLLM, DeepSeek, OpenRouter, xAI; SGLang; Anthropic; Moonshot; Bailian; llama.cpp, Ollama. A number
# that stands alone in brackets is the code of an error: MiniMax.
_WINDOW = (
    r"(?:maximum )?(?:context|input|prompt) length (?:is|of)(?: only)? ([\d,]+)"
    r"|context (?:window|length|size)[^\d]{0,40}?([\d,]{4,})(?![\d,]*\))"
    r"|maximum allowed length \(([\d,]+)"
    r"|> ([\d,]+) maximum"
    r"|context limit: [\d,]+ \+ [\d,]+ > ([\d,]+)"
    r"|model token limit: ([\d,]+)"
    r"|input length should be \[\d+, ?([\d,]+)\]"
    r"|n_ctx\D{0,10}([\d,]+)"
)
_WINDOW_LEAST = 1024
_MONTHS: tuple[str, ...] = (
    "jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec",
)  # fmt: skip
_SPAN = r"(\d+(?:\.\d+)?)(ms|s|m|h|d)"
_SPAN_S = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_EPOCH_S = 1_000_000_000.0
_EPOCH_MS = 1_000_000_000_000.0


class About(msgspec.Struct, frozen=True):
    """What a message to the person names. `host` is that of the base URL, `key_env` where the key is."""

    host: str
    model: str
    key_env: str


class _Detail(msgspec.Struct, frozen=True):
    message: str | None = None
    type: str | None = None
    code: str | int | None = None
    status: str | int | None = None
    n_ctx: int | None = None
    metadata: msgspec.Raw = msgspec.Raw()


class _Relayed(msgspec.Struct, frozen=True):
    """What a gateway passes on of the error of the provider behind it."""

    raw: str | None = None


class _Envelope(msgspec.Struct, frozen=True):
    error: _Detail | str | None = None
    message: str | None = None
    code: str | int | None = None
    detail: msgspec.Raw = msgspec.Raw()


def status_failure(
    status: int, headers: Mapping[str, str], body: bytes, about: About, now: float
) -> ModelError:
    """The failure behind a response that is not 200. `now` is the wall clock."""
    detail = _read(body)
    words = _shown(detail.message or "")
    wait_s = asked_wait(headers, now) if status == 429 or status >= 500 else None
    kind = _status_kind(status, _tags(detail), wait_s)
    said = _message(kind, status, words, about)
    return ModelError(kind, said, status=status, wait_s=wait_s, raw=body, window=_window(kind, detail))


def stream_failure(error: bytes, name: str, raw: bytes) -> ModelError:
    """The failure behind an error event in a stream that had begun, of which `raw` has come. `name` is of the
    provider."""
    detail = _read(b'{"error":' + error + b"}")
    tags = _tags(detail)
    code = detail.code if isinstance(detail.code, int) else None
    status = code if code is not None and 400 <= code < 600 else None
    kind: FailureKind = "overload"
    if status is not None and status != 404:
        kind = _status_kind(status, tags, None)
    elif "rate_limit" in tags or "too many requests" in tags:
        kind = "rate"
    else:
        kind = _named_kind(tags) or _TYPES.get(detail.type or "", kind)
    said = f"{name} broke off with an error: {_shown(detail.message or 'no reason given')}"
    return ModelError(kind, said, raw=raw, window=_window(kind, detail))


def _window(kind: FailureKind, detail: _Detail) -> int | None:
    if kind != "overflow":
        return None
    return detail.n_ctx or _named_window(detail.message or "")


def _named_window(words: str) -> int | None:
    """The size of the context window, in tokens, that a server names when it finds a request too long."""
    found = re.search(_WINDOW, words.lower())
    if found is None:
        return None
    digits = next(group for group in found.groups() if group is not None)
    size = int(digits.replace(",", ""))
    return size if size >= _WINDOW_LEAST else None


def asked_wait(headers: Mapping[str, str], now: float) -> float | None:
    """How long the server asks us to wait, in seconds; None if it does not say."""
    millis = _number(headers.get("retry-after-ms", ""))
    if millis is not None:
        return max(millis / 1000, 0.0)
    after = headers.get("retry-after", "")
    seconds = _number(after)
    if seconds is None and after:
        at = _http_date(after)
        seconds = at - now if at is not None else None
    if seconds is not None:
        return max(seconds, 0.0)
    waits = [_reset_wait(name, value, headers, now) for name, value in headers.items()]
    return max((wait for wait in waits if wait is not None), default=None)


def _reset_wait(name: str, value: str, headers: Mapping[str, str], now: float) -> float | None:
    """The wait that one `x-ratelimit-reset...` header asks for: only the limit that is used up counts."""
    _, found, what = name.partition("ratelimit-reset")
    if not found or headers.get(f"x-ratelimit-remaining{what}", "0") != "0":
        return None
    number = _number(value)
    if number is None:
        spans = re.findall(_SPAN, value)
        if "".join(f"{amount}{unit}" for amount, unit in spans) != value.strip():
            return None
        return sum(float(amount) * _SPAN_S[unit] for amount, unit in spans)
    if number >= _EPOCH_MS:
        number = number / 1000
    return max(number - now if number >= _EPOCH_S else number, 0.0)


def _number(text: str) -> float | None:
    text = text.strip()
    plain = text.isascii() and text.replace(".", "", 1).isdigit() and len(text) <= 20
    return float(text) if plain else None


def _http_date(text: str) -> float | None:
    """The time of a date as in `Wed, 21 Oct 2015 07:28:00 GMT`."""
    try:
        _, day, month, year, clock, _ = text.split()
        hour, minute, second = (int(part) for part in clock.split(":"))
        at = datetime(
            int(year), _MONTHS.index(month.lower()) + 1, int(day), hour, minute, min(second, 59), tzinfo=UTC
        )
    except ValueError:
        return None
    return at.timestamp()


def _read(body: bytes) -> _Detail:
    try:
        envelope = msgspec.json.decode(body, type=_Envelope)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return _Detail(message=body[: SHOWN_CHARS * 4].decode("utf-8", "replace"))
    match envelope.error:
        case _Detail() as detail:
            return _with_relayed(detail)
        case str() as message:
            return _Detail(message=message, code=envelope.code)
        case None:
            detail = bytes(envelope.detail).decode("utf-8", "replace")
            return _Detail(message=envelope.message or detail or None, code=envelope.code)


def _with_relayed(detail: _Detail) -> _Detail:
    """The words of the provider behind a gateway beside those of the gateway."""
    try:
        raw = msgspec.json.decode(detail.metadata, type=_Relayed | None) if bytes(detail.metadata) else None
    except msgspec.DecodeError:
        return detail
    if raw is None or not raw.raw:
        return detail
    behind = _read(raw.raw.encode("utf-8", "surrogatepass"))
    words = f"{detail.message}: {behind.message}" if detail.message else behind.message
    return msgspec.structs.replace(detail, message=words, type=behind.type or detail.type)


def _tags(detail: _Detail) -> str:
    fields = (detail.message, detail.type, detail.code, detail.status)
    return " ".join(str(field) for field in fields if field is not None).lower()


def _shown(words: str) -> str:
    line = one_line(words, SHOWN_CHARS)
    return "".join(letter if letter.isprintable() else "?" for letter in line)


def _status_kind(status: int, tags: str, wait_s: float | None) -> FailureKind:
    match status:
        case 401 | 403:
            return "auth"
        case 402:
            return "balance"
        case 404:
            return "unknown_model"
        case 413:
            return "overflow"
        case 429:
            spent = "insufficient_quota" in tags or (wait_s is None and _any(_BALANCE, tags))
            return "balance" if spent else "rate"
        case 400 | 422:
            return _named_kind(tags) or "rejected"
        case _:
            if status >= 500:
                return "overflow" if _any(_OVERFLOW, tags) else "overload"
            return "overload" if status == 408 else "rejected"


def _named_kind(tags: str) -> FailureKind | None:
    """The class that the server's own words name."""
    if _any(_OVERFLOW, tags):
        return "overflow"
    if _any(_NO_MODEL, tags) or re.search(_MODEL_MISSING, tags):
        return "unknown_model"
    if _any(_REFUSED, tags):
        return "refused"
    if _any(_NO_KEY, tags):
        return "auth"
    return "balance" if "credit balance" in tags or "insufficient balance" in tags else None


def _any(phrases: tuple[str, ...], tags: str) -> bool:
    return any(phrase in tags for phrase in phrases)


def _message(kind: FailureKind, status: int, words: str, about: About) -> str:
    said = f"{about.host} answered {status}" + (f": {words}" if words else "")
    match kind:
        case "auth":
            where = f" in {about.key_env}" if about.key_env else ""
            return f"{said}. Check the API key{where}"
        case "balance":
            return f"{said}. The account has no balance or quota left: top it up with the provider"
        case "unknown_model":
            return (
                f"{said}. Either {about.host} has no model {about.model!r}, or the base URL is wrong: "
                "choose another with --model, or correct --base-url"
            )
        case "overflow":
            return f"{said}. The request is too long for the model {about.model!r}"
        case _:
            if 300 <= status < 400:
                return f"{said}. The base URL leads elsewhere: use the address that it redirects to"
            return said
