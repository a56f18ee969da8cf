"""Opens the session that the command line names, and says what a person should know first."""

import os
from collections.abc import Sequence

from hames.assembly.ask_for import RunRequest
from hames.assembly.build import Parts
from hames.assembly.settings import Settings
from hames.assembly.standard_streams import complain
from hames.assembly.upkeep_words import over_quota
from hames.channels.listing import find_session, latest_in
from hames.core.errors import SessionBusy, UsageError
from hames.core.ids import SessionId
from hames.core.ports import SessionRow
from hames.loop.goal import doubt_words
from hames.session.session import Session
from hames.stores.disk import disk_bytes


async def open_session(settings: Settings, request: RunRequest, parts: Parts) -> Session:
    """The session that the command line names, or a new one, with the goal that it gives."""
    session = await _named_session(settings, request, parts)
    if request.goal is not None:
        await session.set_goal(request.goal)
        if words := doubt_words(request.goal.command):
            complain(f"hames: {words}")
    return session


async def _named_session(settings: Settings, request: RunRequest, parts: Parts) -> Session:
    if request.resume is None and not request.latest:
        wanted = SessionId(request.session_id) if request.session_id is not None else None
        return await parts.host.open(wanted)
    rows = await parts.store.sessions()
    if request.resume is not None:
        session = find_session(rows, request.resume)
        _check_place(rows, session, settings.workspace)
    else:
        session = latest_in(rows, settings.workspace)
    try:
        return await parts.host.resume(session, take_over=request.take_over)
    except SessionBusy as error:
        raise SessionBusy(f"{error}, or cut it off with --take-over") from error


def _check_place(rows: Sequence[SessionRow], session: SessionId, workspace: str) -> None:
    """A session works where it was opened: what it knows, and can undo, is of that place. Raises `UsageError`
    for another one, unless its own is gone."""
    own = next(row.workspace for row in rows if row.session == session)
    if own != workspace and os.path.isdir(own):
        raise UsageError(
            f"session {session} works in {own}: give --cwd {own}, or lay its files out in another place with "
            f"`hames fork {session} --worktree DIR`"
        )


def say_notices(settings: Settings) -> None:
    """What a person should know before the run."""
    for notice in settings.notices:
        complain(f"hames: {notice}")
    if settings.disk_quota is not None:
        used = disk_bytes(settings.directories.state)
        if used > settings.disk_quota:
            complain(f"hames: {over_quota(used, settings.disk_quota)}")
