"""One run of the compound-error benchmark: so many steps with faults, through hames or a bare loop."""

import asyncio
import http.client
import json
import os
import subprocess
import tempfile
from collections import Counter
from dataclasses import dataclass, field
from functools import cached_property
from hashlib import sha256
from pathlib import Path
from random import Random
from urllib.parse import urlsplit

import msgspec
from floor import read_reply

from hames.assembly.build import Unsaid, build
from hames.assembly.secret import Environ
from hames.assembly.settings import Flags, Places, load
from hames.assembly.settings_file import Choices
from hames.channels.headless import NobodyHere
from hames.core.messages import Text
from hames.core.ports import CallContext, Subject, ToolResult, ToolSpec, Words
from hames.sandboxes.runtime import remove_tree
from hames.stores.upkeep import SqliteUpkeep
from hames.testing.chaos import Chaos, Taken
from hames.testing.clock import QuickClock
from hames.testing.faults import EFFECTS
from hames.testing.model_server import ModelServer, running
from hames.testing.script import Served, ServedCall

TIMES = 100.0
"""Time goes so much faster, for the waits of both sides: nothing is left out, all of it takes less long."""

TRANSPORT = (
    *(
        "reset",
        "reset_x3",
        "refused",
        "reset_midway",
        "cut_text",
        "cut_tool_args",
        "eof_no_finish",
        "502_html",
    ),
    *("408", "garbage_sse", "half_event", "garbage_binary", "gzip"),
)
MODEL = (
    *("429_retry_after_2", "429_retry_after_ms", "429_reset_header", "429_no_header", "429_x4"),
    *("500", "503", "529", "error_event", "rate_event", "empty_reply", "thought_only", "leaked_markup"),
    *("untidy_args", "bad_args_json", "truncated_args", "unknown_tool"),
)
# Each of the two classes is as likely as the other, and each fault as the others of its class.
SERVED = (*TRANSPORT * len(MODEL), *MODEL * len(TRANSPORT))
TOOL = ("tool_says_no", "tool_crashes")
COMMAND = ("command_exits_1", "file_worker_killed")
ANSWER = "All steps are done, and nothing else."
WRITE_EVERY = 5
"""With commands, each fifth step writes a file."""


@dataclass(frozen=True)
class Case:
    """One run. Its faults follow from its seed alone."""

    seed: int
    rate: float
    steps: int
    number: int
    commands: bool

    @property
    def key(self) -> str:
        return f"{self.rate:g} {self.steps} {self.number}"

    @property
    def calls(self) -> int:
        """The last step is the answer, all others have a call."""
        return self.steps - 1

    @cached_property
    def own_seed(self) -> int:
        named = f"{self.seed} {self.key}".encode()
        return int.from_bytes(sha256(named).digest()[:6])

    @cached_property
    def tool_faults(self) -> dict[int, str]:
        """The steps whose tool fails the first time, and how.

        Two thirds of the faults come from the server, before the tool is called: the share of the rest is
        such that a step has a fault with exactly the probability `rate`.
        """
        chance = Random(f"tool {self.own_seed}")
        share = (self.rate / 3) / (1 - 2 * self.rate / 3)
        kinds = {step: chance.choice(TOOL) for step in range(1, self.calls + 1) if chance.random() < share}
        if not self.commands:
            return kinds
        # Before the first file is written there is no worker that could be killed.
        return {step: COMMAND[step % WRITE_EVERY == 0] for step in kinds if step != WRITE_EVERY}


@dataclass
class Came:
    """What a run came to."""

    ok: bool
    said: str
    """How it ended, in a word or a few."""
    faults: Counter[str] = field(default_factory=Counter)


class Hurried(Chaos):
    """Pauses as short as time is fast."""

    def take(self, wire, body):
        taken = super().take(wire, body)
        return Taken(taken.number, msgspec.structs.replace(taken.reply, pause_s=taken.reply.pause_s / TIMES))


class Worker:
    """A model that does numbered steps one after the other, and one again that has failed."""

    def __init__(self, case: Case) -> None:
        self._case = case
        self._step = 1

    def reply(self, number: int, body: bytes) -> Served:
        del number
        newest = body[body.rfind(b'"role":"assistant"') + 1 :]
        if noted(self._step).encode() in newest or b"created" in newest:
            self._step += 1
        if self._step > self._case.calls:
            return Served(text=ANSWER)
        return Served(text=f"Step {self._step}.", calls=(self._call(),))

    def _call(self) -> ServedCall:
        step = self._step
        if not self._case.commands:
            name, arguments = "call_tool", {"name": "note", "arguments": {"step": step}}
        elif step % WRITE_EVERY:
            name, arguments = "bash", {"command": f"./note {step}"}
        else:
            name, arguments = "write", {"file_path": f"{step}.txt", "content": f"{noted(step)}\n"}
        return ServedCall(name, msgspec.Raw(msgspec.json.encode(arguments)))


def noted(step: int) -> str:
    return f"noted {step}."


class Note:
    """The tool: each call appends a line to a file, unless it is one that fails."""

    spec = ToolSpec("note", "Note a step.", msgspec.Raw(b'{"type":"object"}'))

    def __init__(self, case: Case, workspace: Path) -> None:
        self._left = dict(case.tool_faults)
        self._file = workspace / EFFECTS
        self.failed: Counter[str] = Counter()

    def prepare(self, arguments: str) -> "Noting":
        return Noting(self, json.loads(arguments)["step"])

    def do(self, step: int) -> ToolResult:
        """Once for each call. Raises `OSError` when it is to crash."""
        fault = self._left.pop(step, None)
        if fault is not None:
            self.failed[fault] += 1
            if fault == "tool_crashes":
                raise OSError("the connection to the notebook was lost before the note was taken")
            return ToolResult("failed", (Text(f"busy: step {step} was not noted; try again"),))
        with self._file.open("a") as file:
            file.write(f"{step}\n")
        return ToolResult("ok", (Text(noted(step)),))


class Noting:
    """One call of it. Nobody knows how to find out what became of it, so it is never run twice."""

    effect = "effectful"

    def __init__(self, note: Note, step: int) -> None:
        self._note = note
        self._step = step

    def subject(self, cwd: str) -> Subject:
        return Subject("note")

    async def run(self, context: CallContext) -> ToolResult:
        return self._note.do(self._step)


SCRIPT = """\
#!/bin/bash
if rm {faults}/$1 2>/dev/null; then echo "busy: step $1 was not noted; try again" >&2; exit 1; fi
echo $1 >> {effects}
echo "noted $1."
"""


class Ground:
    """Directories of one run: on a disk when it runs commands, else in memory."""

    def __init__(self, case: Case, root: Path) -> None:
        self.case = case
        self.workspace, self.state, self.faults = root / "workspace", root / "state", root / "faults"
        for made in (self.workspace, self.faults):
            made.mkdir()
        for step in case.tool_faults:
            (self.faults / str(step)).touch()
        script = self.workspace / "note"
        script.write_text(SCRIPT.format(faults=self.faults, effects=EFFECTS))
        script.chmod(0o755)

    @property
    def wrong(self) -> str:
        """What in the world is not as it should be: each effect exactly once, in its order; or nothing."""
        case = self.case
        written = [step for step in range(1, case.calls + 1) if case.commands and step % WRITE_EVERY == 0]
        wanted = [str(step) for step in range(1, case.calls + 1) if step not in written]
        effects = self.workspace / EFFECTS
        found = effects.read_text().split() if effects.exists() else []
        if found != wanted:
            at = next(
                (n for n, pair in enumerate(zip(found, wanted, strict=False)) if pair[0] != pair[1]), -1
            )
            return f"{len(found)} effects of {len(wanted)}, the first that is wrong: {at}"
        for step in written:
            file = self.workspace / f"{step}.txt"
            if not file.exists() or file.read_text() != f"{noted(step)}\n":
                return f"{file.name} is not as it was to be"
        return ""


class WorkerKiller:
    """A listener that kills the file worker before some calls."""

    def __init__(self, case: Case) -> None:
        self._at = [f"{step}.txt" for step, kind in case.tool_faults.items() if kind == "file_worker_killed"]
        self.killed = 0

    def entry(self, entry) -> None:
        event = entry.event
        if type(event).__name__ != "ModelReplied" or not event.message.calls:
            return
        arguments = event.message.calls[0].arguments
        for name in self._at:
            if f'"{name}"' in arguments:
                self._at.remove(name)
                self.killed += kill_file_workers()
                return

    def delta(self, step, delta) -> None:
        pass


def kill_file_workers() -> int:
    """SIGKILL to the file workers below this process."""
    parents, workers = {}, []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                parents[int(entry.name)] = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
                if b"sandboxes.file_worker" in (entry / "cmdline").read_bytes():
                    workers.append(int(entry.name))
            except OSError:
                continue
    own = [pid for pid in workers if below(pid, parents)]
    for pid in own:
        os.kill(pid, 9)
    return len(own)


def below(pid: int, parents: dict[int, int]) -> bool:
    while pid in parents:
        pid = parents[pid]
        if pid == os.getpid():
            return True
    return False


def place_for(case: Case) -> str | None:
    return None if case.commands or not os.path.isdir("/dev/shm") else "/dev/shm"


async def through_hames(case: Case) -> Came:
    """A run of hames over real HTTP, and whether all is as it should be afterwards."""
    with tempfile.TemporaryDirectory(prefix="hames-compound-", dir=place_for(case)) as made:
        ground = Ground(case, Path(made))
        chaos = Hurried(Worker(case), case.own_seed, 2 * case.rate / 3, SERVED)
        note, killer = Note(case, ground.workspace), WorkerKiller(case)
        clock = QuickClock(TIMES)
        async with running(ModelServer(chaos)) as server:
            settings = load(
                Flags(
                    Choices(base_url=server.base_url, wire="chat", model="scripted", sandbox="none"),
                    workspace=str(ground.workspace),
                ),
                Places(
                    Environ({"HOME": made, "PATH": os.environ["PATH"], "XDG_STATE_HOME": str(ground.state)}),
                    cwd=made,
                    managed=os.path.join(made, "none"),
                ),
            )
            async with build(
                settings, NobodyHere(), "auto", tools=[note], unsaid=Unsaid(clock=clock)
            ) as parts:
                parts.listeners.add(killer)
                session = await parts.host.open()
                ended = await session.say([Words((Text("Do the steps."),))])
                answer = session.view.report.said
            checked = await SqliteUpkeep(str(settings.directories.state), clock, remove_tree).check(
                session.id
            )
        faults = Counter(chaos.faults) + note.failed
        if case.commands:
            faults["command_exits_1"] = len(case.tool_faults) - len(list(ground.faults.iterdir()))
            faults["file_worker_killed"] = killer.killed
        problems = [ground.wrong, *(f"log: {damage.what}" for damage in checked.damages)]
        if ended.ending != "done":
            problems.insert(0, f"{ended.ending} {ended.code}: {ended.reason}")
        if answer != ANSWER:
            problems.append(f"the answer is {answer!r}")
        said = "; ".join(filter(None, problems))
        return Came(not said, said or "done", +faults)


async def through_floor(case: Case) -> Came:
    """The same through a loop that takes every step for granted."""
    with tempfile.TemporaryDirectory(prefix="hames-compound-", dir=place_for(case)) as made:
        ground = Ground(case, Path(made))
        chaos = Hurried(Worker(case), case.own_seed, 2 * case.rate / 3, SERVED)
        note = Note(case, ground.workspace)
        async with running(ModelServer(chaos)) as server:
            url = server.base_url
            said = await asyncio.to_thread(bare_loop, url, ground, note)
        faults = Counter(chaos.faults) + note.failed
        wrong = ground.wrong
        return Came(not wrong and not said, said or wrong or "done", faults)


def bare_loop(base_url: str, ground: Ground, note: Note) -> str:
    """Ask, run, ask again; what ended it too early, if something did."""
    url = urlsplit(base_url)
    server = http.client.HTTPConnection(url.hostname or "", url.port, timeout=30)
    body = bytearray(b'{"model":"m","messages":[{"role":"user","content":"Do the steps."}')
    try:
        while True:
            server.request("POST", f"{url.path}/chat/completions", bytes(body) + b'],"stream":true}')
            response = server.getresponse()
            if response.status != 200:
                return f"status {response.status}"
            text, calls, _ = read_reply(response)
            message = {"role": "assistant", "content": text, **({"tool_calls": calls} if calls else {})}
            body += b"," + compact(message)
            if not calls:
                return "" if text == ANSWER else f"the answer is {text!r}"
            for call in calls:
                told = carry_out(
                    call["function"]["name"], json.loads(call["function"]["arguments"]), ground, note
                )
                body += b"," + compact({"role": "tool", "tool_call_id": call["id"], "content": told})
    except Exception as error:  # noqa: BLE001 - whatever it is, it has ended the loop
        return type(error).__name__
    finally:
        server.close()


def carry_out(name: str, arguments: dict, ground: Ground, note: Note) -> str:
    """Do a call; a failure is raised."""
    match name:
        case "call_tool":
            result = note.do(arguments["arguments"]["step"])
            if result.outcome != "ok":
                raise RuntimeError("the tool said no")
            return "".join(part.text for part in result.parts)
        case "bash":
            ran = subprocess.run(
                ["bash", "-c", arguments["command"]],
                cwd=ground.workspace,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                check=True,
            )
            return ran.stdout
        case "write":
            step = int(arguments["file_path"].partition(".")[0])
            if step in ground.case.tool_faults:
                raise RuntimeError("what writes files is gone")
            (ground.workspace / arguments["file_path"]).write_text(arguments["content"])
            return noted(step)
        case _:
            raise LookupError(name)


def compact(message: dict) -> bytes:
    return json.dumps(message, separators=(",", ":")).encode()
