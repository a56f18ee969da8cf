"""Every class of failure of a provider by its name: what comes in place of a true reply, or before it."""

from collections.abc import Callable, Mapping

import msgspec

from hames.core.profiles import WireName
from hames.testing.overflows import overflow
from hames.testing.script import Fault, Framing, Served, ServedCall, written

EFFECTS = "effects.log"
"""The file that shows what was run: each command of a fault appends a word of its own."""

_Make = Callable[[Served, WireName], list[Served]]


def append(word: str) -> str:
    """A command that leaves `word` in the file."""
    return f"echo {word} >> {EFFECTS}"


def call(command: str, wire_id: str | None = "") -> ServedCall:
    """A call of `bash`, with this id or without one."""
    return ServedCall("bash", msgspec.Raw(msgspec.json.encode({"command": command})), wire_id)


def raw_call(arguments: str) -> ServedCall:
    """A call of `bash` with this argument string."""
    return ServedCall("bash", msgspec.Raw(msgspec.json.encode(arguments)))


def spoiled(name: str, true: Served, wire: WireName) -> list[Served]:
    """The replies that a client gets, one request after the other, where it should have got `true`.

    All but those of `FINAL` end with the true reply, or carry it. Nothing that appends `x` may be run.
    """
    return FAULTS[name](true, wire)


def leaked(reply: Served) -> Served:
    """A reply whose calls are markup in its text, as from servers that do not know DeepSeek's own."""
    said: list[str] = []
    for asked in reply.calls:
        arguments = msgspec.json.decode(written(asked), type=dict[str, msgspec.Raw])
        said.append(f'<{_MARK}invoke name="{asked.name}">')
        for name, value in arguments.items():
            is_text = bytes(value).startswith(b'"')
            shown = msgspec.json.decode(value, type=str) if is_text else bytes(value).decode()
            words = f'name="{name}" string="{str(is_text).lower()}"'
            said.append(f"<{_MARK}parameter {words}>{shown}</{_MARK}parameter>")
        said.append(f"</{_MARK}invoke>")
    markup = "\n".join([f"<{_MARK}tool_calls>", *said, f"</{_MARK}tool_calls>"])
    return msgspec.structs.replace(reply, text=f"{reply.text}\n\n{markup}".strip(), calls=())


_MARK = "\uff5cDSML\uff5c"


def _status(status: int, message: str, headers: Mapping[str, str] | None = None, times: int = 1) -> _Make:
    """An error status, so many times."""
    reply = Served(status=status, message=message, headers=dict(headers or {}), repeat=times)
    return lambda true, wire: [reply, true]


def _final(status: int, message: str, headers: Mapping[str, str] | None = None) -> _Make:
    """An error status, whatever is asked."""
    reply = Served(status=status, message=message, headers=dict(headers or {}), repeat=100)
    return lambda true, wire: [reply]


def _said(message: str, kind: str = "") -> _Make:
    """An error event in a stream whose status was 200."""
    return lambda true, wire: [
        msgspec.structs.replace(true, fault="error", message=message, type=kind),
        true,
    ]


def _broken(fault: Fault, *, bad: ServedCall | None = None, times: int = 1) -> _Make:
    """The true reply does not come whole; in its place `bad` is asked for, if there is one."""

    def make(true: Served, wire: WireName) -> list[Served]:
        calls = true.calls if bad is None else (bad,)
        return [msgspec.structs.replace(true, calls=calls, fault=fault, repeat=times), true]

    return make


def _odd(fault: Fault | None = None, framing: Framing = "plain") -> _Make:
    """The true reply comes whole, in an odd way."""
    return lambda true, wire: [msgspec.structs.replace(true, fault=fault, framing=framing, chunk=7)]


def _slow(fault: Fault | None, pause_s: float, queued: int = 0) -> _Make:
    """The true reply comes whole, in its own time."""
    return lambda true, wire: [
        msgspec.structs.replace(true, fault=fault, pause_s=pause_s, queued=queued, chunk=7)
    ]


def _asked(*calls: ServedCall) -> _Make:
    """The model itself asks for something else first."""
    return lambda true, wire: [Served(calls=calls), true]


def _overflow(*, named: bool) -> _Make:
    return lambda true, wire: [overflow(wire, 70_000, 65_536, named=named), true]


def _overflow_event(true: Served, wire: WireName) -> list[Served]:
    said = overflow(wire, 70_000, 65_536)
    event = Served(message=said.message, type=said.type, code="context_length_exceeded", fault="error_first")
    return [event, true]


def _wrong_type(true: Served, wire: WireName) -> list[Served]:
    return [msgspec.structs.replace(true, headers={"Content-Type": "text/plain; charset=latin-1"})]


def _leak(true: Served, wire: WireName) -> list[Served]:
    return [leaked(true) if true.calls else true]


def _untidy(true: Served, wire: WireName) -> list[Served]:
    """Arguments that are whole, but no JSON: single quotes and a comma too many."""
    untidy = tuple(
        msgspec.structs.replace(
            asked,
            arguments=msgspec.Raw(
                msgspec.json.encode(written(asked).replace('"', "'").removesuffix("}") + ",}")
            ),
        )
        for asked in true.calls
    )
    return [msgspec.structs.replace(true, calls=untidy)]


_HTML = "<html>\r\n<head><title>502 Bad Gateway</title></head>\r\n<body><h1>nginx</h1></body>\r\n</html>\r\n"
_BAD = call(append("x"))
_CUT = raw_call('{"command": "' + append("x"))
_RULES: Mapping[WireName, str] = {
    "chat": "The `reasoning_content` in the thinking mode must be passed back to the API.",
    "messages": "messages.1.content.0: Invalid `signature` in `thinking` block",
    "responses": "The encrypted content for item rs_1 could not be verified.",
}

FAULTS: Mapping[str, _Make] = {
    # The server cannot serve now.
    "429_retry_after_2": _status(429, "slow down", {"Retry-After": "2"}),
    "429_retry_after_ms": _status(429, "slow down", {"retry-after-ms": "300"}),
    "429_reset_header": _status(
        429, "slow down", {"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "300ms"}
    ),
    "429_no_header": _status(429, "slow down"),
    "429_x4": _status(429, "slow down", times=4),
    "408": _status(408, "request timeout"),
    "500": _status(500, "internal error"),
    "503": _status(503, "overloaded"),
    "529": _status(529, "overloaded"),
    "502_html": lambda true, wire: [Served(status=502, body=_HTML), true],
    "reset": _broken("reset"),
    "reset_x3": _broken("reset", times=3),
    "refused": _broken("away"),
    "silent": _broken("silent"),
    # The stream breaks.
    "reset_midway": _broken("reset_midway", bad=_BAD),
    "cut_text": lambda true, wire: [
        Served(text="I will now look at the whole of it.", fault="cut_text"),
        true,
    ],
    "cut_tool_args": _broken("cut_args", bad=_BAD),
    "eof_no_finish": _broken("no_finish", bad=_BAD),
    "stall_40s_dead": _broken("stall", bad=_BAD),
    "error_event": _said("the engine has stopped"),
    "rate_event": _said("too many requests: rate_limit_exceeded", "rate_limit_error"),
    "empty_reply": _broken("empty"),
    "thought_only": lambda true, wire: [Served(reasoning="I should say something."), true],
    # The true reply comes whole, in an odd way.
    "stall_8s_resume": _slow("pause", 0.4),
    "keepalive_long": _slow(None, 0.1, queued=16),
    "garbage_sse": _odd("garbage"),
    "half_event": _odd("half_event"),
    "garbage_binary": _odd("binary"),
    "no_end_mark": _odd("no_mark"),
    "byte_by_byte": _odd(framing="bytes"),
    "crlf": _odd(framing="crlf"),
    "byte_order_mark": _odd(framing="bom"),
    "wrong_type": _wrong_type,
    "leaked_markup": _leak,
    "untidy_args": _untidy,
    # A coding that nobody asked for: nothing of it can be read.
    "gzip": lambda true, wire: [msgspec.structs.replace(true, framing="gzip"), true],
    # What the model asks for is wrong.
    "bad_args_json": _asked(raw_call('{"command": ' + append("x") + "}")),
    "truncated_args": _asked(_CUT),
    "unknown_tool": _asked(ServedCall("launch_rocket", _BAD.arguments)),
    "dup_ids": _asked(call(append("d1"), "call_same_id"), call(append("d2"), "call_same_id")),
    "missing_ids": _asked(call(append("m1"), None), call(append("m2"), None)),
    "parallel_64": _asked(*(call(append(f"p{at}")) for at in range(64))),
    # The request is too long.
    "ctx_exceeded": _overflow(named=True),
    "ctx_unnamed": _overflow(named=False),
    "ctx_event": _overflow_event,
    # Nothing helps but a person, or another request.
    "history_rule": lambda true, wire: [
        Served(status=400, message=_RULES[wire], type="invalid_request_error"),
        true,
    ],
    "401": _final(401, "invalid api key"),
    "402": _final(402, "Insufficient Balance"),
    "redirect": _final(307, "moved", {"Location": "https://example.com/"}),
    "content_filter": lambda true, wire: [Served(finish="content_filter", repeat=100)],
}
"""By name. `true` is the reply that should have come."""

FINAL = frozenset(("401", "402", "redirect", "content_filter"))
"""After these the true reply never comes."""

LONG = frozenset(("silent", "stall_40s_dead"))
"""These last until the client's own patience ends."""

ONCE = frozenset(("history_rule",))
"""From these a client learns how to speak to the server; a second time it has nothing left to learn."""

EFFECTIVE = frozenset(("dup_ids", "missing_ids", "parallel_64"))
"""In these the model itself asks for effects of its own."""
