"""Runs a channel on a session: what the `hames` command does when it works."""

import os
import sys

from hames import __version__
from hames.assembly.ask_for import RunRequest
from hames.assembly.build import Parts, build
from hames.assembly.settings import Settings
from hames.assembly.standard_streams import complain, lines, print_line, print_words
from hames.assembly.system import SystemClock
from hames.channels.headless import Denials, Headless, NobodyHere, Output, Progress, StreamJson
from hames.channels.listing import find_session, latest_in
from hames.channels.terminal.plain import Conversation, PersonHere, Screen
from hames.core.errors import ExitCode, UsageError
from hames.core.ids import SessionId
from hames.session.session import Session

STDIN = 0


async def run_headless(settings: Settings, request: RunRequest) -> ExitCode:
    """One task, or one message after the other with stream-json input; the result on standard output."""
    words = request.words
    if (words is None or words == "-") and not (request.json_input or request.resume or request.latest):
        words = read_prompt()
    say_notices(settings)
    denials = Denials()
    async with build(settings, NobodyHere(), settings.mode("auto")) as parts:
        parts.listeners.add(denials)
        if request.output == "stream-json":
            names = [spec.name for spec in parts.tools.specs()]
            parts.listeners.add(StreamJson(print_line, __version__, names))
        if request.verbose or (request.output == "text" and sys.stderr.isatty()):
            parts.listeners.add(Progress(complain))
        session = await open_session(settings, request, parts)
        output = Output(request.output, print_line, complain)
        headless = Headless(session, output, denials, SystemClock())
        if request.json_input:
            return await headless.converse(lines(STDIN))
        if words is None and not session.unfinished:
            raise UsageError(f"the last turn of {session.id} is over; say what comes next: -p PROMPT")
        return await headless.run(words)


async def converse(settings: Settings, request: RunRequest) -> ExitCode:
    """A conversation in the terminal."""
    say_notices(settings)
    person = PersonHere(print_words)
    usual = "ask" if settings.sandbox == "none" else "auto"
    async with build(settings, person, settings.mode(usual)) as parts:
        parts.listeners.add(Screen(print_words))
        session = await open_session(settings, request, parts)
        model = f"{parts.profile.provider.name}/{parts.profile.model}"
        print_words(f"hames {__version__}, {model}, sandbox {settings.sandbox}, session {session.id}\n")
        print_words("/help says what can be said\n")
        return await Conversation(session, person, print_words).run(lines(STDIN), request.words)


async def open_session(settings: Settings, request: RunRequest, parts: Parts) -> Session:
    """The session that the command line names, or a new one."""
    if request.resume is None and not request.latest:
        wanted = SessionId(request.session_id) if request.session_id is not None else None
        return await parts.host.open(wanted)
    rows = await parts.store.sessions()
    if request.resume is not None:
        return await parts.host.resume(find_session(rows, request.resume))
    return await parts.host.resume(latest_in(rows, settings.workspace))


def read_prompt() -> str:
    """The prompt from standard input. Raises `UsageError` when a person sits there."""
    if os.isatty(STDIN):
        raise UsageError("-p needs a prompt: as an argument, or on standard input")
    words = sys.stdin.read().strip()
    if not words:
        raise UsageError("-p needs a prompt, and the one on standard input is empty")
    return words


def say_notices(settings: Settings) -> None:
    """What a person should know before the run."""
    for notice in settings.notices:
        complain(f"hames: {notice}")
