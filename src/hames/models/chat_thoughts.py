"""Puts together the `reasoning_details` of a streamed Chat Completions reply. Pure."""

import msgspec

_encode = msgspec.json.encode
_details = msgspec.json.Decoder(list[dict[str, object]])

_WORDS = ("text", "summary")
"""Fields that come in pieces; of all others the last value holds."""


class _Detail:
    """A detail that is being written."""

    def __init__(self) -> None:
        self._fields: dict[str, object] = {}
        self._words: dict[str, list[str]] = {}

    def add(self, piece: dict[str, object]) -> str:
        """Take over what `piece` says; the words in it."""
        said = ""
        for name in _WORDS:
            text = piece.get(name)
            if isinstance(text, str):
                self._words.setdefault(name, []).append(text)
                said += text
        fields = self._fields
        for name, value in piece.items():
            if value is not None or name not in fields:
                fields[name] = value
        return said

    def continued_by(self, piece: dict[str, object]) -> bool:
        """The same thought goes on: kind and place are the same, and nothing says that it is another."""
        fields = self._fields
        if fields.get("type") != piece.get("type") or fields.get("index") != piece.get("index"):
            return False
        mine, other = fields.get("id"), piece.get("id")
        return (mine is None or other is None or mine == other) and not ("data" in piece and "data" in fields)

    def encoded(self) -> bytes:
        return _encode({**self._fields, **{name: "".join(words) for name, words in self._words.items()}})


class DetailsReader:
    """Collects the details: thoughts with what their server wants to find again, as signatures."""

    def __init__(self) -> None:
        self._details: list[_Detail] = []

    def add(self, data: msgspec.Raw | bytes, *, whole: bool) -> str:
        """Take what one event says, or a whole reply; the words in it. Raises `msgspec.DecodeError`."""
        return "".join([self._add(piece, whole=whole) for piece in _details.decode(data)])

    def _add(self, piece: dict[str, object], *, whole: bool) -> str:
        found = None if whole else self._open(piece)
        if found is None:
            found = _Detail()
            self._details.append(found)
        return found.add(piece)

    def _open(self, piece: dict[str, object]) -> _Detail | None:
        """The detail that `piece` goes on with: where it names its place, any; else only the last."""
        for each in reversed(self._details if "index" in piece else self._details[-1:]):
            if each.continued_by(piece):
                return each
        return None

    def encoded(self) -> str | None:
        """All of them as JSON, as they go back; None if there are none."""
        if not self._details:
            return None
        return (b"[" + b",".join(each.encoded() for each in self._details) + b"]").decode()
