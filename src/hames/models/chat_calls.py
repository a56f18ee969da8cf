"""Puts together the calls of a streamed Chat Completions reply. Pure."""

import msgspec

from hames.core.messages import Call
from hames.models.calls import Written, is_object, with_own_ids
from hames.models.reply_stream import NOTHING

_strings = msgspec.json.Decoder(str)


class FunctionDelta(msgspec.Struct, frozen=True):
    """A piece of a call's function. `arguments` is a JSON string, or from some servers an object."""

    name: str | None = None
    arguments: msgspec.Raw = msgspec.Raw()


class CallPiece(msgspec.Struct, frozen=True):
    """A piece of a call as it comes over the wire."""

    index: int | None = None
    id: str | None = None
    function: FunctionDelta | None = None


class _Slot:
    """A call that is being written."""

    def __init__(self, index: int | None, wire_id: str) -> None:
        self.index = index
        self.wire_id = wire_id
        self.name = ""
        self.arguments: list[str] = []


class CallsReader:
    """Collects the pieces of calls. Servers differ: some leave the index out, some send it always as 0
    with new ids, some repeat id and name with every piece."""

    def __init__(self) -> None:
        self._slots: list[_Slot] = []

    def add(self, piece: CallPiece) -> tuple[int, str] | None:
        """Take one piece; the place and the name of a call whose name has just become known."""
        name = (piece.function and piece.function.name) or ""
        at = self._place(piece, name)
        slot = self._slots[at]
        slot.wire_id = slot.wire_id or piece.id or ""
        if piece.function is not None:
            text = _text(piece.function.arguments)
            if text:
                slot.arguments.append(text)
        if name and not slot.name:
            slot.name = name
            return at, name
        return None

    def calls(self, raw: bytes) -> tuple[tuple[Call, ...], list[str]]:
        """The calls, in the order in which they began, and what was mended. Wire ids are unique."""
        written = (Written(slot.wire_id, slot.name, "".join(slot.arguments)) for slot in self._slots)
        return with_own_ids(written, raw)

    def _place(self, piece: CallPiece, name: str) -> int:
        for at in range(len(self._slots) - 1, -1, -1):
            if self._continues(self._slots[at], piece, name):
                return at
        if not self._slots or name or piece.id or piece.index is not None:
            self._slots.append(_Slot(piece.index, piece.id or ""))
        return len(self._slots) - 1

    @staticmethod
    def _continues(slot: _Slot, piece: CallPiece, name: str) -> bool:
        if piece.index is not None and slot.index is not None and piece.index != slot.index:
            return False
        if piece.id and slot.wire_id and piece.id != slot.wire_id:
            return False
        if not name or not slot.name or (piece.id and piece.index is not None):
            return True
        # The name again and nothing else to tell: another call if the one before is whole and this has
        # arguments of its own.
        more = piece.function is not None and _text(piece.function.arguments)
        return name == slot.name and not (more and is_object("".join(slot.arguments)))


def _text(arguments: msgspec.Raw) -> str:
    if arguments in NOTHING:
        return ""
    raw = bytes(arguments)
    return _strings.decode(raw) if raw.startswith(b'"') else raw.decode()
