"""`hames models local`: serve weights on this machine, or look at a server, and say how to use it."""

import os
import shlex
import stat
import sys

import anyio

from hames.assembly.ask_for import LocalRequest
from hames.assembly.local_server import TRIAL_S, Near, named, near
from hames.assembly.models_trial import ask_for_call, was_called
from hames.assembly.settings import Settings
from hames.assembly.standard_streams import lines, print_fact
from hames.assembly.system import SystemClock
from hames.core.errors import ExitCode, HamesError, ModelError
from hames.core.profiles import ToolMode
from hames.core.text import for_terminal
from hames.models.gguf import GgufServer
from hames.models.served import ServedModel

_MODES: tuple[ToolMode, ...] = ("native", "json_schema")


async def serve_or_look(settings: Settings, asked: LocalRequest) -> ExitCode:
    """Say what the server has and how it is used. One that was started for it serves until it is told to end:
    Ctrl-C, or the end of what comes through a pipe. Raises `ConfigError` and `ModelError`."""
    async with near(settings, asked, SystemClock()) as found:
        code = await _describe(found)
        if found.started is None:
            return code
        print_fact("ends with", "Ctrl-C")
        return await _serve(found.started)


async def _describe(found: Near) -> ExitCode:
    print_fact("server", found.base_url)
    print_fact("models", for_terminal(", ".join(model.name for model in found.models)))
    model = found.model()
    if model is None:
        print_fact("to do", "name one of them with --model NAME")
        return ExitCode.DONE
    window = found.asked(model, "native").window
    print_fact("window", f"{window:,} tokens" if window else "not told by the server: give it with --window")
    for mode in _MODES:
        if await _can_call(found, model, mode):
            print_fact("tools", "called as asked" if mode == "native" else "called where JSON is asked for")
            print_fact("use", _command(found, model, mode))
            return ExitCode.DONE
    print_fact("tools", "not called as asked, not even where JSON is asked for: expect little of this model")
    print_fact("use", _command(found, model, "json_schema"))
    return ExitCode.FAILED


async def _can_call(found: Near, model: ServedModel, mode: ToolMode) -> bool:
    """One request. Raises `ModelError` where that says more of the server than of the way it was asked."""
    try:
        return was_called(await ask_for_call(found.answerer(model, mode), None, TRIAL_S))
    except ModelError as error:
        if error.kind in ("rejected", "malformed", "empty", "cut", "refused"):
            return False
        raise


def _command(found: Near, model: ServedModel, mode: ToolMode) -> str:
    """The command line that uses the model."""
    words = ["hames", "--base-url", found.base_url, "--model", named(model)]
    window = found.asked(model, mode).window
    if window:
        words += ["--window", str(window)]
    if mode != "native":
        words += ["--tool-mode", mode]
    if found.settings.api_key_env:
        words += ["--api-key-env", found.settings.api_key_env]
    return for_terminal(shlex.join(words))


async def _serve(server: GgufServer) -> ExitCode:
    """Until the person, or the program that started us, has had enough."""
    ended: list[int] = []

    async def watch() -> None:
        ended.append(await server.ended())
        group.cancel_scope.cancel()

    async with anyio.create_task_group() as group:
        group.start_soon(watch)
        await _told_to_end()
        group.cancel_scope.cancel()
    if ended:
        raise HamesError(f"the server has ended by itself, with exit status {ended[0]}")
    return ExitCode.DONE


async def _told_to_end() -> None:
    """What comes through a pipe ends with whoever holds its other end; a terminal has Ctrl-C."""
    mode = os.fstat(sys.stdin.fileno()).st_mode
    if not (stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode)):
        await anyio.sleep_forever()
    async for _ in lines(sys.stdin.fileno()):
        pass
