"""Frames between hames and the two small processes it starts; imports nothing, so that they start fast.

A frame is two lengths of four bytes, then that many bytes of head and of body. The head is `key=value`
items with NUL between them; a key may come several times. Nothing here trusts the other side.
"""

FRAME_BYTES = 64 * 1024 * 1024
"""A longer frame is refused before it is held."""

Items = list[tuple[str, str]]

Answer = tuple[Items, bytes]
"""What a request is answered with: items, and a body."""


class Frame:
    """One message: its items by key, and its body."""

    __slots__ = ("body", "fields")

    def __init__(self, fields: dict[str, list[str]], body: bytes) -> None:
        self.fields = fields
        self.body = body

    def get(self, key: str, default: str = "") -> str:
        """The first value of `key`."""
        values = self.fields.get(key)
        return values[0] if values else default

    def all(self, key: str) -> list[str]:
        """All values of `key`, in order."""
        return self.fields.get(key, [])

    def number(self, key: str) -> float | None:
        """The value of `key` as a number, None when it is not there."""
        text = self.get(key)
        return float(text) if text else None


def encode(items: Items, body: bytes = b"") -> bytes:
    """A frame as bytes. Raises ValueError for a NUL, and for what cannot be encoded."""
    parts = [f"{key}={value}" for key, value in items]
    head = "\0".join(parts).encode("utf-8", "surrogateescape")
    if head.count(0) != max(0, len(parts) - 1):
        raise ValueError("a NUL character cannot be sent")
    return len(head).to_bytes(4, "big") + len(body).to_bytes(4, "big") + head + body


def _fields(head: bytes) -> dict[str, list[str]]:
    fields: dict[str, list[str]] = {}
    if head:
        for item in head.decode("utf-8", "surrogateescape").split("\0"):
            key, _, value = item.partition("=")
            fields.setdefault(key, []).append(value)
    return fields


class Frames:
    """Cuts a stream of bytes into frames."""

    __slots__ = ("_held",)

    def __init__(self) -> None:
        self._held = bytearray()

    def feed(self, data: bytes) -> list[Frame]:
        """The frames that these bytes complete. Raises ValueError for one that is too long."""
        self._held += data
        frames: list[Frame] = []
        while len(self._held) >= 8:
            head = int.from_bytes(self._held[:4], "big")
            size = 8 + head + int.from_bytes(self._held[4:8], "big")
            if size > FRAME_BYTES:
                raise ValueError("a frame is too long")
            if len(self._held) < size:
                break
            fields = _fields(bytes(self._held[8 : 8 + head]))
            frames.append(Frame(fields, bytes(self._held[8 + head : size])))
            del self._held[:size]
        return frames
