"""Pictures in a request: as a URL that holds them, or words in place of one that does not go out. Pure."""

from binascii import b2a_base64
from collections.abc import Mapping

from hames.core.ids import BlobId
from hames.core.messages import Image, Part, Text


def data_url(image: Image, images: Mapping[BlobId, bytes]) -> str:
    """A URL that holds the picture itself."""
    return f"data:{image.media_type};base64,{b2a_base64(images[image.blob], newline=False).decode()}"


def words_of(part: Part, why_not: str) -> str:
    """A text, or the words that stand in for a picture."""
    return part.text if isinstance(part, Text) else f"[{part.media_type} picture, not shown: {why_not}]"
