"""The bytes of one reply, streamed or whole, and what could not be read of them, on any wire. Pure."""

from collections.abc import Callable, Sequence

import msgspec

from hames.core.errors import ModelError
from hames.core.messages import AssistantMessage, Finish
from hames.core.ports import Alive, Delta
from hames.models.failures import stream_failure
from hames.models.sse import EventCutter, begins_json, without_halves

Read = Callable[[bytes, list[Delta]], None]
"""Takes in an event, and adds what it completes. Raises `msgspec.DecodeError` before it takes in anything."""

NOTHING = (msgspec.Raw(), msgspec.Raw(b"null"))
"""A field that is not there, or says nothing."""


class ReplyStream:
    """What a reader of the provider `name` is fed with, which reads each event, or the whole body of a server
    that does not stream.

    Troubles are noted here. `error` is what the server itself said of its failure, `misshapen` what was wrong
    with an event that had to be read, `unreadable` how many were no JSON, and `repairs` what was mended.
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

    def feed(self, data: bytes, read: Read) -> list[Delta]:
        """What the events say that these bytes complete."""
        self._raw.append(data)
        if self._whole is None:
            self._whole = begins_json(self._raw)
        return [] if self._whole else self._take(self._cutter.feed(data), read)

    def end(self, read: Read) -> None:
        """There are no more bytes: read the last events, or the whole body."""
        if self._whole:
            self._try(self.raw, [], read)
        else:
            self._take(self._cutter.end(), read)

    @property
    def is_whole(self) -> bool:
        """Whether the body is one JSON value."""
        return bool(self._whole)

    @property
    def raw(self) -> bytes:
        """All bytes so far."""
        return b"".join(self._raw)

    def _take(self, events: Sequence[bytes | None], read: Read) -> list[Delta]:
        deltas: list[Delta] = []
        for event in events:
            if event is None:
                deltas.append(Alive(queued=True))
            elif event != b"[DONE]":
                self._try(event, deltas, read)
        return deltas

    def _try(self, data: bytes, deltas: list[Delta], read: Read) -> None:
        try:
            read(data, deltas)
        except msgspec.ValidationError as error:
            if data.lstrip()[:1] == b"{":
                self.misshapen = self.misshapen or str(error)
            else:
                self.unreadable += 1
        except (msgspec.DecodeError, UnicodeDecodeError):
            # Half of a surrogate pair, which some servers send where they cut an emoji.
            mended = without_halves(data)
            if mended == data:
                self.unreadable += 1
            else:
                self.repairs.append("half a character was replaced")
                self._try(mended, deltas, read)

    def check_end(self, raw: bytes, *, is_ended: bool) -> None:
        """Raises `ModelError` for what the server said of its failure, when an event could not be read that
        had to be, or the server never ended."""
        if self.error:
            raise stream_failure(self.error, self.name, raw)
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
