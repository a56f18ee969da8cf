"""Runs a conversation in the terminal: `hames`."""

from hames import __version__
from hames.assembly.ask_for import RunRequest
from hames.assembly.build import build
from hames.assembly.opening import open_session, say_notices
from hames.assembly.settings import Settings
from hames.assembly.standard_streams import lines, print_words
from hames.channels.terminal.plain import Conversation, PersonHere, Screen
from hames.core.errors import ExitCode

STDIN = 0


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
