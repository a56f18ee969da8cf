"""Text as a model or a person is shown it: decoded, cleaned, measured and cut. Pure functions."""

import codecs
import re
from collections.abc import Iterable

import msgspec

_encode = msgspec.json.Encoder().encode

# Patterns are compiled when they are first used: starting costs nothing.
_SEQUENCE = (
    r"\x1b\[[0-?]*[ -/]*[@-~]"  # colours, cursor
    r"|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)"  # titles, links
    r"|\x1b[PX^_][^\x1b]*\x1b\\"  # device strings
    r"|\x1b[ -/]*[0-Z\\^-~]"  # all the short ones
)
_CONTROL = r"[\x00-\x08\x0b-\x1f\x7f-\x9f]"  # but tab and line feed
_ODD_BYTES = bytes([*range(1, 8), *range(14, 27), *range(28, 32)])

_MAGIC = (
    (0, b"\x89PNG\r\n\x1a\n", "PNG image"),
    (0, b"\xff\xd8\xff", "JPEG image"),
    (0, b"GIF87a", "GIF image"),
    (0, b"GIF89a", "GIF image"),
    (8, b"WEBP", "WebP image"),
    (0, b"%PDF-", "PDF document"),
    (0, b"PK\x03\x04", "zip archive"),
    (0, b"PK\x05\x06", "zip archive"),
    (0, b"\x1f\x8b", "gzip data"),
    (0, b"BZh", "bzip2 data"),
    (0, b"\xfd7zXZ\x00", "xz data"),
    (0, b"\x28\xb5\x2f\xfd", "zstandard data"),
    (0, b"7z\xbc\xaf\x27\x1c", "7-zip archive"),
    (257, b"ustar", "tar archive"),
    (0, b"\x7fELF", "ELF program"),
    (0, b"\xcf\xfa\xed\xfe", "Mach-O program"),
    (0, b"MZ", "Windows program"),
    (0, b"\x00asm", "WebAssembly module"),
    (0, b"SQLite format 3\x00", "SQLite database"),
    (0, b"\xca\xfe\xba\xbe", "Java class"),
    (4, b"ftyp", "MP4 video"),
    (0, b"OggS", "Ogg media"),
    (0, b"ID3", "MP3 audio"),
    (0, b"wOF2", "WOFF2 font"),
    (0, b"\xff\xfe", "UTF-16 text"),
    (0, b"\xfe\xff", "UTF-16 text"),
)
_MEDIA = {
    "PNG image": "image/png",
    "JPEG image": "image/jpeg",
    "GIF image": "image/gif",
    "WebP image": "image/webp",
}
PICTURE_TYPES = frozenset(_MEDIA.values())
"""The media types of pictures that models can be shown: what strict servers take."""

_SAMPLE_BYTES = 8192


class Shown(msgspec.Struct, frozen=True):
    """A text ready to be shown; `cut` when some of it was left out."""

    text: str
    cut: bool


# Bytes


def decode(data: bytes) -> str:
    """UTF-8, with a replacement character for what is none."""
    return data.decode("utf-8", "replace")


def decode_start(data: bytes) -> str:
    """As `decode`, for bytes whose end was cut off: a broken last character is left out."""
    return codecs.utf_8_decode(data, "replace", False)[0]


def decode_end(data: bytes) -> str:
    """As `decode`, for bytes whose start was cut off: a broken first character is left out."""
    skip = 0
    while skip < min(3, len(data)) and data[skip] & 0xC0 == 0x80:
        skip += 1
    return decode(data[skip:])


def is_binary(data: bytes) -> bool:
    """Whether the start of some data looks like no text: a known format, or many control bytes.

    Some NULs do not make it binary: programs separate names with them.
    """
    sample = data[:_SAMPLE_BYTES]
    odd = len(sample) - len(sample.translate(None, _ODD_BYTES))
    nuls = sample.count(0)
    return odd * 25 > len(sample) or nuls * 5 > len(sample) or (odd + nuls > 0 and bool(kind_of(sample)))


def kind_of(data: bytes) -> str:
    """The format that the first bytes tell of, or nothing."""
    for at, magic, kind in _MAGIC:
        if data.startswith(magic, at):
            return kind
    return ""


def media_type(data: bytes) -> str:
    """The media type of a picture that models can be shown, or nothing."""
    return _MEDIA.get(kind_of(data), "")


# Cleaning


def clean(text: str) -> str:
    """Without colours and control codes, progress settled to its last state. Idempotent."""
    if text.isprintable():
        return text
    if "\x1b" in text:
        text = re.sub(_SEQUENCE, "", text)
    if "\0" in text:
        text = text.replace("\0", "\n")
    if "\r" in text:
        text = _settled(text)
    return for_terminal(text, lines=True)


def _settled(text: str) -> str:
    lines = text.replace("\r\n", "\n").split("\n")
    return "\n".join(_last_state(line) if "\r" in line else line for line in lines)


def _last_state(line: str) -> str:
    return next((state for state in reversed(line.split("\r")) if state), "")


def for_terminal(text: str, *, lines: bool = False) -> str:
    """`text` without the control characters that a terminal would obey; tabs stay.

    On one line, a space stands for each of them and for each line feed. With `lines`, line feeds stay too,
    and the rest is left out.
    """
    if lines:
        return re.sub(_CONTROL, "", text)
    return re.sub(_CONTROL, " ", text).replace("\n", " ")


def one_line(text: str, most: int) -> str:
    """`text` on one line of at most `most` characters."""
    flat = " ".join(text.split())
    return flat if len(flat) <= most else f"{flat[: most - 1]}…"


def listed(names: Iterable[str], most: int = 8) -> str:
    """At most so many of some names, and how many more there are."""
    every = list(names)
    return ", ".join(every[:most]) + and_more(len(every) - most)


def and_more(left_out: int) -> str:
    """How an enumeration ends that leaves out so many; nothing where none are."""
    return f", and {left_out} more" if left_out > 0 else ""


def presentable(text: str) -> str:
    """Text with bytes escaped as lone surrogates, made fit to be encoded."""
    return decode(text.encode("utf-8", "surrogateescape"))


# Measuring and cutting


def wire_size(text: str) -> int:
    """The bytes that `text` takes inside a JSON string."""
    return len(_encode(text)) - 2


def clip(text: str, limit: int) -> str:
    """The longest start of `text` that takes at most `limit` bytes on the wire."""
    text = text[: max(limit, 0)]
    if wire_size(text) <= limit:
        return text
    return text[: _most(text, limit, from_end=False)]


def clip_end(text: str, limit: int) -> str:
    """The longest end of `text` that takes at most `limit` bytes on the wire."""
    text = text[max(len(text) - max(limit, 0), 0) :]
    if wire_size(text) <= limit:
        return text
    return text[len(text) - _most(text, limit, from_end=True) :]


def _most(text: str, limit: int, *, from_end: bool) -> int:
    low, high = 0, len(text)
    while low < high:
        middle = (low + high + 1) // 2
        piece = text[len(text) - middle :] if from_end else text[:middle]
        low, high = (middle, high) if wire_size(piece) <= limit else (low, middle - 1)
    return low


def fit(head: bytes, tail: bytes, total: int, limit: int, handle: str = "", lines: int = 0) -> Shown:
    """Output as it is shown: whole if it takes at most `limit` bytes on the wire, else its start, a
    note of what is left out, and its end.

    `head` and `tail` are the first and last bytes of `total`; together they may be all of it.
    `handle` names where the whole can be read, `lines` how many lines it has, when that is known.
    """
    overlap = len(head) + len(tail) - total
    if overlap >= 0:
        start = end = clean(decode(head + tail[overlap:]))
        if wire_size(start) <= limit:
            return Shown(start, False)
    else:
        start, end = clean(decode_start(head)), clean(decode_end(tail))
    room = limit - wire_size(_note(total, total, handle, lines))
    if room < 0:
        return Shown(clip(start, limit), True)
    start = _whole_lines(clip(start, room * 2 // 5))
    end = _whole_lines_of_end(clip_end(end, room - wire_size(start)))
    note = _note(total - _raw_size(start) - _raw_size(end), total, handle, lines)
    return Shown(f"{start}{note}{end}", True)


def _note(left_out: int, total: int, handle: str, lines: int) -> str:
    of = f"{total:,} bytes" + (f" / {lines:,} lines" if lines else "")
    where = f"; all of it: read file_path={handle}, or grep it with path={handle}" if handle else ""
    return f"\n[… {left_out:,} of {of} left out{where} …]\n"


def _raw_size(text: str) -> int:
    """The bytes `text` came from, at most: a replacement character stands for one."""
    return len(text.encode()) - 2 * text.count("\ufffd")


def _whole_lines(text: str) -> str:
    """Ends at a line's end if that does not cost more than half; without the last line feed."""
    at = text.rfind("\n")
    return text[:at] if at * 2 > len(text) else text


def _whole_lines_of_end(text: str) -> str:
    at = text.find("\n")
    return text[at + 1 :] if 0 <= at < len(text) // 2 else text
