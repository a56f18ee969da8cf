"""What a scripted model says, as the events of an Anthropic Messages stream."""

from collections.abc import Iterator
from hashlib import sha256
from typing import NamedTuple

from hames.testing.script import Served, ServedCall, ServedUsage, arguments_of, data, pieces
from hames.testing.scripted import MODEL_NAME

THOUGHT = "thought"
"""Ends the id of each call that came with a thought: whoever gives it back must give both."""

_FINISH = {"stop": "end_turn", "length": "max_tokens", "tool_calls": "tool_use", "content_filter": "refusal"}

_ERRORS = {
    400: "invalid_request_error",
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    504: "timeout_error",
    529: "overloaded_error",
}


def signature(thinking: str) -> str:
    """What shows that a thought is as this model had it."""
    return sha256(b"thought of " + MODEL_NAME.encode() + thinking.encode()).hexdigest()


class MessagesSpeech:
    """Implements `Speech` for Anthropic Messages."""

    def begin(self, number: int, usage: ServedUsage) -> list[bytes]:
        """The message without content, and a ping."""
        counted = {
            "input_tokens": usage.input - usage.cached,
            "cache_read_input_tokens": usage.cached,
            "cache_creation_input_tokens": 0,
            "output_tokens": 1,
        }
        message: dict[str, object] = {
            "id": f"msg_{number}",
            "type": "message",
            "role": "assistant",
            "content": [],
            "model": MODEL_NAME,
            "stop_reason": None,
            "usage": counted,
        }
        return [_event("message_start", message=message), _event("ping")]

    def deltas(self, reply: Served, number: int) -> Iterator[bytes]:
        """One block after the other; the last one is left open."""
        blocks = [block for block in (_thinking(reply, number), _text(reply, number)) if block]
        blocks += [_call(reply, number, at, call) for at, call in enumerate(reply.calls)]
        for index, (opening, deltas) in enumerate(blocks):
            if index:
                yield _event("content_block_stop", index=index - 1)
            yield _event("content_block_start", index=index, content_block=opening)
            for delta in deltas:
                yield _event("content_block_delta", index=index, delta=delta)

    def ending(self, reply: Served, number: int, usage: ServedUsage) -> list[bytes]:
        """The end of the last block, the reason to stop, and the usage."""
        count = bool(reply.reasoning) + bool(reply.text) + len(reply.calls)
        finish = reply.finish or ("tool_calls" if reply.calls else "stop")
        details = {"thinking_tokens": usage.reasoning}
        counted = {"output_tokens": usage.output, "output_tokens_details": details}
        stopped = {"stop_reason": _FINISH.get(finish, finish), "stop_sequence": None}
        closed = [_event("content_block_stop", index=count - 1)] if count else []
        return [*closed, _event("message_delta", delta=stopped, usage=counted)]

    def mark(self) -> list[bytes]:
        """The end of the message."""
        return [_event("message_stop")]

    def trouble(self, reply: Served) -> bytes:
        """An error event."""
        kind = reply.type or "overloaded_error"
        return _event("error", error={"type": kind, "message": reply.message or "scripted error"})

    def complaint(self, reply: Served) -> object:
        """The body of an answer that is an error."""
        kind = reply.type or _ERRORS.get(reply.status, "api_error")
        error = {"type": kind, "message": reply.message or f"a scripted {reply.status}"}
        return {"type": "error", "error": error, "request_id": "req_scripted"}


class _Block(NamedTuple):
    opening: dict[str, object]
    deltas: list[dict[str, object]]


def _thinking(reply: Served, number: int) -> _Block | None:
    if not reply.reasoning:
        return None
    said = list(pieces(reply.reasoning, number, reply.chunk))
    deltas: list[dict[str, object]] = [{"type": "thinking_delta", "thinking": piece} for piece in said]
    deltas.append({"type": "signature_delta", "signature": signature("".join(said))})
    return _Block({"type": "thinking", "thinking": "", "signature": ""}, deltas)


def _text(reply: Served, number: int) -> _Block | None:
    if not reply.text:
        return None
    said = pieces(reply.text, number, reply.chunk)
    return _Block({"type": "text", "text": ""}, [{"type": "text_delta", "text": piece} for piece in said])


def _call(reply: Served, number: int, at: int, call: ServedCall) -> _Block:
    named = call.named(f"toolu_{number:06}_{at}" + (f"_{THOUGHT}" if reply.reasoning else ""))
    opening: dict[str, object] = {"type": "tool_use", **named, "name": call.name, "input": {}}
    written = pieces(arguments_of(call, number), number, reply.chunk)
    return _Block(opening, [{"type": "input_json_delta", "partial_json": piece} for piece in written])


def _event(kind: str, **fields: object) -> bytes:
    return f"event: {kind}\n".encode() + data({"type": kind, **fields})
