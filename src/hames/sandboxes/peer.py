"""One connection to the supervisor: requests as they come whole, answers as the other side takes them."""

import os
import select
import sys
from _socket import CMSG_LEN, MSG_DONTWAIT, SCM_RIGHTS, SOL_SOCKET, socket

from hames.sandboxes.wire import Frame, Frames, Items, encode

_FDS_AT_ONCE = 4
_READ_BYTES = 64 * 1024


class Peer:
    """Never blocks. `open` ends when the other side is gone or what it sends is no frame."""

    def __init__(self, connection: socket, poll: select.poll) -> None:
        self.open = True
        self.fd = connection.fileno()
        self._connection = connection
        self._poll = poll
        self._frames = Frames()
        self._fds: list[int] = []
        self._unsent = bytearray()
        poll.register(self.fd, select.POLLIN)

    def receive(self) -> list[Frame]:
        """The requests that have come whole; called when there is something to read."""
        try:
            data, extra, _, _ = self._connection.recvmsg(
                _READ_BYTES, CMSG_LEN(4 * _FDS_AT_ONCE), MSG_DONTWAIT
            )
        except BlockingIOError:
            return []
        except OSError:
            data, extra = b"", []
        for level, kind, packed in extra:
            if (level, kind) == (SOL_SOCKET, SCM_RIGHTS):
                for at in range(0, len(packed) - len(packed) % 4, 4):
                    fd = int.from_bytes(packed[at : at + 4], sys.byteorder)
                    os.set_inheritable(fd, False)
                    self._fds.append(fd)
        if not data:
            self.open = False
            return []
        try:
            return self._frames.feed(data)
        except ValueError:
            self.open = False
            return []

    def take_fd(self) -> int | None:
        """The oldest descriptor that came with the requests."""
        return self._fds.pop(0) if self._fds else None

    def reply(self, number: str, items: Items, body: bytes = b"") -> None:
        """Answer a request that asked for an answer."""
        if number:
            self.send(encode([("number", number), *items], body))

    def send(self, data: bytes = b"") -> None:
        """Send this, and what is left of what was sent before, as far as it goes now."""
        self._unsent += data
        try:
            sent = self._connection.send(self._unsent, MSG_DONTWAIT)
        except BlockingIOError:
            sent = 0
        except OSError:
            self.open = False
            return
        waited = len(self._unsent) > len(data)
        del self._unsent[:sent]
        if waited or self._unsent:
            self._poll.modify(self.fd, select.POLLIN | (select.POLLOUT if self._unsent else 0))

    def close(self) -> None:
        """Let go of it."""
        self.open = False
        for fd in self._fds:
            os.close(fd)
        self._fds.clear()
        self._poll.unregister(self.fd)
        self._connection.close()
