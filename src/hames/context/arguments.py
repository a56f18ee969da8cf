"""What a call was asked with."""

from typing import cast

from hames.core.lenient import Found, read_object


def text_in(arguments: str, name: str) -> str:
    """The text of this name in the arguments of a call, or of the one that a `call_tool` makes; empty where
    there is none."""
    read = read_object(arguments)
    found = read.value if isinstance(read, Found) else {}
    inner = found.get("arguments")
    if isinstance(inner, dict):
        found = cast("dict[str, object]", inner)
    text = found.get(name)
    return text if isinstance(text, str) else ""
