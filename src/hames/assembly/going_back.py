"""Undo, redo, rewind and fork: from the command line, and in a conversation."""

import os
import shlex
import sys
from collections.abc import AsyncGenerator, Sequence
from functools import partial

import msgspec

from hames.assembly.ask_for import BackRequest, ReadTyped
from hames.assembly.build import build, open_store
from hames.assembly.going_back_words import as_json, told
from hames.assembly.settings import Settings
from hames.assembly.standard_streams import complain, complain_words, print_line, print_lines
from hames.channels.headless import NobodyHere
from hames.channels.listing import find_session, latest_in
from hames.channels.notices import Gauge
from hames.core.errors import ExitCode, SessionBusy, UsageError
from hames.core.events import TakenBack
from hames.core.ids import SessionId
from hames.core.ports import Body, Delta, Reply, SessionRow
from hames.session.forking import fork
from hames.session.host import Host
from hames.session.interrupt import interruptible
from hames.session.taking_back import TookBack, Wanted, redo, rewind, undo

STOPPED = (
    "hames: stopped. If files had begun to change, that is finished when the session is next opened: "
    "by undo, redo, rewind or --resume"
)


async def go_back(settings: Settings, asked: BackRequest) -> ExitCode:
    """`hames undo`, `redo`, `rewind` and `fork`. No model is asked."""
    async with open_store(settings) as store:
        row = _row(await store.sessions(), asked, settings.workspace)
    here, settings = settings.workspace, _settings_of(settings, row, asked)
    gauge = Gauge(complain_words)
    async with build(settings, NobodyHere(), settings.mode("auto"), model=NobodyAnswers()) as parts:
        if sys.stderr.isatty():
            parts.listeners.add(gauge)
        try:
            took = await interruptible(partial(take_back, parts.host, row.session, asked, row.workspace))
        finally:
            gauge.clear()
    if took is None:
        complain(STOPPED)
        return ExitCode.CANCELLED
    if asked.as_json:
        print_line(as_json(took))
    else:
        place = asked.worktree or row.workspace
        print_lines(told(took, asked, place="" if place == here else place))
    return ExitCode.BLOCKED if took.kept or took.failed else ExitCode.DONE


async def take_back(host: Host, session: SessionId, asked: BackRequest, workspace: str) -> TookBack:
    """Do what is asked. Raises `UsageError` where it cannot be, and `SessionBusy`."""
    wanted = Wanted(
        files=asked.files,
        context=asked.context,
        force=tuple(path_in(workspace, path) for path in asked.force),
        stop_jobs=asked.stop_jobs,
    )
    try:
        match asked.what:
            case "undo":
                return await undo(host, session, wanted)
            case "redo":
                return await redo(host, session, wanted)
            case "rewind":
                assert asked.through is not None
                return await rewind(host, session, asked.through, wanted)
            case "fork":
                return await fork(host, session, asked.through, wanted, asked.worktree)
    except SessionBusy as error:
        raise SessionBusy(f"{error}; in a conversation, say /undo, /redo or /rewind there") from error


async def take_back_typed(
    host: Host, session: SessionId, line: str, read: ReadTyped, workspace: str
) -> Sequence[str]:
    """What is typed in a conversation, done; the lines to be shown. Raises `HamesError`."""
    try:
        name, *words = shlex.split(line)
    except ValueError as error:
        raise UsageError(f"{error} (see /help)") from error
    what: TakenBack = "undo" if name == "/undo" else "redo" if name == "/redo" else "rewind"
    asked = read(what, words)
    return list(told(await take_back(host, session, asked, workspace), asked, typed=True))


def path_in(workspace: str, path: str) -> str:
    """A path of the workspace, relative to it, and empty for itself; any other as a whole."""
    whole = os.path.normpath(os.path.join(workspace, path))
    real = os.path.join(os.path.realpath(os.path.dirname(whole)), os.path.basename(whole))
    for found in (whole, real):
        inside = os.path.relpath(found, workspace)
        if inside == os.curdir:
            return ""
        if inside.split(os.sep, 1)[0] != os.pardir:
            return inside
    return real


def _settings_of(settings: Settings, row: SessionRow, asked: BackRequest) -> Settings:
    """The settings for a session's own workspace; which model is named there is of no interest."""
    workspace = row.workspace
    if not os.path.isdir(workspace):
        if asked.worktree is None:
            words = f"the workspace of session {row.session} is gone: {workspace}"
            raise UsageError(f"{words}; to have its files elsewhere: hames fork {row.session} --worktree DIR")
        workspace = settings.workspace
    return msgspec.structs.replace(settings, workspace=workspace, model=None, base_url=None)


def _row(rows: Sequence[SessionRow], asked: BackRequest, workspace: str) -> SessionRow:
    session = find_session(rows, asked.session) if asked.session else latest_in(rows, workspace)
    return next(row for row in rows if row.session == session)


class NobodyAnswers:
    """The `Model` of what asks none."""

    async def ask(self, body: Body) -> AsyncGenerator[Delta | Reply]:
        """Never called."""
        raise AssertionError("nothing is asked when something goes back")
        yield
