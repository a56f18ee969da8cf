"""The content blocks of one Anthropic reply: put together from a stream, and back in their order. Pure."""

import msgspec

from hames.core.messages import Call
from hames.core.ports import CallDelta, Delta, ReasoningDelta, TextDelta
from hames.core.profiles import ModelProfile
from hames.models.calls import Written, with_own_ids

_encode = msgspec.json.encode
_THOUGHTS = ("thinking", "redacted_thinking")


class BlockDelta(msgspec.Struct, frozen=True):
    """A piece of a block, or at the end of the reply why it ended."""

    text: str | None = None
    thinking: str | None = None
    partial_json: str | None = None
    signature: str | None = None
    stop_reason: str | None = None
    stop_details: msgspec.Raw = msgspec.Raw()


class _Begin(msgspec.Struct, frozen=True):
    """What a block begins with; a server that does not stream sends it whole."""

    type: str = "text"
    text: str | None = None
    thinking: str | None = None
    id: str | None = None
    name: str | None = None
    input: msgspec.Raw = msgspec.Raw()


class _Place(msgspec.Struct, frozen=True, tag="text"):
    """Where words stood in a reply: `size` letters of its text, from the letter `at` on."""

    at: int
    size: int


class _Kept(msgspec.Struct, frozen=True):
    """The kind of a kept block, and the place of words."""

    type: str
    at: int = 0
    size: int = 0


_begins = msgspec.json.Decoder(_Begin)
_fields = msgspec.json.Decoder(dict[str, msgspec.Raw])
_kept_blocks = msgspec.json.Decoder(list[msgspec.Raw])
_kinds = msgspec.json.Decoder(_Kept)


class _Words:
    """What is said in several blocks, as one text."""

    def __init__(self) -> None:
        self.pieces: list[str] = []
        self.size = 0

    def add(self, text: str) -> None:
        self.pieces.append(text)
        self.size += len(text)


class _Block:
    """A block that is being written. `apart`: it does not go on with the sentence of the block before."""

    def __init__(self, begin: _Begin, raw: bytes, *, apart: bool) -> None:
        self.begin = begin
        self.raw = raw
        self.apart = apart
        self.at = 0
        self.pieces: list[str] = []
        self.signature: str | None = None

    def arguments(self) -> str:
        """The raw arguments; empty if none have come."""
        whole = bytes(self.begin.input).decode()
        return "".join(self.pieces) or ("" if whole in ("{}", "null") else whole)

    def thought(self) -> dict[str, msgspec.Raw]:
        """A thought with every field that the server sent."""
        fields = _fields.decode(self.raw)
        if self.pieces:
            fields["thinking"] = msgspec.Raw(_encode("".join(self.pieces)))
        if self.signature is not None:
            fields["signature"] = msgspec.Raw(_encode(self.signature))
        return fields


class BlocksReader:
    """Collects the blocks of a reply."""

    def __init__(self) -> None:
        self._blocks: list[_Block] = []
        self._by_index: dict[int | None, _Block] = {}
        self._said = _Words()
        self._thought = _Words()
        self._calls = 0

    @property
    def text(self) -> str:
        return "".join(self._said.pieces)

    @property
    def reasoning(self) -> str:
        return "".join(self._thought.pieces)

    def begin(self, index: int | None, raw: bytes, deltas: list[Delta]) -> None:
        """A block begins. Raises `msgspec.DecodeError` for one of another shape."""
        begin = _begins.decode(raw)
        follows = bool(self._blocks) and self._blocks[-1].begin.type == begin.type == "text"
        block = _Block(begin, raw, apart=not follows)
        self._blocks.append(block)
        self._by_index[index] = block
        if begin.type == "tool_use":
            deltas.append(CallDelta(self._calls, begin.name or ""))
            self._calls += 1
        self.add(index, BlockDelta(text=begin.text, thinking=begin.thinking), deltas)

    def add(self, index: int | None, piece: BlockDelta, deltas: list[Delta]) -> None:
        """A piece of a block. What belongs to no block, or not to one of this kind, is passed over."""
        block = self._by_index.get(index)
        if block is None:
            return
        kind = block.begin.type
        if piece.text and kind == "text":
            deltas.append(TextDelta(_told(block, piece.text, self._said)))
        elif piece.thinking and kind == "thinking":
            deltas.append(ReasoningDelta(_told(block, piece.thinking, self._thought)))
        elif piece.partial_json and kind == "tool_use":
            block.pieces.append(piece.partial_json)
        elif piece.signature is not None and kind == "thinking":
            block.signature = piece.signature

    def calls(self, raw: bytes) -> tuple[tuple[Call, ...], list[str]]:
        """The calls, and what was mended. Wire ids are unique."""
        blocks = [block for block in self._blocks if block.begin.type == "tool_use"]
        written = (Written(each.begin.id or "", each.begin.name or "", each.arguments()) for each in blocks)
        calls, repairs = with_own_ids(written, raw)
        left_out = {block.begin.type for block in self._blocks} - {"text", "tool_use", *_THOUGHTS}
        repairs += [f"blocks of the kind {kind!r} were left out" for kind in sorted(left_out)]
        return calls, repairs

    def opaque(self, *, cut: bool) -> str | None:
        """The thoughts as they came, and the places of words and calls among them; None without thoughts.

        A thought that the limit `cut` short has no signature, and would be refused.
        """
        kept: list[object] = []
        thoughts = 0
        for block in self._blocks:
            match block.begin.type:
                case "text" if block.pieces:
                    kept.append(_Place(block.at, sum(map(len, block.pieces))))
                case "tool_use":
                    kept.append({"type": "tool_use"})
                case "thinking" | "redacted_thinking":
                    thought = block.thought()
                    if not cut or "data" in thought or bytes(thought.get("signature", b'""')) != b'""':
                        kept.append(thought)
                        thoughts += 1
                case _:
                    pass
        return _encode(kept).decode() if thoughts else None


def _told(block: _Block, text: str, words: _Words) -> str:
    """Take in a piece of words; as it is shown, with the gap to the words before."""
    gap = ""
    if not block.pieces:
        gap = "\n\n" if block.apart and words.size else ""
        block.at = words.size + len(gap)
    block.pieces.append(text)
    words.add(gap + text)
    return gap + text


def maker(profile: ModelProfile) -> str:
    """Who may be given a thought back: a signature is good for the model that made it."""
    return f"messages/{profile.provider.name}/{profile.model}"


def replayed(opaque: str, text: str, calls: list[bytes]) -> list[bytes]:
    """The blocks of a reply as the model made them. Where its words or calls have been mended since, its
    thoughts come first."""
    blocks = [(bytes(raw), _kinds.decode(raw)) for raw in _kept_blocks.decode(opaque)]
    places = [kept for _, kept in blocks if kept.type == "text"]
    end = max((place.at + place.size for place in places), default=0)
    asked = sum(kept.type == "tool_use" for _, kept in blocks)
    if end != len(text) or asked != len(calls):
        thoughts = [raw for raw, kept in blocks if kept.type in _THOUGHTS]
        return [*thoughts, *words_block(text), *calls]
    found: list[bytes] = []
    left = iter(calls)
    for raw, kept in blocks:
        match kept.type:
            case "text":
                found += words_block(text[kept.at : kept.at + kept.size])
            case "tool_use":
                found.append(next(left))
            case _:
                found.append(raw)
    return found


def words_block(text: str) -> list[bytes]:
    """A text as a block; none for blank words, which the server refuses."""
    return [b'{"type":"text","text":' + _encode(text) + b"}"] if text.strip() else []
