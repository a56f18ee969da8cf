"""The bytes of one reply, streamed or whole, and what could not be read of them, on any wire. Pure."""

import msgspec

from hames.core.errors import ModelError
from hames.core.messages import AssistantMessage, Finish
from hames.models.sse import EventCutter, begins_json

NOTHING = (msgspec.Raw(), msgspec.Raw(b"null"))
"""A field that is not there, or says nothing."""


class ReplyStream:
    """What a reader of the provider `name` is fed with. The reader notes its troubles here.

    `error` is what the server itself said of its failure, `misshapen` what was wrong with an event that had
    to be read, `unreadable` how many were no JSON, and `repairs` what was mended.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.error = b""
        self.misshapen = ""
        self.unreadable = 0
        self.repairs: list[str] = []
        self._raw: list[bytes] = []
        self._cutter = EventCutter()
        # None until it is known whether the body is one JSON value, as from a server without streaming.
        self._whole: bool | None = None

    def feed(self, data: bytes) -> list[bytes | None]:
        """The events that these bytes complete, None for a comment; nothing of a body that is one value."""
        self._raw.append(data)
        if self._whole is None:
            self._whole = begins_json(self._raw)
        return [] if self._whole else self._cutter.feed(data)

    def end(self) -> list[bytes | None]:
        """There are no more bytes: the last events."""
        return self._cutter.end()

    @property
    def is_whole(self) -> bool:
        """Whether the body is one JSON value."""
        return bool(self._whole)

    @property
    def raw(self) -> bytes:
        """All bytes so far."""
        return b"".join(self._raw)

    def check_end(self, raw: bytes, *, is_ended: bool) -> None:
        """Raises `ModelError` when an event could not be read that had to be, or the server never ended."""
        if self.misshapen:
            words = f"{self.name} sent an event that cannot be read: {self.misshapen}"
            raise ModelError("malformed", words, raw=raw)
        if not is_ended:
            raise ModelError("cut", f"the reply of {self.name} ended before it was finished", raw=raw)

    def check_content(
        self, message: AssistantMessage, finish: Finish, raw: bytes, *, is_thought: bool
    ) -> None:
        """Raises `ModelError` for a reply that says nothing, unless the limit ended a thought."""
        if message.calls or message.text.strip() or (finish == "length" and is_thought):
            return
        raise ModelError("empty", f"{self.name} sent an empty reply", raw=raw)

    def all_repairs(self, of_calls: list[str]) -> tuple[str, ...]:
        """What was mended, of its calls last."""
        skipped = f"{self.unreadable} events that are not JSON were skipped"
        return (*self.repairs, *([skipped] if self.unreadable else ()), *of_calls)
