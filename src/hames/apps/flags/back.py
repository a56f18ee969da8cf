"""The command lines of going back: undo, redo, rewind, fork."""

import argparse
import os
from collections.abc import Mapping, Sequence

from hames.apps.flags.parser import Invocation, Parser, Read, flags_of, parser_of
from hames.assembly.ask_for import BackRequest
from hames.core.events import TakenBack


class _ReadBack(Read):
    session: str = ""
    seq: int | None = None
    files: bool = False
    context: bool = False
    both: bool = False
    force: list[str] | None = None
    stop_jobs: bool = False
    worktree: str | None = None


_BACK: Mapping[TakenBack, str] = {
    "undo": "Take back what the last turn did: files and words. What you changed since stays.",
    "redo": "Take back the last undo or rewind, as long as no turn has been started since.",
    "rewind": "Go back to what was after an entry. `hames sessions show ID` has their numbers.",
    "fork": "A new session that goes on from an entry of another one, or from its end.",
}


def read_back(what: TakenBack, words: Sequence[str]) -> Invocation:
    """Read what follows `hames undo`, `redo`, `rewind` or `fork`. Raises `UsageError`."""
    parser = parser_of(f"hames {what}", _BACK[what])
    named, usual = "ID", "an id, or its start (default: the session of this workspace that changed last)"
    if what in ("rewind", "fork"):
        named, usual = "ID@SEQ", f"{usual}, and an entry of it"
    parser.add_argument("session", nargs=None if what == "rewind" else "?", metavar=named, help=usual)
    _add_back(parser)
    if what == "fork":
        parser.add_argument("--worktree", metavar="DIR", help="lay the files out there; else in place")
    parser.add_argument("--output-format", choices=("text", "json"), default="text")
    parser.add_argument("--cwd", default=".", metavar="DIR", help="the workspace (default: here)")
    parser.add_argument("--settings", metavar="FILE", help="a settings file for this run")
    parser.add_argument("--sandbox", choices=("bubblewrap", "none"), help="as the session had it")
    read = parser.parse_args(words, _ReadBack())
    session, mark, seq = (read.session or "").partition("@")
    if mark and what in ("undo", "redo"):
        parser.error(f"{what} takes no @SEQ; to go back to an entry: hames rewind {read.session}")
    if (mark or what == "rewind") and not (seq.isascii() and seq.isdigit()):
        parser.error(f"{read.session} does not name an entry: write ID@SEQ, for example 01jd7v@14")
    return Invocation(
        "back", flags_of(read), back=_back_request(what, read, session, int(seq) if mark else None)
    )


def _add_back(parser: argparse.ArgumentParser) -> None:
    scope = parser.add_mutually_exclusive_group()
    scope.add_argument("--files", action="store_true", help="the files only")
    scope.add_argument("--context", action="store_true", help="the words only: what the model knows")
    scope.add_argument("--both", action="store_true", help="both (the default)")
    parser.add_argument(
        "--force", action="append", metavar="PATH", help="also what you have changed of it since"
    )
    parser.add_argument("--stop-jobs", action="store_true", help="stop background commands first")


def _back_request(what: TakenBack, read: _ReadBack, session: str, through: int | None) -> BackRequest:
    return BackRequest(
        what=what,
        session=session,
        through=through,
        files=not read.context,
        context=not read.files,
        force=tuple(read.force or ()),
        stop_jobs=read.stop_jobs,
        worktree=None if read.worktree is None else os.path.realpath(read.worktree),
        as_json=read.output_format == "json",
    )


def parse_typed(what: TakenBack, words: Sequence[str]) -> BackRequest:
    """Read what follows `/undo`, `/redo` or `/rewind`, typed in a conversation. Raises `UsageError`."""
    parser = Parser(prog=f"/{what}", allow_abbrev=False, add_help=False)
    if what == "rewind":
        parser.add_argument("seq", type=int, metavar="SEQ")
    _add_back(parser)
    read = parser.parse_args(words, _ReadBack())
    return _back_request(what, read, "", read.seq)
