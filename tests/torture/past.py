"""What the workspace was, as the judge has seen it; and what the user has made of it since.

Pictures are taken when nothing is at work: before the agent begins, with each request, and at the end. What
goes back must come to such a picture, with what the user has done since laid over it.
"""

import os
import stat
from collections.abc import Iterable, Iterator
from hashlib import sha256
from pathlib import Path
from random import Random
from typing import NamedTuple

from tests.snapshots.desk import Seen, picture

Picture = dict[str, Seen]

_NEW = "mine"
"""A directory of the user's."""


class Moment(NamedTuple):
    """A picture, and how many changes the user had made by then."""

    picture: Picture
    edits: int


class Edit(NamedTuple):
    """A path as the user has left it; None: removed."""

    path: str
    left: Seen | None


class Past:
    """The past of a workspace. `at` has the moments by the request that came then."""

    def __init__(self, workspace: Path) -> None:
        self._workspace = workspace
        self._edits: list[Edit] = []
        self.at: dict[str, Moment] = {}
        (workspace / _NEW).mkdir(exist_ok=True)
        self._last = self.take()

    def take(self) -> Moment:
        """A moment that is now. What the judge itself has in the workspace is left out."""
        self._last = Moment(_seen_in(self._workspace), len(self._edits))
        return self._last

    def look(self, body: bytes) -> str:
        """Take a moment, for a request; gives the hash by which it is found."""
        sent = sha256(body).hexdigest()
        self.at[sent] = self.take()
        return sent

    def edit(self, random: Random) -> str:
        """Change something, as a user does; says what."""
        files = [
            path
            for path, seen in self._last.picture.items()
            if stat.S_ISREG(seen.mode) and path.startswith("project/") and self._is_plain(path)
        ]
        path = random.choice([f"{_NEW}/{len(self._edits)}", *random.sample(files, k=min(5, len(files)))])
        file = self._workspace / path
        if path in files and random.random() < 0.3:
            file.unlink()
        else:
            file.write_text(f"the user's, number {len(self._edits)}\n")
        self._edits.append(Edit(path, self._seen(path)))
        return path

    def _is_plain(self, path: str) -> bool:
        """Whether it is there, can be written, is not git's, and never was one of several names of a file."""
        moments = [moment.picture.get(path) for moment in self.at.values()]
        single = all(seen is None or len(seen.names) <= 1 for seen in moments)
        plain = single and "/.git/" not in path and path.isprintable()
        return plain and (self._workspace / path).is_file()

    def _seen(self, path: str) -> Seen | None:
        """A path that has no file's name beside it."""
        file = self._workspace / path
        if not os.path.lexists(file):
            return None
        seen = picture(file.parent, but=lambda name: name != file.name)[file.name]
        return seen._replace(names=(path,))

    def unkept(self, since: Moment) -> Iterator[str]:
        """The law *kept*: what the user has made since then is as the user left it. The agent did nothing."""
        for path, left in self._left_since(since).items():
            yield from _other(path, self._seen(path), left)

    def unlike_in(self, copy: Path, moment: Moment) -> Iterator[str]:
        """The law *put back*, for a copy. What the user has ever changed may be there or not: nobody has
        looked at it right then."""
        mine = {edit.path for edit in self._edits}
        mine |= _parents(mine)
        there = _seen_in(copy)
        for path in sorted((there.keys() | moment.picture.keys()) - mine):
            yield from _other(path, there.get(path), moment.picture.get(path))

    def _left_since(self, moment: Moment) -> dict[str, Seen | None]:
        return {edit.path: edit.left for edit in self._edits[moment.edits :]}

    def unlike(self, moment: Moment) -> Iterator[str]:
        """The law *put back*: the workspace is as it was then, but for what the user has done since."""
        edits = self._left_since(moment)
        above = _parents(edits)
        now = self.take().picture
        for path in sorted(now.keys() | moment.picture.keys() | edits.keys()):
            was, seen = moment.picture.get(path), now.get(path)
            if path in edits:
                yield from _other(path, seen, edits[path])
            elif path not in above:
                yield from _other(path, seen, was)
            elif seen is None or not stat.S_ISDIR(seen.mode):
                # What is above a file of the user's is there; its time and mode may be anybody's.
                yield from () if was is None else _other(path, seen, was)


def _parents(paths: Iterable[str]) -> set[str]:
    return {str(parent) for path in paths for parent in Path(path).parents}


def _seen_in(workspace: Path) -> Picture:
    """A picture without what is the judge's own."""
    seen = picture(workspace, but=lambda path: path.split("/", 1)[0] == ".posts")
    del seen["."]  # Its time is also that of the judge's directory.
    return seen


def _other(path: str, seen: Seen | None, wanted: Seen | None) -> Iterator[str]:
    if seen != wanted:
        yield f"{path!r} is {_words(seen)}, and should be {_words(wanted)}"


def _words(seen: Seen | None) -> str:
    if seen is None:
        return "not there"
    names = f", also {seen.names}" if len(seen.names) > 1 else ""
    return f"{seen.mode:o} {seen.content.hex()[:12]} of {seen.mtime_ns}{names}"
