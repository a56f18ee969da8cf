"""The world that the calls of a run change, and what the judge can see of it.

`ledger` gets a line when a command's effect begins and one when it ends, by O_APPEND. Files that are written
carry the nonce of their call, and each edit adds its nonce to `notes.txt`: doing any of them twice shows.
"""

import os
from pathlib import Path

NOTES_END = "end of notes"
FACT = "the fact is known"


class Post:
    """Named pipes at which one command meets the judge: it says that it has begun, waits for the gate, and
    says that its effect is done. The judge's ends are open from the start, so nobody blocks by opening."""

    def __init__(self, directory: Path, nonce: str) -> None:
        self.nonce = nonce
        self.begun = _pipe(directory / f"{nonce}.begun")
        self.gate = _pipe(directory / f"{nonce}.gate")
        self.over = _pipe(directory / f"{nonce}.over")

    def open_gate(self) -> None:
        """Let the command go on, now or when it comes to the gate."""
        os.write(self.gate, b"go\n")

    def close(self) -> None:
        """Close the judge's ends."""
        for file in (self.begun, self.gate, self.over):
            os.close(file)


def _pipe(path: Path) -> int:
    os.mkfifo(path)
    return os.open(path, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)


class World:
    """A workspace, the effects in it, and the posts of its commands."""

    def __init__(self, workspace: Path) -> None:
        self.workspace = workspace
        self.posts: dict[str, Post] = {}
        self._posts = workspace / ".posts"
        self._made = workspace / "made"
        self._posts.mkdir(parents=True)
        self._made.mkdir()
        (workspace / "ledger").touch()
        (workspace / "notes.txt").write_text(f"{NOTES_END}\n")
        (workspace / "facts.txt").write_text(f"{FACT}\n")

    def post(self, nonce: str) -> Post:
        """A new post for the command with this nonce."""
        self.posts[nonce] = Post(self._posts, nonce)
        return self.posts[nonce]

    def close(self) -> None:
        """Close all posts."""
        for post in self.posts.values():
            post.close()

    def ledger(self) -> list[str]:
        """Its lines."""
        return (self.workspace / "ledger").read_text().splitlines()

    def notes(self) -> list[str]:
        """The nonces of the edits that were made."""
        return [line for line in (self.workspace / "notes.txt").read_text().splitlines() if line != NOTES_END]

    def written(self, nonce: str) -> str | None:
        """What stands in the file that the call with this nonce writes; None: there is no file."""
        path = self._made / f"{nonce}.txt"
        return path.read_text() if path.exists() else None
