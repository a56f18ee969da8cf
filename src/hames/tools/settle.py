"""What became of a file that a stopped process was about to write: read from the world."""

from hames.core.errors import FileProblem
from hames.core.events import FileFact, FileIntent
from hames.core.messages import Text
from hames.core.ports import Files, ReadQuery, Settled, ToolResult
from hames.tools.paths import shown


async def settle_file(files: Files, intent: FileIntent, cwd: str) -> Settled:
    """Whether the file is as intended, as it was before, or something else (saved by the user since?)."""
    name = shown(intent.path, cwd)
    try:
        now = (await files.read(ReadQuery(intent.path, lines=1, max_bytes=1))).sha256
    except FileProblem as problem:
        if problem.trouble != "missing":
            return Settled("unknown", words=f"{name} cannot be looked at: {problem}")
        now = ""
    if now == intent.after:
        told = f"[{name} was written before hames was stopped, and is as intended]"
        return Settled("done", ToolResult("ok", (Text(told),), files=(FileFact(intent.path, now, "wrote"),)))
    if now == intent.before:
        return Settled("undone")
    how = "is there now, with other content" if now else "is gone"
    return Settled("unknown", words=f"{name} {how}: neither as it was before the call nor as intended")
