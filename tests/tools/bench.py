"""All tools over real files and real processes, and what a session would remember of their results."""

import os
from functools import partial
from pathlib import Path

import msgspec

from hames.core.errors import Problem
from hames.core.events import JobStarted, OutputFact
from hames.core.ids import CallId, JobId, call_id
from hames.core.messages import Text, plain
from hames.core.ports import CallContext, Tool, ToolResult
from hames.testing.clock import VirtualClock
from hames.testing.local import LocalBlobs, LocalFiles, LocalLauncher
from hames.tools.bash import Bash, Shell
from hames.tools.edit import Edit
from hames.tools.glob import FindFiles
from hames.tools.grep import Grep
from hames.tools.job import Job
from hames.tools.patch import ApplyPatch
from hames.tools.read import Read
from hames.tools.todo import TodoWrite
from hames.tools.toolbox import Toolbox
from hames.tools.write import Write


class Bench:
    """A workspace with the tools. Calls remember what was seen, as a session does."""

    def __init__(self, place: Path, *deferred: Tool) -> None:
        self.place = place / "work"
        self.place.mkdir()
        spools = place / "spools"
        spools.mkdir()
        self.cwd = str(self.place)
        self.files = LocalFiles()
        self.blobs = LocalBlobs()
        self.launcher = LocalLauncher(spools)
        env = {"PATH": os.environ["PATH"], "LANG": "C.UTF-8"}
        shell = Shell("/bin/bash", env, self.cwd)
        fixed: tuple[Tool, ...] = (
            Read(self.files, self.blobs),
            Write(self.files),
            Edit(self.files),
            Bash(self.launcher, self.blobs, shell),
            Grep(self.files, self.blobs, VirtualClock()),
            FindFiles(self.files),
            TodoWrite(),
            Job(self.launcher),
        )
        self.tools = {tool.spec.name: tool for tool in fixed}
        self.toolbox = Toolbox(fixed, deferred, {"apply_patch": partial(ApplyPatch, self.files)})
        self.seen: dict[str, str] = {}
        self.jobs: dict[JobId, JobStarted] = {}
        self.outputs: dict[CallId, OutputFact] = {}
        self.step = 0

    def make(self, name: str, content: str | bytes) -> Path:
        """A file in the workspace."""
        path = self.place / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    def context(self) -> CallContext:
        """What the next call may know."""
        self.step += 1
        return CallContext(call_id(self.step, 0), self.cwd, self.seen, self.jobs, self.outputs)

    async def run(self, name: str, **arguments: object) -> ToolResult:
        """One call. An expected failure becomes a result, as in a session."""
        return await self.run_raw(name, msgspec.json.encode(arguments).decode())

    async def run_raw(self, name: str, arguments: str) -> ToolResult:
        """One call with the argument string as a model sends it."""
        context = self.context()
        try:
            result = await self.toolbox.prepare(name, arguments).action.run(context)
        except Problem as problem:
            return ToolResult("failed", (Text(str(problem)),))
        self.seen |= {fact.path: fact.sha256 for fact in result.files}
        self.seen = {path: sha256 for path, sha256 in self.seen.items() if sha256}
        if result.output:
            self.outputs[context.call] = result.output
        if isinstance(result.job, JobStarted):
            self.jobs[result.job.job] = result.job
        if result.command and result.command.cwd:
            self.cwd = result.command.cwd
        return result

    async def say(self, name: str, **arguments: object) -> str:
        """What the model sees of one call, the workspace's place on this machine left out."""
        return plain((await self.run(name, **arguments)).parts).replace(str(self.place), "/work")
