"""The output of one command on disk: its head, its tail, and the count of what lies between."""

import os


class Spool:
    """Takes output as it comes. A disk that is full costs bytes, which are counted, never the command."""

    def __init__(self, path: str, head_bytes: int, tail_bytes: int) -> None:
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
        self.path = path
        self.total = 0
        self.kept = 0
        self._fd = os.open(path, flags, 0o600)
        self._head_bytes = head_bytes
        self._tail_bytes = tail_bytes
        self._tail = bytearray()

    def take(self, data: bytes) -> None:
        """Add some output."""
        self.total += len(data)
        room = self._head_bytes - self.kept
        if room > 0:
            written = self._write(data[:room])
            if written < min(room, len(data)):
                self._head_bytes = self.kept
            data = data[written:]
        if data:
            self._tail += data
            if len(self._tail) > 2 * self._tail_bytes:
                self._trim()

    def slice(self, start: int, limit: int) -> tuple[int, bytes]:
        """At most `limit` bytes from `start` on, and where they begin: after the gap, if they must."""
        self._trim()
        if start < self._head_bytes:
            return start, os.pread(self._fd, min(limit, self._head_bytes - start), start)
        first = max(start, self.total - len(self._tail))
        skip = first - (self.total - len(self._tail))
        return first, bytes(self._tail[skip : skip + limit])

    def close(self) -> None:
        """Nothing follows: the tail goes behind the head."""
        self._trim()
        self._write(bytes(self._tail))
        os.close(self._fd)

    def remove(self) -> None:
        """Remove the file, if it is still there."""
        try:
            os.unlink(self.path)
        except OSError:
            return

    def _trim(self) -> None:
        if len(self._tail) > self._tail_bytes:
            del self._tail[: -self._tail_bytes]

    def _write(self, data: bytes) -> int:
        view = memoryview(data)
        done = 0
        while done < len(data):
            try:
                done += os.write(self._fd, view[done:])
            except OSError:
                break
        self.kept += done
        return done
