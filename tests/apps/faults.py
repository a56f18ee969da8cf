"""The fault table: a real run against every fault on every wire, and what it should come to."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import anyio
import msgspec

from hames.assembly.build import build
from hames.assembly.secret import Environ
from hames.assembly.settings import Flags, Places, Settings, load
from hames.assembly.settings_file import Choices
from hames.channels.headless import NobodyHere
from hames.core.errors import ExitCode
from hames.core.events import Entry, ModelFailed, RequestSent, TurnEnded
from hames.core.messages import Text
from hames.core.ports import Passing, Words
from hames.core.profiles import WireName
from hames.loop.endings import exit_code
from hames.testing.faults import EFFECTS, append, call, spoiled
from hames.testing.model_server import ModelServer, Window, running
from hames.testing.script import Script, Served

WIRES: tuple[WireName, ...] = ("chat", "messages", "responses")
PLAIN = 3
"""Requests of a run in which nothing fails: `a`, `b`, and the final words."""

FIRST_BYTE_S = 1.0
IDLE_S = 0.8
"""How long a server may be silent, shortened."""


class Row(msgspec.Struct, frozen=True):
    """What a run should come to: its requests, failed ones included, its exit code, and the words that were
    appended, each once. `told` is what happens; `why` says why it does not take one request more than a run
    in which nothing fails, or why that request is needed. `refused` is how many requests a server with rules
    of its own has refused."""

    told: str
    requests: int = PLAIN + 1
    why: str = ""
    exit: ExitCode = ExitCode.DONE
    effects: tuple[str, ...] = ("a", "b")
    first: tuple[str, ...] = ()
    wires: tuple[WireName, ...] = WIRES
    refused: int | None = None


_WHOLE = "the reply is whole: nothing is asked again"
_TOLD = "the model is told what was wrong; nothing is run"
_RUN = "each is run, under an id of its own"
_FINAL = "asking again cannot help"
_LONG = tuple(f"seq {first} {first + 1500}" for first in range(0, 70, 10))

ROWS: Mapping[str, Row] = {
    "429_retry_after_2": Row("429 with `Retry-After: 2`"),
    "429_retry_after_ms": Row("429 with `retry-after-ms: 300`"),
    "429_reset_header": Row("429 with a used up limit and when it is reset"),
    "429_no_header": Row("429 that says nothing of a wait"),
    "429_x4": Row("429 four times", PLAIN + 4, "each is a request"),
    "408": Row("408"),
    "500": Row("500"),
    "503": Row("503"),
    "529": Row("529"),
    "502_html": Row("502 with the page of a proxy"),
    "reset": Row("the connection is reset before any byte"),
    "reset_x3": Row("the same three times", PLAIN + 3, "each is a request"),
    "refused": Row(
        "the server goes away under the request, and takes no connections",
        PLAIN + 2,
        "one request is lost with it, one is refused",
    ),
    "silent": Row("nothing comes at all"),
    "reset_midway": Row("the connection is reset in mid-stream"),
    "cut_text": Row("the connection ends inside a text"),
    "cut_tool_args": Row("the connection ends inside the arguments of a call"),
    "eof_no_finish": Row("the stream ends well, but without its end"),
    "stall_40s_dead": Row("half of the reply, then nothing"),
    "error_event": Row("an error event in the stream"),
    "rate_event": Row("an error event that names a rate limit"),
    "empty_reply": Row("a reply without content"),
    "thought_only": Row("a reply that is only a thought"),
    "gzip": Row("a coding that nobody asked for"),
    "stall_8s_resume": Row("half of the reply, a long pause, the rest", PLAIN, _WHOLE),
    "keepalive_long": Row("comments for twice as long as silence is allowed", PLAIN, _WHOLE),
    "garbage_sse": Row("an event that is no JSON", PLAIN, _WHOLE),
    "half_event": Row("an event that is half of a JSON", PLAIN, _WHOLE),
    "garbage_binary": Row("an event of bytes that are no text", PLAIN, _WHOLE),
    "no_end_mark": Row("no mark of the end (`[DONE]`, `message_stop`)", PLAIN, _WHOLE),
    "byte_by_byte": Row("each byte comes alone", PLAIN, _WHOLE),
    "crlf": Row("other line ends", PLAIN, _WHOLE),
    "byte_order_mark": Row("a byte order mark before the first event", PLAIN, _WHOLE),
    "wrong_type": Row("a content type that is none of events", PLAIN, _WHOLE),
    "leaked_markup": Row("the call is markup in the text (DSML)", PLAIN, "the call is found there"),
    "untidy_args": Row("arguments that are whole, but no JSON", PLAIN, "they are read all the same"),
    "bad_args_json": Row("arguments that cannot be read", why=_TOLD),
    "truncated_args": Row("arguments that were cut, with a proper end", why=_TOLD),
    "unknown_tool": Row("a call of a tool that there is not", why=_TOLD),
    "dup_ids": Row("two calls with one id", why=_RUN, effects=("a", "d1", "d2", "b")),
    "missing_ids": Row("two calls without ids", why=_RUN, effects=("a", "m1", "m2", "b")),
    "parallel_64": Row(
        "64 calls at once",
        why=_RUN,
        effects=("a", *(f"p{at}" for at in range(64)), "b"),
    ),
    "ctx_exceeded": Row("the request is too long, by its status; the window is named", first=_LONG),
    "ctx_unnamed": Row("the same, and no window is named", first=_LONG),
    "ctx_event": Row("the same, in an event", first=_LONG),
    "history_rule": Row("400: a rule of the history is broken"),
    "401": Row("401", 2, _FINAL, ExitCode.AUTH, ("a",)),
    "402": Row("402", 2, _FINAL, ExitCode.AUTH, ("a",)),
    "redirect": Row("a redirect to another address", 2, _FINAL, ExitCode.FAILED, ("a",)),
    "content_filter": Row("the content filter stops the reply", 2, _FINAL, ExitCode.FAILED, ("a",)),
}
"""By the names of `hames.testing.faults`."""

STEPS = 24
_ALL_STEPS = tuple(f"s{number}" for number in range(1, STEPS + 1))
_LEARNT = "what is learnt from one refusal is kept to"
SERVERS: Mapping[str, Row] = {
    "window_named": Row(
        "a smaller window than was thought, named", STEPS + 2, _LEARNT, effects=_ALL_STEPS, refused=1
    ),
    "window_unnamed": Row("the same, and not named", STEPS + 2, _LEARNT, effects=_ALL_STEPS, refused=1),
    "window_tiny": Row(
        "a window that few results fill (8k)", STEPS + 2, _LEARNT, effects=_ALL_STEPS, refused=1
    ),
    "reasoning_rule": Row(
        "reasoning must go back, an empty one too (DeepSeek behind a gateway)",
        STEPS + 2,
        _LEARNT,
        effects=_ALL_STEPS,
        refused=1,
        wires=("chat",),
    ),
}
"""Longer runs against servers that refuse what breaks a rule of theirs, or is too long for their window."""


class Cell(msgspec.Struct, frozen=True):
    """What a run came to."""

    requests: int
    exit: ExitCode
    effects: tuple[str, ...]
    seconds: float
    refused: int
    problems: tuple[str, ...]


class House(NamedTuple):
    """A home and a workspace."""

    root: Path

    @property
    def workspace(self) -> Path:
        return self.root / "home" / "ws"

    def write(self, server: ModelServer, wire: WireName) -> Path:
        """A settings file with a provider that may not be silent for long."""
        file = self.root / "settings.toml"
        file.write_text(
            f'[providers.short]\nbase_url = "{server.base_url}"\nwire = "{wire}"\nreasoning = "always"\n'
            f"first_byte_s = {FIRST_BYTE_S}\nidle_s = {IDLE_S}\n"
        )
        return file

    def settings(self, server: ModelServer, wire: WireName) -> Settings:
        """Those of a run against `server`, from a file and flags, as a user gives them."""
        file = self.write(server, wire)
        self.workspace.mkdir(parents=True)
        environ = {"HOME": str(self.root / "home"), "PATH": os.environ["PATH"]}
        choices = Choices(model="short/scripted", sandbox="none", permission_mode="auto", undo=False)
        where = Places(Environ(environ), str(self.workspace), str(self.root / "none.toml"))
        return load(Flags(choices=choices, settings=str(file)), where)

    def effects(self) -> tuple[str, ...]:
        """The words that were appended, in order."""
        file = self.workspace / EFFECTS
        return tuple(file.read_text().split()) if file.exists() else ()


class _Watch:
    """Counts the requests, and takes a server that went away back when somebody was refused."""

    def __init__(self, server: ModelServer, returns: anyio.Event) -> None:
        self.requests = 0
        self._failures = 0
        self._times: list[int] = []
        self._returns = returns

    @property
    def seconds(self) -> float:
        """From the first event to the last."""
        return (self._times[-1] - self._times[0]) / 1000

    def entry(self, entry: Entry) -> None:
        """Take in an event."""
        self._times.append(entry.at_ms)
        self.requests += isinstance(entry.event, RequestSent)
        self._failures += isinstance(entry.event, ModelFailed)
        if self._failures == 2:
            self._returns.set()

    def delta(self, step: int, delta: Passing) -> None:
        """Nothing volatile counts."""


def server_for(name: str, wire: WireName) -> ModelServer:
    """A server with the script of a fault, or with a window."""
    if name in SERVERS:
        return _strict_server(name)
    first = Served(calls=(call(append("a")), *map(call, ROWS[name].first if name in ROWS else ())))
    second = Served(text="Now b.", calls=(call(append("b")),))
    middle = [second] if name == "none" else spoiled(name, second, wire)
    return ModelServer(Script([first, *middle, _DONE]), rules="chat", watch=True)


_DONE = Served(text="done")


def _strict_server(name: str) -> ModelServer:
    if name == "reasoning_rule":
        thoughtful = Served(reasoning="think {i}", calls=(call(append("s{i}")),))
        steps = [thoughtful, msgspec.structs.replace(thoughtful, reasoning="")] * (STEPS // 2)
        return ModelServer(Script([*steps, _DONE]), rules="deepseek", watch=True)
    step = Served(calls=(call(append("s{i}")), call("seq {i}0000 {i}1200")), repeat=STEPS)
    window = Window(8_000 if name == "window_tiny" else 16_000, named=name != "window_unnamed")
    return ModelServer(Script([step, _DONE]), rules="chat", watch=True, window=window)


async def run_cell(root: Path, name: str, wire: WireName) -> Cell:
    """A real session against one fault."""
    return await run_against(server_for(name, wire), root, wire)


async def run_against(server: ModelServer, root: Path, wire: WireName) -> Cell:
    """A real session against this server, with every real part."""
    house = House(root)
    returns = anyio.Event()

    async def come_back() -> None:
        await returns.wait()
        await server.come_back()

    watch = _Watch(server, returns)
    async with running(server), anyio.create_task_group() as group:
        group.start_soon(come_back)
        ended = await _run(house.settings(server, wire), watch)
        group.cancel_scope.cancel()
        return Cell(
            requests=watch.requests,
            exit=exit_code(ended),
            effects=house.effects(),
            seconds=watch.seconds,
            refused=sum(seen.status != 200 for seen in server.seen),
            problems=tuple(seen.problem for seen in server.seen if seen.problem),
        )
    raise AssertionError("unreachable: a run ends, or raises")


async def _run(settings: Settings, watch: _Watch) -> TurnEnded:
    async with build(settings, NobodyHere(), "auto") as parts:
        parts.listeners.add(watch)
        session = await parts.host.open()
        return await session.say([Words((Text("go"),))])
    raise AssertionError("unreachable: a turn ends, or raises")


def wrong(name: str, cell: Cell) -> list[str]:
    """What is not as the table says."""
    row = row_of(name)
    found = {
        "requests": (cell.requests, row.requests),
        "exit": (cell.exit, row.exit),
        "effects": (cell.effects, row.effects),
        "rules broken": (cell.problems, () if row.refused is None else cell.problems),
        "refused": (cell.refused, cell.refused if row.refused is None else row.refused),
    }
    return [f"{what}: {came}, not {wanted}" for what, (came, wanted) in found.items() if came != wanted]


def row_of(name: str) -> Row:
    """What a run with this fault should come to."""
    return {"none": Row("nothing", PLAIN), **ROWS, **SERVERS}[name]


CELLS: list[tuple[str, WireName]] = [
    (name, wire) for name in ("none", *ROWS, *SERVERS) for wire in row_of(name).wires
]
"""All runs of the table."""
