"""The world that the calls of a run change, and what the judge can see of it.

`ledger` gets a line when a command's effect begins and one when it ends, by O_APPEND. Files that are written
carry the nonce of their call, and each edit adds its nonce to `notes.txt`: doing any of them twice shows.
"""

import os
from collections import Counter
from pathlib import Path

from tests.torture.project import copy

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
    """A workspace, the effects in it, and the posts of its commands. There may be a project in it, too.

    What goes back takes effects along: those that were there when somebody `remember`s count all the same.
    """

    def __init__(self, workspace: Path, project: Path | None = None) -> None:
        self.workspace = workspace
        self.posts: dict[str, Post] = {}
        self._posts = workspace / ".posts"
        self._made = workspace / "made"
        self._lines: Counter[str] = Counter()
        self._edits: Counter[str] = Counter()
        self._written: dict[str, str] = {}
        self._posts.mkdir(parents=True)
        self._made.mkdir()
        (workspace / "ledger").touch()
        (workspace / "notes.txt").write_text(f"{NOTES_END}\n")
        (workspace / "facts.txt").write_text(f"{FACT}\n")
        if project is not None:
            copy(project, workspace / "project")

    def post(self, nonce: str) -> Post:
        """A new post for the command with this nonce."""
        self.posts[nonce] = Post(self._posts, nonce)
        return self.posts[nonce]

    def close(self) -> None:
        """Close all posts."""
        for post in self.posts.values():
            post.close()

    def remember(self) -> None:
        """Keep in mind what has happened by now."""
        self._lines |= Counter((self.workspace / "ledger").read_text().splitlines())
        notes = (self.workspace / "notes.txt").read_text().splitlines()
        self._edits |= Counter(line for line in notes if line != NOTES_END)
        self._written |= {path.stem: path.read_text() for path in self._made.glob("*.txt")}

    def ledger(self) -> list[str]:
        """Its lines, by now and ever."""
        self.remember()
        return list(self._lines.elements())

    def notes(self) -> list[str]:
        """The nonces of the edits that were made."""
        self.remember()
        return list(self._edits.elements())

    def written(self) -> dict[str, str]:
        """What stands in the files that calls have written, by the nonce of the call."""
        self.remember()
        return dict(self._written)
