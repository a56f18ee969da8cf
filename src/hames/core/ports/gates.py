"""The gate that requests to a provider go through, shared by all who use one key."""

from typing import Protocol

import msgspec


class Closed(msgspec.Struct, frozen=True):
    """Nothing may be sent now. `until` is the wall time, in seconds, at which to look again; `why` is for a
    person."""

    until: float
    why: str


class Pass(Protocol):
    """Leave to send one request. Must be closed."""

    def answered(self) -> None:
        """The server has begun to answer: others may follow."""
        ...

    def refused(self, wait_s: float | None, why: str) -> float:
        """The provider cannot serve anybody now: nothing is sent before the wall time, in seconds, that is
        given back. `wait_s` is what the server has asked for."""
        ...

    def close(self) -> None:
        """The request is over. Harmless when said twice."""
        ...


class Gate(Protocol):
    """Lets requests through, for all sessions on this machine that use one key."""

    def enter(self) -> Pass | Closed:
        """Leave to send, or when to look again. Never waits, and never raises."""
        ...
