"""The `hames` command."""

import gc
import os
import sys
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from io import TextIOWrapper
from typing import TextIO

import anyio

from hames import __version__
from hames.apps.flags import Invocation, parse
from hames.assembly.ask_for import RunRequest
from hames.assembly.settings import Settings, load
from hames.assembly.standard_streams import complain, fill_gaps
from hames.core.errors import ExitCode, HamesError, OutputLost

DEMO = "hames.apps.demo"
UPKEEP = ("sessions check", "sessions repair", "sessions delete", "gc")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit code. Every expected failure is one line on stderr."""
    gc.disable()  # What is imported at the start is no garbage; looking for some would only cost time.
    _show_all(sys.stdout)
    words = list(sys.argv[1:] if argv is None else argv)
    if sys.platform == "win32":
        print("hames: native Windows is not supported; run hames inside WSL2", file=sys.stderr)
        return ExitCode.CONFIG
    if words[:1] == ["demo"]:
        os.execv(sys.executable, [sys.executable, "-m", DEMO, *words[1:]])  # noqa: S606 - our own interpreter
    try:
        fill_gaps()
        return _dispatch(parse(words))
    except HamesError as error:
        return _complain(error)
    except BaseExceptionGroup as group:
        # A task group wraps whatever ends it; an expected failure in it is still one line.
        error = _expected(group)
        if error is None:
            raise
        return _complain(error)
    except KeyboardInterrupt:
        return ExitCode.CANCELLED


def _show_all(out: TextIO) -> None:
    """No result is lost to a terminal that knows no UTF-8."""
    if isinstance(out, TextIOWrapper):
        out.reconfigure(errors="backslashreplace")


def _complain(error: HamesError) -> int:
    complain(f"hames: {error}")
    return error.exit_code


def _expected(group: BaseExceptionGroup[BaseException]) -> HamesError | None:
    """The first expected failure of a group that holds nothing else."""
    matched, rest = group.split(HamesError)
    if matched is None or rest is not None:
        return None
    found: HamesError | BaseExceptionGroup[HamesError] = matched
    while isinstance(found, BaseExceptionGroup):
        found = found.exceptions[0]
    return found


def _dispatch(asked: Invocation) -> int:
    if asked.command == "version":
        print(f"hames {__version__}")
        return ExitCode.DONE
    settings = load(asked.flags)
    if asked.command == "run":
        from hames.assembly.run import run_headless

        return anyio.run(_with_collector, run_headless, settings, asked.run)
    if asked.command == "talk":
        from hames.apps.flags.back import parse_typed
        from hames.assembly.talk import converse

        return anyio.run(_with_collector, partial(converse, read=parse_typed), settings, asked.run)
    try:
        return _beside(asked, settings)
    except OutputLost as error:
        if not error.gone:
            raise
        return ExitCode.FAILED  # Whoever read it has seen enough, as in `| head`.


def _beside(asked: Invocation, settings: Settings) -> int:
    """The commands beside the main job."""
    if asked.back is not None:
        from hames.assembly.going_back import go_back

        return anyio.run(go_back, settings, asked.back)
    if asked.command.startswith(("doctor", "models")):
        return _look_at_models(asked, settings)
    if asked.command in UPKEEP:
        return _keep_up(asked, settings)
    from hames.assembly import commands

    match asked.command:
        case "exec":
            return anyio.run(commands.execute, settings, asked.words)
        case "sessions list":
            return anyio.run(partial(commands.list_sessions, settings, as_json=asked.as_json))
        case "sessions show":
            return anyio.run(partial(commands.show_session, settings, asked.session, whole=asked.whole))
        case _:
            return anyio.run(commands.export, settings, asked.session)


def _look_at_models(asked: Invocation, settings: Settings) -> int:
    match asked.command:
        case "models":
            from hames.assembly.models_list import list_models

            return list_models(settings, asked.words[0], as_json=asked.as_json)
        case "models test":
            from hames.assembly.models_trial import try_model

            return anyio.run(try_model, settings)
        case "models local":
            from hames.assembly.models_local import serve_or_look

            return anyio.run(serve_or_look, settings, asked.local)
        case "doctor local":
            from hames.assembly.doctor_local import doctor_local

            return anyio.run(doctor_local, settings, asked.local)
        case _:
            from hames.assembly.doctor import doctor

            return anyio.run(doctor, settings)


def _keep_up(asked: Invocation, settings: Settings) -> int:
    from hames.assembly import upkeep

    match asked.command:
        case "sessions check":
            return anyio.run(upkeep.check_sessions, settings, asked.session)
        case "sessions repair":
            return anyio.run(upkeep.repair_sessions, settings, asked.session)
        case "sessions delete":
            return anyio.run(upkeep.delete_sessions, settings, asked.words)
        case _:
            return anyio.run(upkeep.collect, settings)


async def _with_collector(
    work: Callable[[Settings, RunRequest], Awaitable[ExitCode]], settings: Settings, request: RunRequest
) -> ExitCode:
    """A long run collects garbage, but need not look through all that the start has made."""
    gc.freeze()
    gc.enable()
    return await work(settings, request)


if __name__ == "__main__":
    sys.exit(main())
