"""Identifiers, each its own type, so that a checker catches a mix-up."""

from hashlib import sha256
from typing import NewType

SessionId = NewType("SessionId", str)
"""A session: 26 characters, sorts by the time it was opened."""

CallId = NewType("CallId", str)
"""A call within its session: `STEP.INDEX`, for example `12.0`. Ours, not the model's."""

JobId = NewType("JobId", str)
"""A command handed to the launcher: the call it came from, for example `12.0`."""

BlobId = NewType("BlobId", str)
"""A content address: the SHA-256 of the bytes, as 64 hexadecimal digits."""


def blob_id(data: bytes) -> BlobId:
    """The content address of `data`."""
    return BlobId(sha256(data).hexdigest())


def call_id(step: int, index: int) -> CallId:
    """The id of the call at place `index` (from 0) of the reply of `step`."""
    return CallId(f"{step}.{index}")


_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"


def session_id(now_ms: int, noise: int) -> SessionId:
    """A new session id from the wall clock (milliseconds) and 80 bits of noise; sorts by time."""
    number = (now_ms & (2**48 - 1)) << 80 | (noise & (2**80 - 1))
    digits = (_ALPHABET[number >> shift & 31] for shift in range(125, -1, -5))
    return SessionId("".join(digits))


def is_session_id(text: str) -> bool:
    """Whether `text` has the form of a session id."""
    return len(text) == 26 and all(char in _ALPHABET for char in text)
