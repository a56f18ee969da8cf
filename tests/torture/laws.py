"""The laws of a run, over plain evidence. Each yields what was broken, in words; nothing: it was kept."""

from collections import Counter
from collections.abc import Iterator, Mapping

import msgspec

from tests.torture.model import Request
from tests.torture.plan import COMMANDS, FAIL_CODE, FINAL, Asked, content_of
from tests.torture.target import Event
from tests.torture.world import FACT


class Evidence(msgspec.Struct, frozen=True):
    """What a run left. `may_lose`: something was killed that alone could know how a command ended; but for
    the calls in `known_ends`, whose ends had been written down. `replaced`: another owner took the session
    over from one that lived on."""

    asked: dict[str, Asked]
    ledger: list[str]
    notes: list[str]
    written: dict[str, str]
    requests: list[Request]
    lines: list[dict[str, object]]
    exports: list[list[Event]]
    left: list[str] = []
    may_lose: bool = False
    replaced: bool = False
    known_ends: set[str] = set()

    def unknown(self, call: str) -> bool:
        """Whether it may be that nobody knows how this call ended."""
        return self.may_lose and call not in self.known_ends

    @property
    def events(self) -> list[Event]:
        """The log at the end."""
        return self.exports[-1] if self.exports else []


class _Text(msgspec.Struct, frozen=True):
    text: str = ""


class _Call(msgspec.Struct, frozen=True):
    id: str
    wire_id: str
    arguments: str


class _Message(msgspec.Struct, frozen=True):
    text: str = ""
    calls: list[_Call] = []


class _Command(msgspec.Struct, frozen=True):
    exit_code: int | None = None


class _End(msgspec.Struct, frozen=True):
    """`CallFinished` or `CallLost`: the latter has no outcome."""

    call: str
    parts: list[_Text]
    outcome: str = "lost"
    command: _Command | None = None

    @property
    def text(self) -> str:
        return "\n".join(part.text for part in self.parts)


class _Known(msgspec.Struct, frozen=True):
    """What the log says of the calls, by nonce."""

    calls: dict[str, str]
    starts: Counter[str]
    ends: dict[str, list[_End]]


def _known(events: list[Event]) -> _Known:
    calls: dict[str, str] = {}
    names: dict[str, str] = {}
    starts: Counter[str] = Counter()
    ends: dict[str, list[_End]] = {}
    for event in events:
        match event.type:
            case "ModelReplied":
                for call in msgspec.convert(event.event["message"], _Message).calls:
                    calls[call.wire_id] = call.id
                    names[call.id] = call.wire_id
            case "CallStarted":
                starts[names[str(event.event["call"])]] += 1
            case "CallFinished" | "CallLost":
                end = msgspec.convert(event.event, _End)
                ends.setdefault(names[end.call], []).append(end)
            case _:
                pass
    return _Known(calls, starts, ends)


def broken(evidence: Evidence) -> list[str]:
    """Everything that was broken."""
    laws = (acknowledged, nothing_lost, once, truthful, told_as_logged, valid, reached, nothing_left)
    return [f"{law.__name__}: {words}" for law in laws for words in law(evidence)]


def acknowledged(evidence: Evidence) -> Iterator[str]:
    """Each line that was printed stands on the log, in its place and with its content; but for notices, and
    for a result that says that nobody could write the turn's end.
    """
    placed = {event.seq: event for event in evidence.events}
    for line in evidence.lines:
        if line.get("subtype") == "notice" or _is_broken_off(line):
            continue
        seq = line.get("seq")
        event = placed.get(seq) if isinstance(seq, int) else None
        if event is None:
            yield f"the line with seq {seq} is not on the log"
        elif line["type"] in ("assistant", "user") and _of_line(line) != _of_event(event):
            yield f"seq {seq} was printed as {_of_line(line)} and is on the log as {_of_event(event)}"
        elif line["type"] == "result" and event.type != "TurnEnded":
            yield f"a result was printed with seq {seq}, where the log has {event.type}"


def _is_broken_off(line: Mapping[str, object]) -> bool:
    broken_off = line.get("code") in ("log", "taken_over", "crash") and line.get("is_error")
    return line.get("type") == "result" and broken_off is True and line.get("seq") is None


class _Block(msgspec.Struct, frozen=True):
    text: str = ""
    id: str = ""
    tool_use_id: str = ""
    content: list[_Text] = []


class _Shown(msgspec.Struct, frozen=True):
    content: str | list[_Block]


def _of_line(line: dict[str, object]) -> tuple[str, ...]:
    content = msgspec.convert(line["message"], _Shown).content
    if isinstance(content, str):
        return (content,)
    return tuple(
        word
        for block in content
        for word in (block.text, block.id, block.tool_use_id, *(part.text for part in block.content))
        if word
    )


def _of_event(event: Event) -> tuple[str, ...]:
    match event.type:
        case "ModelReplied":
            message = msgspec.convert(event.event["message"], _Message)
            return tuple(word for word in (message.text, *(call.id for call in message.calls)) if word)
        case "CallFinished" | "CallLost":
            end = msgspec.convert(event.event, _End)
            return tuple(word for word in (end.call, *(part.text for part in end.parts)) if word)
        case "UserSpoke":
            return ("".join(part.text for part in msgspec.convert(event.event["parts"], list[_Text])),)
        case _:
            return (event.type,)


def nothing_lost(evidence: Evidence) -> Iterator[str]:
    """Each export goes on from the one before it, and every request that was seen is on the log."""
    for before, after in zip(evidence.exports, evidence.exports[1:], strict=False):
        if after[: len(before)] != before:
            yield f"an export of {len(after)} events does not repeat the {len(before)} of the one before"
    logged = {event.event["sha256"] for event in evidence.events if event.type == "RequestSent"}
    for number, request in enumerate(evidence.requests, 1):
        if request.sha256 not in logged:
            yield f"request {number} was sent and is not on the log"


def once(evidence: Evidence) -> Iterator[str]:
    """No effect happens twice, and none that the log does not know of."""
    known = _known(evidence.events)
    found = Counter([*evidence.ledger, *evidence.notes])
    for words, times in found.items():
        if times > 1:
            yield f"{words!r} happened {times} times"
    effects = {words.split()[0] for words in found} | set(evidence.written)
    for nonce in sorted(effects):
        if nonce not in evidence.asked:
            yield f"{nonce} happened and was never asked for"
        elif not known.starts[nonce]:
            yield f"{nonce} happened and is not on the log as started"


def truthful(evidence: Evidence) -> Iterator[str]:
    """Every call has one end, and what that says is so."""
    known = _known(evidence.events)
    for nonce in known.calls:
        ends = known.ends.get(nonce, [])
        if len(ends) != 1:
            yield f"{nonce} has {len(ends)} ends"
            continue
        asked = evidence.asked[nonce]
        judge = _command if asked.kind in COMMANDS else _job if asked.kind == "job" else _file
        problem = judge(evidence, asked, ends[0])
        if problem:
            said = ends[0].text[-300:]
            yield f"{asked.kind} {nonce} is said to be {ends[0].outcome}, but {problem}: {said!r}"


def _command(evidence: Evidence, asked: Asked, end: _End) -> str:
    begun, over = (evidence.ledger.count(f"{asked.nonce} {what}") for what in ("start", "end"))
    code = end.command.exit_code if end.command is not None else None
    match end.outcome:
        case "ok" | "failed" if code is not None:
            if code != (FAIL_CODE if asked.kind == "fail" else 0) or (code == 0) != (end.outcome == "ok"):
                return f"its exit code was {code}"
            if over != 1 or f"did {asked.nonce}" not in end.text:
                return f"it began {begun} times and ended {over} times"
        case "not_run":
            return "it has begun" if begun else ""
        case "lost" | "failed":
            # Killed between the log's word and the start, nobody knows but the one who sees the world.
            return "" if evidence.unknown(end.call) or not begun else "how it ended could be known"
        case _:
            return "nobody made it so"
    return ""


def _job(evidence: Evidence, asked: Asked, end: _End) -> str:
    begun = evidence.ledger.count(f"{asked.nonce} start")
    match end.outcome:
        case "ok":
            return _background(evidence, asked, end.call)
        case "not_run":
            return "it has begun" if begun else ""
        case _:
            return "" if evidence.may_lose or not begun else "how it began could be known"


class _Ended(msgspec.Struct, frozen=True):
    """`JobFinished`."""

    told: str
    command: _Command


def _background(evidence: Evidence, asked: Asked, job: str) -> str:
    found = [event.event for event in evidence.events if event.type == "JobFinished"]
    ends = [msgspec.convert(event, _Ended) for event in found if event["job"] == job]
    if len(ends) != 1:
        return f"the job has {len(ends)} ends"
    times = evidence.requests[-1].said.count(ends[0].told)
    if times != 1:
        return f"the model is told {times} times of its end"
    if ends[0].command.exit_code is None:
        return "" if evidence.unknown(job) else f"it is told as {ends[0].told[:200]!r}"
    over = evidence.ledger.count(f"{asked.nonce} end")
    return "" if over == 1 and not ends[0].command.exit_code else f"it ended {over} times"


def _file(evidence: Evidence, asked: Asked, end: _End) -> str:
    match asked.kind:
        case "write":
            done = evidence.written.get(asked.nonce) == content_of(asked.nonce)
        case "edit":
            done = evidence.notes.count(asked.nonce) == 1
        case _:
            done = FACT in end.text
    match end.outcome:
        case "ok":
            return "" if done else "it is not so"
        case "not_run":
            return "it is done" if done else ""
        case "failed":
            # The one who did file work may have been killed in the middle of it, under a living harness.
            return "" if evidence.may_lose else "nothing stood in its way"
        case _:
            return "a look at the file would have told"


def told_as_logged(evidence: Evidence) -> Iterator[str]:
    """The model is told of each call once, in the words of the log."""
    in_turn = [request for request in evidence.requests if not request.late]
    if not in_turn:
        return
    ends = _known(evidence.events).ends
    for nonce, told in in_turn[-1].results.items():
        if len(told) != 1:
            yield f"the model is told {len(told)} times of {nonce}"
        elif nonce not in ends or ends[nonce][0].text not in told[0]:
            yield f"the model is told of {nonce} what is not on the log: {told[0][:300]!r}"


def valid(evidence: Evidence) -> Iterator[str]:
    """Every request keeps the rules of the wire, and goes on from the one before, byte for byte."""
    for number, request in enumerate(evidence.requests, 1):
        if request.problem:
            yield f"request {number} is refused: {request.problem}"
        if not request.extends and not (request.late and evidence.replaced):
            yield f"request {number} does not extend the one before"


def reached(evidence: Evidence) -> Iterator[str]:
    """The turn is done, with the final words."""
    ends = [event.event for event in evidence.events if event.type == "TurnEnded"]
    if not ends or ends[-1]["ending"] != "done":
        yield f"the turn ended so: {ends[-1] if ends else 'not at all'}"
    said = [event.event["message"] for event in evidence.events if event.type == "ModelReplied"]
    if not said or msgspec.convert(said[-1], _Message).text != FINAL:
        yield f"the last words are {said[-1] if said else 'none'}"


def nothing_left(evidence: Evidence) -> Iterator[str]:
    """No process of the run is left."""
    for line in evidence.left:
        yield f"still running: {line}"
