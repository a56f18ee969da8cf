"""The commands beside the main job: exec, sessions, export."""

from collections.abc import Sequence

from hames.assembly.build import boundary_of, open_store, sandbox_for
from hames.assembly.settings import Settings
from hames.assembly.standard_streams import complain, print_lines
from hames.channels.listing import export_lines, find_session, rows_json, story, table
from hames.core.errors import ExitCode, SandboxError
from hames.sandboxes.foreground import run_foreground
from hames.sandboxes.profile import command_env


async def execute(settings: Settings, words: Sequence[str]) -> int:
    """Run one command in the sandbox on the terminal's own streams; its exit status is passed through."""
    for notice in settings.notices:
        complain(f"hames exec: {notice}")
    try:
        sandbox = sandbox_for(settings, boundary_of(settings))
        env = command_env(settings.environ)
        return await run_foreground(sandbox, tuple(words), settings.workspace, env)
    except SandboxError as error:
        complain(f"hames exec: {error}")
        return ExitCode.EXEC_FAILED


async def list_sessions(settings: Settings, *, as_json: bool) -> ExitCode:
    """`hames sessions list`."""
    async with open_store(settings) as store:
        rows = await store.sessions()
    print_lines(rows_json(rows) if as_json else table(rows))
    return ExitCode.DONE


async def show_session(settings: Settings, wanted: str, *, whole: bool) -> ExitCode:
    """`hames sessions show ID`."""
    async with open_store(settings) as store:
        entries = await store.read(find_session(await store.sessions(), wanted))
    print_lines(story(entries, whole=whole))
    return ExitCode.DONE


async def export(settings: Settings, wanted: str) -> ExitCode:
    """`hames export ID --format events`."""
    async with open_store(settings) as store:
        entries = await store.read(find_session(await store.sessions(), wanted))
    print_lines(export_lines(entries))
    return ExitCode.DONE
