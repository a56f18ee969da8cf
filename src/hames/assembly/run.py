"""Runs a task without a person: `hames -p`."""

import os
import sys

from hames import __version__
from hames.assembly.ask_for import RunRequest
from hames.assembly.build import Unsaid, build
from hames.assembly.opening import open_session, say_notices
from hames.assembly.settings import Settings
from hames.assembly.standard_streams import STDIN, complain, complain_words, lines, need_output, print_line
from hames.assembly.system import SystemClock
from hames.channels.headless import Doings, Headless, NobodyHere, Output
from hames.channels.notices import Gauge, Notices
from hames.core.errors import ExitCode, UsageError
from hames.core.text import decode

ORPHAN_S = 60.0
"""Nobody may be there to notice that this run is gone."""


async def run_headless(settings: Settings, request: RunRequest) -> ExitCode:
    """One task, or one message after the other with stream-json input; the result on standard output."""
    need_output()
    words = request.words
    if (words is None or words == "-") and not (request.json_input or request.resume or request.latest):
        words = read_prompt()
    say_notices(settings)
    gauge = Gauge(complain_words)
    try:
        return await _run(settings, request, words, gauge)
    finally:
        gauge.clear()


async def _run(settings: Settings, request: RunRequest, words: str | None, gauge: Gauge) -> ExitCode:
    async with build(
        settings, NobodyHere(), settings.mode("auto"), unsaid=Unsaid(orphan_s=ORPHAN_S)
    ) as parts:
        if sys.stderr.isatty():
            parts.listeners.add(gauge)
        parts.listeners.add(Notices(complain))
        if request.output == "stream-json":
            from hames.channels.stream_json import StreamJson  # noqa: PLC0415 - most runs print no such lines

            names = [spec.name for spec in parts.tools.specs()]
            parts.listeners.add(StreamJson(print_line, __version__, names))
        if request.verbose or (request.output == "text" and sys.stderr.isatty()):
            parts.listeners.add(Doings(complain))
        session = await open_session(settings, request, parts)
        output = Output(request.output, print_line, complain)
        headless = Headless(session, output, SystemClock())
        if request.json_input:
            return await headless.converse(lines(STDIN))
        if words is None and not (session.unfinished or session.has_waiting):
            raise UsageError(f"the last turn of {session.id} is over; say what comes next: -p PROMPT")
        return await headless.run(words)


def read_prompt() -> str:
    """The prompt from standard input. Raises `UsageError` when a person sits there."""
    if os.isatty(STDIN):
        raise UsageError("-p needs a prompt: as an argument, or on standard input")
    words = decode(sys.stdin.buffer.read()).strip()
    if not words:
        raise UsageError("-p needs a prompt, and the one on standard input is empty")
    return words
