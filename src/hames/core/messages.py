"""What is said: messages and their parts, independent of any provider's wire."""

from collections.abc import Sequence
from typing import Literal

import msgspec

from hames.core.ids import BlobId, CallId


class Text(msgspec.Struct, frozen=True, tag="text"):
    """A run of text."""

    text: str


class Image(msgspec.Struct, frozen=True, tag="image"):
    """A picture, by the content address of its bytes. `media_type` as in `image/png`."""

    media_type: str
    blob: BlobId


Part = Text | Image


class Reasoning(msgspec.Struct, frozen=True, omit_defaults=True):
    """A model's reasoning, kept verbatim for the wire that made it.

    `wire` names who may be given it back; `opaque` holds signatures or encrypted items as JSON text.
    """

    wire: str
    text: str
    opaque: str | None = None


class Call(msgspec.Struct, frozen=True):
    """One tool invocation asked for by a model. `arguments` is the raw string that it sent."""

    id: CallId
    wire_id: str
    name: str
    arguments: str


class UserMessage(msgspec.Struct, frozen=True, tag="user", omit_defaults=True):
    """Words to the model: from a person, or a labelled note of the harness. `passing` ones may be left out
    when the window runs full."""

    parts: tuple[Part, ...]
    passing: bool = False


class AssistantMessage(msgspec.Struct, frozen=True, tag="assistant", omit_defaults=True):
    """One reply of the model."""

    text: str
    reasoning: Reasoning | None = None
    calls: tuple[Call, ...] = ()


class ToolMessage(msgspec.Struct, frozen=True, tag="tool"):
    """The result of one call, as the model sees it."""

    call: CallId
    wire_id: str
    parts: tuple[Part, ...]


Message = UserMessage | AssistantMessage | ToolMessage


class ResultPlace(msgspec.Struct, frozen=True):
    """Where a result stands among the results of its reply. Any other message stands alone."""

    first: bool = True
    last: bool = True


ALONE = ResultPlace()
"""Both the first and the last."""

Finish = Literal["stop", "calls", "length", "filter", "other"]
"""Why a model stopped: its own end, calls to be run, the output limit, a content filter, or else."""


def plain(parts: tuple[Part, ...]) -> str:
    """The text of `parts`, with a placeholder for each picture."""
    return "\n".join(p.text if isinstance(p, Text) else f"[{p.media_type} image]" for p in parts)


def result_place(messages: Sequence[Message], index: int) -> ResultPlace:
    """Where the message at `index` stands among the results of its reply."""
    if not isinstance(messages[index], ToolMessage):
        return ALONE
    before, after = index - 1, index + 1
    return ResultPlace(
        first=before < 0 or not isinstance(messages[before], ToolMessage),
        last=after == len(messages) or not isinstance(messages[after], ToolMessage),
    )
