"""Puts together the `reasoning_details` of a streamed Chat Completions reply. Pure."""

import msgspec

_encode = msgspec.json.encode
_details = msgspec.json.Decoder(list[dict[str, msgspec.Raw]])
_strings = msgspec.json.Decoder(str)

_WORDS = frozenset(("text", "summary"))
"""Fields that come in pieces; of all others the last value holds."""

_NULL = msgspec.Raw(b"null")


class _Detail:
    """A detail that is being written."""

    def __init__(self) -> None:
        self.fields: dict[str, msgspec.Raw] = {}
        self.words: dict[str, list[str]] = {}

    def add(self, piece: dict[str, msgspec.Raw]) -> str:
        said = ""
        for name, value in piece.items():
            if name in _WORDS and bytes(value)[:1] == b'"':
                text = _strings.decode(value)
                self.words.setdefault(name, []).append(text)
                said += text
            if value != _NULL or name not in self.fields:
                self.fields[name] = value
        return said

    def continued_by(self, piece: dict[str, msgspec.Raw]) -> bool:
        """The same thought goes on: kind and place are the same, and nothing says that it is another."""
        fields = self.fields
        if "data" in piece and "data" in fields:
            return False
        mine, other = fields.get("id", _NULL), piece.get("id", _NULL)
        return (
            (mine == other or _NULL in (mine, other))
            and fields.get("type", _NULL) == piece.get("type", _NULL)
            and fields.get("index", _NULL) == piece.get("index", _NULL)
        )

    def encoded(self) -> bytes:
        joined = {name: msgspec.Raw(_encode("".join(words))) for name, words in self.words.items()}
        return _encode({**self.fields, **joined})


class DetailsReader:
    """Collects the details: thoughts with what their server wants to find again, as signatures."""

    def __init__(self) -> None:
        self._details: list[_Detail] = []

    def add(self, data: msgspec.Raw | bytes, *, whole: bool) -> str:
        """Take what one event says, or a whole reply; the words in it. Raises `msgspec.DecodeError`."""
        return "".join(self._add(piece, whole=whole) for piece in _details.decode(data))

    def _add(self, piece: dict[str, msgspec.Raw], *, whole: bool) -> str:
        found = None if whole else self._open(piece)
        if found is None:
            found = _Detail()
            self._details.append(found)
        return found.add(piece)

    def _open(self, piece: dict[str, msgspec.Raw]) -> _Detail | None:
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
