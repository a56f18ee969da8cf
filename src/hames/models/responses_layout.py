"""How the items of a Responses reply lay: kept beside its reasoning, so that they can go back so. Pure."""

from collections.abc import Iterable, Sequence
from typing import Literal

import msgspec

from hames.core.messages import AssistantMessage

BETWEEN = "\n\n"
"""Stands between the texts of two message items where they are one text."""

_encode = msgspec.json.encode


class Thought(msgspec.Struct, frozen=True):
    """A reasoning item, as JSON. Its server gets it back as it is; empty if it cannot."""

    item: bytes


class Said(msgspec.Struct, frozen=True):
    """A message item."""

    text: str
    id: str = ""
    phase: str = ""


class Called(msgspec.Struct, frozen=True):
    """A function call item: the next of the message's calls."""

    id: str = ""


Item = Thought | Said | Called


class _Kept(msgspec.Struct, frozen=True, omit_defaults=True):
    """What is kept of an item that is in the message anyway. `size` is in letters."""

    type: Literal["message", "function_call", "reasoning"]
    id: str = ""
    phase: str = ""
    size: int = 0


_entries = msgspec.json.Decoder(list[msgspec.Raw])
_kept = msgspec.json.Decoder(_Kept)


def plain_items(message: AssistantMessage) -> list[Item]:
    """A reply of which no more is known than its text and its calls."""
    said: list[Item] = [Said(message.text)] if message.text or not message.calls else []
    return [*said, *(Called() for _ in message.calls)]


def write_layout(items: Iterable[Item]) -> str | None:
    """The layout of a reply as JSON; None where text before calls says it all.

    Reasoning without an item after it is left out: no server takes it. Where some cannot go back, none
    does. Without any reasoning the ids of the other items mean nothing.
    """
    kept = [item for item in items if not (isinstance(item, Said) and not item.text)]
    while kept and isinstance(kept[-1], Thought):
        kept.pop()
    if Thought(b"") in kept:
        kept = [item for item in kept if not isinstance(item, Thought)]
    thought = any(isinstance(item, Thought) for item in kept)
    if not thought and not any(isinstance(item, Said) and item.phase for item in kept):
        kinds = [isinstance(item, Said) for item in kept]
        if kinds.count(True) <= 1 and not any(kinds[1:]):
            return None
    entries = [_entry(item, with_id=thought) for item in kept]
    return (b"[" + b",".join(entries) + b"]").decode()


def read_layout(layout: str, message: AssistantMessage) -> list[Item] | None:
    """The items of `message`; None when the layout is not of this text and these calls."""
    items: list[Item] = []
    at, calls, between = 0, 0, 0
    for raw in _entries.decode(layout):
        kept = _kept.decode(raw)
        match kept.type:
            case "reasoning":
                items.append(Thought(bytes(raw)))
            case "function_call":
                calls += 1
                items.append(Called(kept.id))
            case "message":
                at += between
                items.append(Said(message.text[at : at + kept.size], kept.id, kept.phase))
                at += kept.size
                between = len(BETWEEN)
    return items if calls == len(message.calls) and at == len(message.text) else None


def clean_thought(item: bytes) -> bytes:
    """A reasoning item as a server takes it back: each value as it came, byte for byte, but without the
    state of the item and without nulls, which the input does not know, and with a summary, which it needs.
    """
    fields = msgspec.json.decode(item, type=dict[str, msgspec.Raw])
    kept = {name: value for name, value in fields.items() if name != "status" and bytes(value) != b"null"}
    kept.setdefault("summary", msgspec.Raw(b"[]"))
    return _encode(kept)


def joined(texts: Sequence[str]) -> str:
    """The texts of several items as one."""
    return BETWEEN.join(text for text in texts if text)


def _entry(item: Item, *, with_id: bool) -> bytes:
    match item:
        case Thought(item=raw):
            return raw
        case Said(text=text, id=name, phase=phase):
            return _encode(_Kept("message", name if with_id else "", phase, len(text)))
        case Called(id=name):
            return _encode(_Kept("function_call", name if with_id else ""))
