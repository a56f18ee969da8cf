"""Runs a conversation in the terminal: `hames`."""

import sys
from collections.abc import Sequence

from hames import __version__
from hames.assembly.ask_for import ReadTyped, RunRequest
from hames.assembly.build import Unsaid, build
from hames.assembly.opening import open_session, say_notices
from hames.assembly.settings import Settings
from hames.assembly.standard_streams import STDIN, lines, print_words
from hames.channels.terminal.plain import Conversation, PersonHere, Screen
from hames.core.errors import ExitCode
from hames.session.session import Session


async def converse(settings: Settings, request: RunRequest, read: ReadTyped) -> ExitCode:
    """A conversation in the terminal. `read` reads what is typed to go back."""
    say_notices(settings)
    person = PersonHere(print_words)
    usual = "ask" if settings.sandbox == "none" else "auto"
    async with build(settings, person, settings.mode(usual), unsaid=Unsaid(patience_s=None)) as parts:
        parts.listeners.add(Screen(print_words, live=sys.stdout.isatty()))
        session = await open_session(settings, request, parts)
        model = f"{parts.profile.provider.name}/{parts.profile.model}"
        print_words(f"hames {__version__}, {model}, sandbox {settings.sandbox}, session {session.id}\n")
        print_words("/help says what can be said\n")

        async def go_back(session: Session, line: str) -> Sequence[str]:
            from hames.assembly.going_back import take_back_typed  # noqa: PLC0415 - most never need it

            return await take_back_typed(parts.host, session.id, line, read, settings.workspace)

        async def reopen(session: Session) -> Session:
            return await parts.host.resume(session.id)

        conversation = Conversation(session, person, print_words, go_back, reopen)
        code = await conversation.run(lines(STDIN), request.words)
        # A person has seen how each turn ended; a script has only this.
        return ExitCode.DONE if sys.stdin.isatty() else code
