"""The commands that keep the log in order: sessions check, repair and delete, and gc."""

from collections.abc import Sequence

from hames.assembly.build import open_store
from hames.assembly.settings import Settings
from hames.assembly.standard_streams import complain, print_line, print_lines
from hames.assembly.system import SystemClock
from hames.assembly.upkeep_words import deletion, findings, mending, sweeping
from hames.channels.listing import find_session
from hames.core.errors import ExitCode, SessionBusy
from hames.core.ids import SessionId, is_session_id
from hames.core.ports import SessionRow, Upkeep
from hames.sandboxes.runtime import remove_tree
from hames.stores.upkeep import SqliteUpkeep

DAY_S = 24 * 3600


async def check_sessions(settings: Settings, wanted: str) -> ExitCode:
    """`hames sessions check [ID]`."""
    checked = await _upkeep(settings).check(await _named(settings, wanted))
    print_lines(findings(checked))
    return ExitCode.FAILED if checked.damages else ExitCode.DONE


async def repair_sessions(settings: Settings, wanted: str) -> ExitCode:
    """`hames sessions repair [ID]`."""
    print_lines(mending(await _upkeep(settings).repair(await _named(settings, wanted))))
    return ExitCode.DONE


async def delete_sessions(settings: Settings, wanted: Sequence[str]) -> ExitCode:
    """`hames sessions delete ID...`: nothing is deleted unless every id names one session."""
    rows = await _rows(settings)
    upkeep = _upkeep(settings)
    for session in dict.fromkeys([find_session(rows, name) for name in wanted]):
        print_line(deletion(await upkeep.delete(session)))
    return ExitCode.DONE


async def collect(settings: Settings) -> ExitCode:
    """`hames gc`: first the sessions that `keep_days` gives up, each named, then what nothing needs."""
    upkeep = _upkeep(settings)
    if settings.keep_days is not None:
        before_ms = int((SystemClock().now() - settings.keep_days * DAY_S) * 1000)
        await _delete_old(upkeep, [row for row in await _rows(settings) if row.changed_ms < before_ms])
    print_lines(sweeping(await upkeep.sweep()))
    return ExitCode.DONE


async def _delete_old(upkeep: Upkeep, rows: Sequence[SessionRow]) -> None:
    for row in rows:
        try:
            deleted = await upkeep.delete(row.session)
        except SessionBusy as error:
            complain(f"hames: kept, though older than keep_days: {error}")
        else:
            print_line(f"older than keep_days: {deletion(deleted)}")


def _upkeep(settings: Settings) -> Upkeep:
    return SqliteUpkeep(settings.directories.state, SystemClock(), remove_tree)


async def _named(settings: Settings, wanted: str) -> SessionId | None:
    """The session that is meant; a whole id is not looked up, for its row may be what is damaged."""
    if is_session_id(wanted):
        return SessionId(wanted)
    return find_session(await _rows(settings), wanted) if wanted else None


async def _rows(settings: Settings) -> Sequence[SessionRow]:
    async with open_store(settings) as store:
        return await store.sessions()
