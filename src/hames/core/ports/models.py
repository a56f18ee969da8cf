"""Requests to a model and its replies: the wire, and whoever answers."""

from collections.abc import AsyncGenerator, Mapping
from typing import Protocol

import msgspec

from hames.core.events import Usage
from hames.core.ids import BlobId
from hames.core.messages import ALONE, AssistantMessage, Finish, Message, ResultPlace


class Pinned(msgspec.Struct, frozen=True):
    """What all requests of a segment share. `tools` are the encoded JSON schemas of `ToolSpec`s."""

    model: str
    system: str
    tools: msgspec.Raw


class AskOptions(msgspec.Struct, frozen=True):
    """The parameters that may change from request to request; they follow the messages."""

    max_tokens: int | None = None
    effort: str | None = None


class Body(msgspec.Struct, frozen=True):
    """The bytes of one request, in the order they are sent. `chunks` are joined without separators."""

    chunks: tuple[bytes | bytearray | memoryview, ...]
    size: int
    sha256: str


class TextDelta(msgspec.Struct, frozen=True):
    """Some text, not yet final."""

    text: str


class ReasoningDelta(msgspec.Struct, frozen=True):
    """Some reasoning, not yet final."""

    text: str


class CallDelta(msgspec.Struct, frozen=True):
    """A call is being written; `name` is of its tool."""

    index: int
    name: str


class Alive(msgspec.Struct, frozen=True):
    """The server is there but has nothing to say yet. `queued` when it says so itself."""

    queued: bool


Delta = TextDelta | ReasoningDelta | CallDelta | Alive


class Reply(msgspec.Struct, frozen=True):
    """A whole reply. `raw` is what came over the wire; calls in `message` carry no ids of ours yet
    (`Call.id` is empty), the loop gives them."""

    message: AssistantMessage
    finish: Finish
    model: str
    usage: Usage
    raw: bytes
    first_byte_s: float
    repairs: tuple[str, ...] = ()


class ReplyReader(Protocol):
    """Reads one streamed reply. Fed with bytes as they come, cut anywhere."""

    def feed(self, data: bytes) -> list[Delta]:
        """What these bytes complete. Events that are not JSON are skipped and counted as repairs."""
        ...

    def finish(self, first_byte_s: float) -> Reply:
        """The reply. Raises `ModelError` `cut`, `empty`, `malformed`, `refused` or what an error
        event in the stream says."""
        ...


class BodyWire(Protocol):
    """The half of a wire that makes bodies.

    A body is `head + piece(m1) + b"," + piece(m2) + ... + tail`, with one message at least. The comma
    between two pieces is the assembler's; whatever must stand before the first piece ends the head
    (after a system message that is an element of the same list: a comma). Same input, same bytes, for
    ever. `images` must hold the bytes of each picture, unless the model cannot see. The results of one
    reply come all together: a wire that sends them as one message opens it with the first one and closes it
    with the last.
    """

    def head(self, pinned: Pinned) -> bytes: ...

    def piece(
        self, message: Message, images: Mapping[BlobId, bytes], place: ResultPlace = ALONE
    ) -> bytes: ...

    def tail(self, options: AskOptions) -> bytes: ...


class Wire(BodyWire, Protocol):
    """One provider protocol as pure translation: bodies one way, streamed replies the other."""

    def reader(self) -> ReplyReader: ...


class Model(Protocol):
    """Something that answers. One call is one attempt, and one attempt is one HTTP request."""

    def ask(self, body: Body) -> AsyncGenerator[Delta | Reply]:
        """Deltas, and last the `Reply`. Raises `ModelError`. Consume it under `aclosing`."""
        ...
