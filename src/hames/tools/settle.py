"""What became of files that a stopped process was about to change: read from the world."""

from typing import NamedTuple

from hames.core.errors import FileProblem
from hames.core.events import FileFact, FileIntent
from hames.core.messages import Text
from hames.core.ports import Files, Settled, ToolResult
from hames.core.text import listed
from hames.tools.current import hash_now
from hames.tools.paths import shown


async def settle_files(files: Files, intents: tuple[FileIntent, ...], cwd: str) -> Settled:
    """Whether the files are as intended, as they were before, partly both, or something else (saved by the
    user since?)."""
    found = [await _look(files, intent, cwd) for intent in intents]
    done = [each.intent for each in found if each.is_done]
    told = _told(done, cwd)
    words = "; ".join(each.words for each in found if each.words)
    if words:
        return Settled("unknown", words=f"{told}\n{words}" if done else words)
    if len(done) == len(found):
        facts = tuple(_fact(intent) for intent in done)
        return Settled("done", ToolResult("ok", (Text(told),), files=facts))
    left = [each.intent for each in found if not each.is_done]
    still = f"as before the call: {listed(shown(intent.path, cwd) for intent in left)}"
    return Settled("partly", words=f"{told}\n{still}") if done else Settled("undone")


class _Found(NamedTuple):
    """What one file is now. `words`: neither as it was before nor as intended."""

    intent: FileIntent
    is_done: bool = False
    words: str = ""


async def _look(files: Files, intent: FileIntent, cwd: str) -> _Found:
    name = shown(intent.path, cwd)
    try:
        now = await hash_now(files, intent.path)
    except FileProblem as problem:
        return _Found(intent, words=f"{name} cannot be looked at: {problem}")
    if now in (intent.after, intent.before):
        return _Found(intent, is_done=now == intent.after)
    how = "is there now, with other content" if now else "is gone"
    return _Found(intent, words=f"{name} {how}: neither as it was before the call nor as intended")


def _fact(intent: FileIntent) -> FileFact:
    return FileFact(intent.path, intent.after, "wrote" if intent.after else "removed")


def _told(done: list[FileIntent], cwd: str) -> str:
    """What was done before the process was stopped, in a line for each kind."""
    written = [shown(intent.path, cwd) for intent in done if intent.after]
    removed = [shown(intent.path, cwd) for intent in done if not intent.after]
    kinds = ((written, "written", "as intended"), (removed, "removed", "gone"))
    return "\n".join(
        f"[{listed(names)} {'was' if len(names) == 1 else 'were'} {did} before hames was stopped, and "
        f"{'is' if len(names) == 1 else 'are'} {state}]"
        for names, did, state in kinds
        if names
    )
