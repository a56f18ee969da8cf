"""Puts together the output items of a streamed Responses reply. Pure."""

from collections.abc import Sequence
from typing import Literal

import msgspec

from hames.core.messages import Call
from hames.core.ports import CallDelta, Delta, ReasoningDelta, TextDelta
from hames.models.calls import Written, with_own_ids
from hames.models.responses_layout import (
    BETWEEN,
    Called,
    Item,
    Said,
    Thought,
    clean_thought,
    joined,
    write_layout,
)

_Kind = Literal["message", "function_call", "reasoning"]
_KINDS: dict[str, _Kind] = {"message": "message", "function_call": "function_call", "reasoning": "reasoning"}


class _Part(msgspec.Struct, frozen=True):
    text: str | None = None
    refusal: str | None = None


class _Named(msgspec.Struct, frozen=True):
    type: str = ""


class _Output(msgspec.Struct, frozen=True):
    """An item as it comes over the wire."""

    id: str | None = None
    phase: str | None = None
    call_id: str | None = None
    name: str | None = None
    arguments: str | None = None
    encrypted_content: str | None = None
    content: list[_Part] | None = None
    summary: list[_Part] | None = None


_names = msgspec.json.Decoder(_Named)
_outputs = msgspec.json.Decoder(_Output)


class _Slot:
    """An item that is being written. `pieces` are of its text, its arguments or its reasoning.

    `whole`: its arguments are all there. `ended`: the server has sent the whole item.
    """

    def __init__(self, kind: _Kind) -> None:
        self.kind: _Kind = kind
        self.id = ""
        self.phase = ""
        self.call_id = ""
        self.name = ""
        self.pieces: list[str] = []
        self.whole = False
        self.ended = False
        self.thought = b""

    def learn(self, output: _Output) -> None:
        self.id = output.id or self.id
        self.phase = output.phase or self.phase
        self.call_id = output.call_id or self.call_id
        self.name = output.name or self.name

    @property
    def text(self) -> str:
        return "".join(self.pieces)

    @property
    def item(self) -> Item:
        match self.kind:
            case "message":
                return Said(self.text, self.id, self.phase)
            case "function_call":
                return Called(self.id)
            case "reasoning":
                return Thought(self.thought)


class ItemsReader:
    """Collects items. What an item says when it is whole counts before the pieces of it that came.

    An item is found by its place in the output. A server may leave the places out, or give one place to
    several items, if it ends each before it goes on to the next of the same kind.
    """

    def __init__(self) -> None:
        self._slots: list[_Slot] = []
        self._open: dict[int, _Slot] = {}
        self._refusal: list[str] = []
        self._others: dict[str, None] = {}
        self._part: tuple[_Slot, int | None] | None = None

    @property
    def text(self) -> str:
        """The text of all messages."""
        return joined([slot.text for slot in self._of("message")])

    @property
    def thoughts(self) -> str:
        """The reasoning that may be shown."""
        return joined([slot.text for slot in self._of("reasoning")])

    @property
    def thought(self) -> bool:
        """There was reasoning, shown or not."""
        return bool(self._of("reasoning"))

    @property
    def refusal(self) -> str:
        """The words with which the model refused."""
        return "".join(self._refusal)

    def layout(self) -> str | None:
        """How the items lay, to give them back like that; None if that is plain."""
        return write_layout(slot.item for slot in self._slots)

    def calls(self, raw: bytes) -> tuple[tuple[Call, ...], list[str]]:
        """The calls in their order, and what was mended or left out. Wire ids are unique."""
        repairs = [f"an item of the kind {kind!r} was left out" for kind in self._others]
        written = (Written(slot.call_id, slot.name, slot.text) for slot in self._of("function_call"))
        calls, mended = with_own_ids(written, raw)
        return calls, [*repairs, *mended]

    def doubtful(self, calls: Sequence[Call]) -> list[Call]:
        """Those of `calls` that the server has never called whole."""
        slots = self._of("function_call")
        return [call for call, slot in zip(calls, slots, strict=True) if not slot.whole]

    def say(self, index: int | None, text: str, deltas: list[Delta]) -> None:
        """Some text of a message."""
        self._say(self._slot(index, "message"), text, deltas)

    def argue(self, index: int | None, text: str) -> None:
        """Some of a call's arguments."""
        self._slot(index, "function_call").pieces.append(text)

    def argued(self, index: int | None, arguments: str | None) -> None:
        """A call's arguments, whole."""
        self._settle_arguments(self._slot(index, "function_call"), arguments)

    def think(self, index: int | None, part: int | None, text: str, deltas: list[Delta]) -> None:
        """Some reasoning, or some of its summary, which has parts."""
        self._think(self._slot(index, "reasoning"), part, text, deltas)

    def refuse(self, text: str) -> None:
        """Some of a refusal."""
        self._refusal.append(text)

    def begin(self, index: int | None, item: msgspec.Raw, deltas: list[Delta]) -> None:
        """An item is about to be written."""
        kind = _KINDS.get(_names.decode(item).type)
        if kind is not None:
            self._learn(self._add(index, kind), _outputs.decode(item), deltas)

    def end(self, index: int | None, item: msgspec.Raw, deltas: list[Delta]) -> None:
        """An item is whole."""
        named = _names.decode(item).type
        kind = _KINDS.get(named)
        if kind is None:
            self._others[named] = None
        else:
            self._fill(self._slot(index, kind), item, deltas)

    def settle(self, output: Sequence[msgspec.Raw], deltas: list[Delta]) -> None:
        """The reply is over, and this was its output, if the server repeats it. What of it came before
        stands."""
        for index, item in enumerate(output):
            slot = self._open.get(index)
            if slot is None:
                if index >= len(self._slots):
                    self.end(index, item, deltas)
            elif not slot.ended and slot.kind == _names.decode(item).type:
                self._fill(slot, item, deltas)

    def _say(self, slot: _Slot, text: str, deltas: list[Delta]) -> None:
        if not text:
            return
        if not slot.pieces and any(other.pieces for other in self._of("message")):
            deltas.append(TextDelta(BETWEEN))
        slot.pieces.append(text)
        deltas.append(TextDelta(text))

    def _think(self, slot: _Slot, part: int | None, text: str, deltas: list[Delta]) -> None:
        if not text:
            return
        if self._part is not None and self._part != (slot, part):
            if slot.pieces:
                slot.pieces.append(BETWEEN)
            deltas.append(ReasoningDelta(BETWEEN))
        self._part = (slot, part)
        slot.pieces.append(text)
        deltas.append(ReasoningDelta(text))

    def _fill(self, slot: _Slot, item: msgspec.Raw, deltas: list[Delta]) -> None:
        output = _outputs.decode(item)
        self._learn(slot, output, deltas)
        match slot.kind:
            case "message":
                self._said(slot, output.content or [], deltas)
            case "function_call":
                self._settle_arguments(slot, output.arguments)
            case "reasoning":
                parts = output.summary or output.content or []
                if not slot.pieces:
                    self._think(slot, None, joined([part.text or "" for part in parts]), deltas)
                if parts or output.encrypted_content:
                    slot.thought = clean_thought(bytes(item))
        slot.ended = True

    def _said(self, slot: _Slot, parts: Sequence[_Part], deltas: list[Delta]) -> None:
        text = "".join(part.text or "" for part in parts)
        if text and slot.pieces:
            slot.pieces = [text]
        else:
            self._say(slot, text, deltas)
        if not self._refusal:
            self._refusal += [part.refusal for part in parts if part.refusal]

    def _learn(self, slot: _Slot, output: _Output, deltas: list[Delta]) -> None:
        if slot.kind == "function_call" and output.name and not slot.name:
            deltas.append(CallDelta(self._of("function_call").index(slot), output.name))
        slot.learn(output)

    @staticmethod
    def _settle_arguments(slot: _Slot, arguments: str | None) -> None:
        if arguments or (arguments is not None and not slot.pieces):
            slot.pieces = [arguments]
            slot.whole = True

    def _slot(self, index: int | None, kind: _Kind) -> _Slot:
        """The item of this kind that is being written at this place."""
        found = self._open.get(index) if index is not None else self._slots[-1] if self._slots else None
        if found is None:
            return self._add(index, kind)
        if found.kind == kind and not found.ended:
            return found
        for slot in reversed(self._slots):
            if slot.kind == kind and not slot.ended:
                return slot
        return self._add(index, kind)

    def _add(self, index: int | None, kind: _Kind) -> _Slot:
        slot = _Slot(kind)
        self._slots.append(slot)
        self._open[len(self._slots) - 1 if index is None else index] = slot
        return slot

    def _of(self, kind: _Kind) -> list[_Slot]:
        return [slot for slot in self._slots if slot.kind == kind]
