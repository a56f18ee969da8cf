"""Paths as text, without a look at the disk."""


def is_within(path: str, place: str) -> bool:
    """Whether `path` is `place`, or lies below it. Both are absolute, and normal."""
    return path == place or path.startswith("/" if place == "/" else f"{place}/")
