"""Pictures in a request: the kinds that go over a wire, and words in place of one that does not. Pure."""

from hames.core.messages import Part, Text

KINDS = ("image/png", "image/jpeg", "image/webp", "image/gif")
"""What strict servers take."""


def words_of(part: Part, why_not: str) -> str:
    """A text, or the words that stand in for a picture."""
    return part.text if isinstance(part, Text) else f"[{part.media_type} picture, not shown: {why_not}]"
