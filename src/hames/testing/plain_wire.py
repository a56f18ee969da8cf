"""The simplest wire there can be, for tests that do not care about a provider's protocol."""

from collections.abc import Mapping

import msgspec

from hames.core.ids import BlobId
from hames.core.messages import ALONE, Message, ResultPlace
from hames.core.ports import AskOptions, Pinned


class PlainWire:
    """Bodies are `{"model":...,"messages":[...],"options":...}` with messages as we hold them.

    It has no reader: whoever answers it in a test makes its own replies.
    """

    def head(self, pinned: Pinned) -> bytes:
        """Model, prompt and tools."""
        shared = {"model": pinned.model, "system": pinned.system, "tools": pinned.tools}
        return msgspec.json.encode(shared)[:-1] + b',"messages":['

    def piece(self, message: Message, images: Mapping[BlobId, bytes], place: ResultPlace = ALONE) -> bytes:
        """One message, with the sizes of the pictures it was given."""
        return msgspec.json.encode([message, {blob: len(data) for blob, data in images.items()}])

    def tail(self, options: AskOptions) -> bytes:
        """The variable parameters."""
        return b'],"options":' + msgspec.json.encode(options) + b"}"
