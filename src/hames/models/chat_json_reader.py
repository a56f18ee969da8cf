"""Reads replies that are JSON of the form that was asked for, in place of native calls. Pure."""

import re
from collections.abc import Sequence
from hashlib import sha256

import msgspec

from hames.core.errors import FailureKind, ModelError
from hames.core.ids import CallId
from hames.core.lenient import Found, Refused, read_object
from hames.core.messages import Call
from hames.core.ports import Alive, CallDelta, Delta, Reply, TextDelta
from hames.models.calls import is_plain
from hames.models.chat_reader import ChatReader

# Patterns are compiled when they are first used: few sessions speak in this way.
_SAY = r'\s*\{\s*"say"\s*:\s*"'
_LETTERS = r'(?:[^"\\]|\\(?:u[0-9a-fA-F]{4}|[^u]))+'
_HALF = r"\\u[dD][89abAB][0-9a-fA-F]{2}\Z"
_CALLED = r'"calls"\s*:\s*\[\s*\{\s*"name"\s*:\s*"([^"\\]+)"'

_ID_DIGITS = 8
_KEPT_CHARS = 300
"""More than the beginning of a reply and that of a call take."""


class _Asked(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    name: str
    arguments: dict[str, msgspec.Raw] = {}


class _Calls(msgspec.Struct, frozen=True):
    """The same calls, their arguments as they were written."""

    calls: list[dict[str, msgspec.Raw]] = []


class _Said(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    say: str = ""
    calls: list[_Asked] = []


class ChatJsonReader:
    """Implements `ReplyReader`. `name` is of the provider, `chat` reads what carries the JSON."""

    def __init__(self, name: str, chat: ChatReader) -> None:
        self._name = name
        self._chat = chat
        self._progress = _Progress()

    def feed(self, data: bytes) -> list[Delta]:
        """What these bytes complete: the words in the JSON, not the JSON."""
        found: list[Delta] = []
        for delta in self._chat.feed(data):
            found += self._progress.take(delta.text) if isinstance(delta, TextDelta) else [delta]
        return found

    def finish(self, first_byte_s: float) -> Reply:
        """The reply, or the `ModelError` that says why there is none."""
        reply = self._chat.finish(first_byte_s)
        text = reply.message.text
        if reply.message.calls or not text.strip():
            return reply
        read = read_object(text)
        if isinstance(read, Refused) or read.repairs:
            why = read.why if isinstance(read, Refused) else "it is no valid JSON"
            raise self._failure(reply, f"{why}; it begins with {text[:60]!r}")
        try:
            said = msgspec.json.decode(text, type=_Said)
        except msgspec.ValidationError as error:
            raise self._failure(reply, str(error)) from None
        if not said.calls and not said.say.strip():
            raise ModelError("empty", f"{self._name} sent an empty reply", raw=reply.raw)
        calls = _calls(read, said, reply.raw)
        return msgspec.structs.replace(
            reply,
            message=msgspec.structs.replace(reply.message, text=said.say, calls=calls),
            finish="calls" if calls else "stop",
        )

    def _failure(self, reply: Reply, why: str) -> ModelError:
        kinds: dict[str, FailureKind] = {"length": "cut", "filter": "refused"}
        words = f"{self._name} did not answer in the form that it was asked for: {why}"
        return ModelError(kinds.get(reply.finish, "malformed"), words, raw=reply.raw)


def _calls(read: Found, said: _Said, raw: bytes) -> tuple[Call, ...]:
    """The calls, each with an id that begins with its tool and its place, and is like no other."""
    sum_ = sha256(raw).hexdigest()[:_ID_DIGITS]
    written = msgspec.json.decode(read.text, type=_Calls).calls
    return tuple(
        Call(
            CallId(""),
            f"{asked.name if is_plain(asked.name) else 'call'}_{at}_{sum_}",
            asked.name,
            bytes(fields.get("arguments", b"{}")).decode(),
        )
        for at, (asked, fields) in enumerate(zip(said.calls, written, strict=True), 1)
    )


class _Progress:
    """Follows a reply that is being written, to show its words and that a call has begun."""

    def __init__(self) -> None:
        self._left = ""
        self._in_words: bool | None = None
        self._has_called = False

    def take(self, text: str) -> Sequence[Delta]:
        """What can be shown of this piece."""
        self._left += text
        if self._in_words is None:
            begin = re.match(_SAY, self._left)
            if begin is None:
                return self._called()
            self._in_words, self._left = True, self._left[begin.end() :]
        if self._in_words:
            words = self._words()
            return [TextDelta(words)] if words else [Alive(queued=False)]
        return self._called()

    def _words(self) -> str:
        """The words that are whole so far: no half of an escape, or of a letter that takes two."""
        match = re.match(_LETTERS, self._left)
        whole = re.sub(_HALF, "", match[0]) if match else ""
        self._left = self._left[len(whole) :]
        self._in_words = not self._left.startswith('"')
        try:
            return msgspec.json.decode(f'"{whole}"', type=str)
        except (msgspec.DecodeError, UnicodeError):
            self._in_words = False  # It is no JSON: the end will tell.
            return ""

    def _called(self) -> Sequence[Delta]:
        found = None if self._has_called else re.search(_CALLED, self._left)
        if found is None and len(self._left) <= _KEPT_CHARS:
            return [Alive(queued=False)]
        self._in_words = False
        self._left = self._left[-_KEPT_CHARS:]
        if found is None:
            return [Alive(queued=False)]
        self._has_called = True
        return [CallDelta(0, found[1])]
