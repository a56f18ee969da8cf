"""The instruction files of a workspace, by the published convention: AGENTS.md, then others' names."""

import os

NAMES = ("AGENTS.md", "CLAUDE.md", "GEMINI.md")
"""The first of these that a directory has is read, and the others are not."""

MOST_BYTES = 32 * 1024
"""More of one file is not read, and that is said."""


def read_instructions(workspace: str) -> list[tuple[str, str]]:
    """Path and text of each file, from the root of the repository down to the workspace."""
    found: list[tuple[str, str]] = []
    for directory in _down_to(workspace):
        for name in NAMES:
            path = os.path.join(directory, name)
            text = _read(path)
            if text is not None:
                found.append((path, text))
                break
    return found


def _down_to(workspace: str) -> list[str]:
    """The directories from the root of the repository, or the workspace alone where there is none."""
    chain = [workspace]
    while not os.path.exists(os.path.join(chain[-1], ".git")):
        parent = os.path.dirname(chain[-1])
        if parent == chain[-1]:
            return [workspace]
        chain.append(parent)
    return chain[::-1]


def _read(path: str) -> str | None:
    try:
        with open(path, "rb") as file:
            data = file.read(MOST_BYTES + 1)
    except OSError:
        return None
    text = data[:MOST_BYTES].decode(errors="replace")
    return text if len(data) <= MOST_BYTES else f"{text}\n[cut at {MOST_BYTES} bytes: read the file for more]"
