"""What a scripted model says, as the events of a Chat Completions stream."""

from collections.abc import Iterator
from hashlib import sha256

from hames.testing.script import Served, ServedUsage, arguments_of, data, pieces
from hames.testing.scripted import MODEL_NAME

THOUGHT = "_thought_"
"""Parts the id of each call that came with reasoning from what shows that the reasoning is as it was."""


def thought_sum(reasoning: str) -> str:
    """What shows that reasoning is as this model had it."""
    return sha256(b"reasoning of " + MODEL_NAME.encode() + reasoning.encode()).hexdigest()[:12]


def is_own_id(wire_id: str) -> bool:
    """Whether this model has made the id of a call."""
    numbers = wire_id.partition(THOUGHT)[0].removeprefix("call_").split("_")
    return wire_id.startswith("call_") and len(numbers) == 2 and all(each.isdigit() for each in numbers)


class ChatSpeech:
    """Implements `Speech` for Chat Completions."""

    def begin(self, number: int, usage: ServedUsage) -> list[bytes]:
        """Nothing: the first delta opens the reply."""
        return []

    def deltas(self, reply: Served, number: int) -> Iterator[bytes]:
        """What the model says."""
        first: dict[str, object] = {"role": "assistant", "content": ""}
        if reply.reasoning:
            first["reasoning_content"] = ""
        yield _event(number, first)
        for piece in pieces(reply.reasoning, number, reply.chunk):
            yield _event(number, {"reasoning_content": piece})
        for piece in pieces(reply.text, number, reply.chunk):
            yield _event(number, {"content": piece})
        thought = "".join(pieces(reply.reasoning, number, 0))
        after = THOUGHT + thought_sum(thought) if thought else ""
        for index, call in enumerate(reply.calls):
            named = call.named(f"call_{number}_{index}{after}")
            function = {"name": call.name, "arguments": ""}
            yield _call_event(number, {"index": index, **named, "type": "function", "function": function})
            for piece in pieces(arguments_of(call, number), number, reply.chunk):
                yield _call_event(number, {"index": index, "function": {"arguments": piece}})

    def ending(self, reply: Served, number: int, usage: ServedUsage) -> list[bytes]:
        """The finish, and the usage in an event without choices."""
        finish = reply.finish or ("tool_calls" if reply.calls else "stop")
        return [_event(number, {}, finish), _usage_event(number, usage)]

    def mark(self) -> list[bytes]:
        """The mark of the end."""
        return [b"data: [DONE]\n\n"]

    def trouble(self, reply: Served) -> bytes:
        """An error event."""
        message, kind = reply.message or "scripted error", reply.type or "server_error"
        return data({"error": {"message": message, "type": kind, "code": reply.code or None}})

    def complaint(self, reply: Served) -> object:
        """The body of an answer that is an error."""
        return complaint(reply)


def complaint(reply: Served) -> object:
    """An error as OpenAI and its followers put it."""
    message = reply.message or f"a scripted {reply.status}"
    return {
        "error": {
            "message": message,
            "type": reply.type or "scripted",
            "param": None,
            "code": reply.code or None,
        }
    }


def _call_event(number: int, call: dict[str, object]) -> bytes:
    return _event(number, {"tool_calls": [call]})


def _event(number: int, delta: dict[str, object], finish: str | None = None) -> bytes:
    choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
    return data({**_frame(number), "choices": [choice], "usage": None})


def _usage_event(number: int, usage: ServedUsage) -> bytes:
    counted = {
        "prompt_tokens": usage.input,
        "completion_tokens": usage.output,
        "total_tokens": usage.input + usage.output,
        "prompt_tokens_details": {"cached_tokens": usage.cached},
        "completion_tokens_details": {"reasoning_tokens": usage.reasoning},
        "prompt_cache_hit_tokens": usage.cached,
        "prompt_cache_miss_tokens": usage.input - usage.cached,
    }
    return data({**_frame(number), "choices": [], "usage": counted})


def _frame(number: int) -> dict[str, object]:
    name = f"scripted-{number}"
    return {"id": name, "object": "chat.completion.chunk", "created": 0, "model": MODEL_NAME}
