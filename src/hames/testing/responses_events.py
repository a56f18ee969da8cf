"""What a scripted model says, as the events of a Responses stream."""

from collections.abc import Iterator
from hashlib import sha256

import msgspec

from hames.testing.chat_events import complaint
from hames.testing.script import Served, ServedCall, ServedUsage, arguments_of
from hames.testing.scripted import MODEL_NAME

_Event = dict[str, object]


class ResponsesSpeech:
    """How a reply is told on this wire. Its `finish` may be `length` or `content_filter`."""

    def begin(self, number: int, usage: ServedUsage) -> list[bytes]:
        """The response, without output."""
        begun: list[_Event] = [
            {"type": f"response.{name}", "response": _response(number, "in_progress")}
            for name in ("created", "in_progress")
        ]
        return [_encoded(event, at) for at, event in enumerate(begun)]

    def deltas(self, reply: Served, number: int) -> Iterator[bytes]:
        """What the model says: its items, one after the other."""
        at = 2
        for index, item in enumerate(_items(reply, number)):
            for event in _item_events(item, index, reply.chunk):
                yield _encoded(event, at)
                at += 1

    def ending(self, reply: Served, number: int, usage: ServedUsage) -> list[bytes]:
        """The whole response."""
        at = 2 + sum(1 for _ in self.deltas(reply, number))
        return [_encoded(_ending(reply, number, usage), at)]

    def mark(self) -> list[bytes]:
        """Nothing: the whole response was the last event."""
        return []

    def trouble(self, reply: Served) -> bytes:
        """An error event."""
        message, code = reply.message or "scripted error", reply.code or "server_error"
        return _encoded({"type": "error", "code": code, "message": message, "param": None}, 0)

    def complaint(self, reply: Served) -> object:
        """The body of an answer that is an error."""
        return complaint(reply)


def seal(item_id: str, summary: str) -> str:
    """Stands for the encrypted content of a reasoning item: whoever changes the item cannot make it."""
    return "sealed-" + sha256(f"{item_id}\n{summary}".encode()).hexdigest()


def _items(reply: Served, number: int) -> list[_Event]:
    items: list[_Event] = []
    text = reply.text.replace("{i}", str(number))
    thought = reply.reasoning.replace("{i}", str(number))
    if thought:
        name = f"rs_{number}"
        summary = [{"type": "summary_text", "text": thought}]
        items.append(
            {"id": name, "type": "reasoning", "encrypted_content": seal(name, thought), "summary": summary}
        )
    if text:
        items.append(_message(text, number))
    after = f"_after_rs_{number}" if thought else ""
    items += [_call(call, f"fc_{number}_{at}{after}", number, at) for at, call in enumerate(reply.calls)]
    return items


def _message(text: str, number: int) -> _Event:
    part: _Event = {"type": "output_text", "annotations": [], "logprobs": [], "text": text}
    return {
        "id": f"msg_{number}",
        "type": "message",
        "status": "completed",
        "role": "assistant",
        "content": [part],
    }


def _call(call: ServedCall, name: str, number: int, at: int) -> _Event:
    return {
        "id": name,
        "type": "function_call",
        "status": "completed",
        "arguments": arguments_of(call, number),
        **call.named(f"call_{number}_{at}", "call_id"),
        "name": call.name,
    }


def _item_events(item: _Event, at: int, chunk: int) -> Iterator[_Event]:
    """One item from its beginning to its end."""
    place: _Event = {"item_id": item["id"], "output_index": at}
    match item["type"]:
        case "reasoning":
            place["summary_index"] = 0
            whole = msgspec.convert(item["summary"], list[dict[str, str]])[0]["text"]
            yield {"type": "response.output_item.added", "output_index": at, "item": {**item, "summary": []}}
            summary: _Event = {"type": "summary_text", "text": ""}
            yield {"type": "response.reasoning_summary_part.added", **place, "part": summary}
            yield from _deltas("response.reasoning_summary_text", place, "text", whole, chunk)
        case "message":
            place["content_index"] = 0
            whole = msgspec.convert(item["content"], list[dict[str, object]])[0]["text"]
            begun: _Event = {**item, "status": "in_progress", "content": []}
            yield {"type": "response.output_item.added", "output_index": at, "item": begun}
            part: _Event = {"type": "output_text", "annotations": [], "logprobs": [], "text": ""}
            yield {"type": "response.content_part.added", **place, "part": part}
            yield from _deltas("response.output_text", place, "text", str(whole), chunk)
        case _:
            begun = {**item, "status": "in_progress", "arguments": ""}
            yield {"type": "response.output_item.added", "output_index": at, "item": begun}
            arguments = str(item["arguments"])
            yield from _deltas("response.function_call_arguments", place, "arguments", arguments, chunk)
    yield {"type": "response.output_item.done", "output_index": at, "item": item}


def _deltas(name: str, place: _Event, field: str, whole: str, chunk: int) -> Iterator[_Event]:
    step = chunk or len(whole) or 1
    for at in range(0, len(whole), step):
        yield {"type": f"{name}.delta", **place, "delta": whole[at : at + step]}
    yield {"type": f"{name}.done", **place, field: whole}


def _ending(reply: Served, number: int, usage: ServedUsage) -> _Event:
    reasons = {"length": "max_output_tokens", "content_filter": "content_filter"}
    reason = reasons.get(reply.finish)
    status = "incomplete" if reason else "completed"
    whole = _response(number, status)
    whole["output"] = _items(reply, number)
    whole["incomplete_details"] = {"reason": reason} if reason else None
    whole["usage"] = {
        "input_tokens": usage.input,
        "input_tokens_details": {"cached_tokens": usage.cached},
        "output_tokens": usage.output,
        "output_tokens_details": {"reasoning_tokens": usage.reasoning},
        "total_tokens": usage.input + usage.output,
    }
    return {"type": f"response.{status}", "response": whole}


def _response(number: int, status: str) -> _Event:
    return {
        "id": f"resp_{number}",
        "object": "response",
        "created_at": 0,
        "status": status,
        "error": None,
        "incomplete_details": None,
        "model": MODEL_NAME,
        "output": [],
        "store": False,
        "usage": None,
    }


def _encoded(event: _Event, at: int) -> bytes:
    data = msgspec.json.encode({**event, "sequence_number": at})
    return b"event: %b\ndata: %b\n\n" % (str(event["type"]).encode(), data)
