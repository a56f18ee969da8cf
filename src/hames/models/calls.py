"""Calls as they come from a server and go back to one, whatever the wire. Pure."""

from collections.abc import Iterable
from hashlib import sha256
from typing import NamedTuple

import msgspec

from hames.core.ids import CallId
from hames.core.messages import Call

# Shorter ids, as `call_0`, are not unique in a session; longer ones are refused.
_ID_CHARS = range(10, 65)


class Written(NamedTuple):
    """A call as the server wrote it; an empty id is none."""

    wire_id: str
    name: str
    arguments: str


def with_own_ids(written: Iterable[Written], raw: bytes) -> tuple[tuple[Call, ...], list[str]]:
    """The calls, each with a wire id of its own, and what was mended for it. `raw` is the whole reply."""
    repairs: list[str] = []
    used: set[str] = set()
    calls: list[Call] = []
    for at, (wire_id, name, arguments) in enumerate(written):
        own = wire_id
        if not wire_id or wire_id in used:
            # From the bytes of the reply: the same for the same reply, another in the next one.
            own = f"call_{sha256(raw).hexdigest()[:16]}_{at}"
            repairs.append(f"the id of call {at} was {'twice' if wire_id else 'missing'}: it is now {own}")
        used.add(own)
        calls.append(Call(CallId(""), own, name, arguments))
    return tuple(calls), repairs


def sent_id(wire_id: str, call: CallId) -> str:
    """The id that a call and its result have for a server that is strict with them: the one that came with
    the call, or one of our own where it would not be taken."""
    if is_plain(wire_id) and wire_id.strip("_-") and len(wire_id) in _ID_CHARS:
        return wire_id
    return "call_" + sha256(f"{call} {wire_id}".encode()).hexdigest()[:24]


def is_plain(name: str) -> bool:
    """Only letters, digits, `_` and `-`, as ids and names of tools must be."""
    return name.isascii() and name.replace("_", "a").replace("-", "a").isalnum()


def is_object(arguments: str) -> bool:
    """The arguments are a whole JSON object: they cannot have been cut."""
    try:
        msgspec.json.decode(arguments.encode(), type=dict[str, msgspec.Raw])
    except (msgspec.DecodeError, UnicodeEncodeError):
        return False
    return True
