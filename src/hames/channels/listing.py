"""Sessions for the eye and for programs: lists, one session told in lines, and exports."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime

import msgspec

from hames.context.rewinding import taken_back
from hames.core.errors import SessionMissing
from hames.core.events import (
    AnyEvent,
    CallFinished,
    CallIntended,
    CallJudged,
    CallLost,
    CallStarted,
    Entry,
    FilesRestored,
    GoalChecked,
    GoalCheckStarted,
    GoalSet,
    JobFinished,
    JobStarted,
    Labelled,
    LimitReached,
    ModelFailed,
    ModelReplied,
    Repaired,
    RequestSent,
    RestoreStarted,
    Rewound,
    SessionOpened,
    SettingsPinned,
    SnapshotTaken,
    TurnEnded,
    TurnStarted,
    UserSpoke,
    WaitEnded,
    WaitStarted,
)
from hames.core.ids import SessionId
from hames.core.messages import plain
from hames.core.ports import SessionRow
from hames.core.text import for_terminal, listed, presentable
from hames.loop.endings import verified_words
from hames.loop.goal import checked_words
from hames.session.points import before_turn

INDENT = " " * 9

TAKEN_BACK = "-"
"""Marks the events that an undo, redo or rewind has taken out of the conversation."""

SHOWN = 5
"""Paths that are named."""

GOING_BACK = (SnapshotTaken, RestoreStarted, FilesRestored, Rewound)


def find_session(rows: Sequence[SessionRow], wanted: str) -> SessionId:
    """The session of this id, or the only one whose id starts so. Raises `SessionMissing`."""
    exact = [row.session for row in rows if row.session == wanted]
    found = exact or [row.session for row in rows if row.session.startswith(wanted)]
    if len(found) == 1:
        return found[0]
    if found:
        raise SessionMissing(f"{len(found)} sessions start with {wanted}: give more of the id")
    raise SessionMissing(f"there is no session {wanted}: `hames sessions list` shows those there are")


def latest_in(rows: Sequence[SessionRow], workspace: str) -> SessionId:
    """The session of this workspace that changed last. Raises `SessionMissing`."""
    for row in rows:
        if row.workspace == workspace:
            return row.session
    raise SessionMissing(f"there is no session of {workspace}: `hames sessions list` shows those of others")


def table(rows: Sequence[SessionRow]) -> Iterator[str]:
    """A line for each session, after a heading."""
    if not rows:
        yield "no sessions yet"
        return
    yield f"{'session':26}  {'changed (UTC)':16}  {'events':>6}  {'size':>8}  {'ended':12}  what"
    for row in rows:
        yield (
            f"{row.session:26}  {moment(row.changed_ms):16}  {row.events:6}  {size(row.bytes):>8}  "
            f"{row.ending[:12]:12}  {for_terminal(row.title)} ({for_terminal(row.workspace)})"
        )


def story(entries: Sequence[Entry], *, whole: bool = False) -> Iterator[str]:
    """A session told in lines, each event with its number; `whole` gives results in full.

    Each turn says how to go back to before it. What the model does not know any more has a mark.
    """
    gone, any_gone = taken_back(entries), False
    for index, entry in enumerate(entries):
        mark = " "
        if entry.seq in gone and not isinstance(entry.event, GOING_BACK):
            mark, any_gone = TAKEN_BACK, True
        heading, *more = _tell(entry, whole=whole)
        if isinstance(entry.event, TurnStarted):
            heading += f"   (to before it: hames rewind {entry.session}@{before_turn(entries, index)})"
        yield f"{entry.seq:6} {mark} {heading}"
        yield from (f"{INDENT}{line}" for line in more)
    if any_gone:
        yield f"{TAKEN_BACK} taken back: the model does not know of it"


def _tell(entry: Entry, *, whole: bool) -> Iterator[str]:
    match entry.event:
        case SessionOpened() as opened:
            place = for_terminal(opened.workspace)
            yield f"opened {moment(entry.at_ms)} UTC in {place} by hames {opened.hames}"
        case SettingsPinned() as pinned:
            learnt = f", mended: {', '.join(pinned.mends)}" if pinned.mends else ""
            made_by = f"model {pinned.provider}/{pinned.model}{learnt}"
            yield f"{made_by}, sandbox {pinned.sandbox}, mode {pinned.mode}"
        case UserSpoke(parts=parts, source=source):
            yield from _block(f"{source}:", plain(parts), whole=whole)
        case RequestSent() | ModelReplied() | ModelFailed() as event:
            yield from _model(event, whole=whole)
        case CallIntended() | CallJudged() | CallStarted() | CallFinished() | CallLost() as event:
            yield from _call(event, whole=whole)
        case JobStarted() | JobFinished() | GoalChecked() as event:
            yield from _beside_calls(event, whole=whole)
        case TurnStarted() | TurnEnded() | Repaired() | GoalSet() | GoalCheckStarted() | Labelled() as event:
            yield _marker(event)
        case None:
            yield "(an event of a newer hames)"
        case event:
            yield _beside(event)


def _marker(event: TurnStarted | TurnEnded | Repaired | GoalSet | GoalCheckStarted | Labelled) -> str:
    match event:
        case GoalCheckStarted():
            return f"{event.check}: started"
        case GoalSet():
            goal = for_terminal(event.command)
            return f"goal ({event.by}): {goal}" if goal else f"the goal was lifted ({event.by})"
        case TurnStarted():
            return f"turn {event.turn}"
        case TurnEnded():
            reason = for_terminal(event.reason)
            words = verified_words(event)
            known = f" ({words})" if words else ""
            return f"turn {event.turn} ended: {event.ending}, {event.steps} steps. {reason}{known}"
        case Repaired():
            return f"repaired: {for_terminal(event.reason)}"
        case Labelled():
            return for_terminal(f"label {event.label} of step {event.step}: {event.evidence}")


def _beside(event: AnyEvent) -> str:
    match event:
        case SnapshotTaken():
            return f"snapshot {event.tree[:12]}"
        case RestoreStarted():
            forced = f", forced: {_paths(event.force)}" if event.force else ""
            by = "" if event.by == "user" else f", by the {event.by}"
            return f"{event.what}: files go back to entry {event.through}{forced}{by}"
        case FilesRestored():
            kept = f", kept: {_paths(event.kept)}" if event.kept else ""
            failed = f", failed: {_paths(event.failed)}" if event.failed else ""
            return f"files went back{kept}{failed}"
        case WaitStarted():
            return f"waits until {_second(event.until_ms)} UTC: {for_terminal(event.reason)}"
        case WaitEnded():
            return "the wait is over"
        case LimitReached(warned=True):
            return f"most of a limit is used: {event.limit} ({event.used:.10g} of {event.value:.10g})"
        case LimitReached():
            return f"limit reached: {event.limit} ({event.value:.10g})"
        case Rewound():
            return f"{event.what}: words go back to entry {event.through}"
        case other:
            return f"{type(other).__name__} {for_terminal(msgspec.json.encode(other).decode())}"


def _paths(paths: Sequence[str]) -> str:
    return for_terminal(presentable(listed(paths, SHOWN)))


def _model(event: RequestSent | ModelReplied | ModelFailed, *, whole: bool) -> Iterator[str]:
    match event:
        case RequestSent():
            yield f"request: step {event.step}, attempt {event.attempt}, {event.size} bytes"
        case ModelReplied():
            yield from _reply(event, whole=whole)
        case ModelFailed():
            yield f"attempt {event.attempt} failed: {event.kind}: {for_terminal(event.message)}"


def _reply(reply: ModelReplied, *, whole: bool) -> Iterator[str]:
    used = f"{reply.usage.input} in ({reply.usage.cached} cached), {reply.usage.output} out"
    yield f"reply: {reply.model}, {used}, {reply.total_ms} ms"
    if reply.message.text:
        yield from _block("  says:", reply.message.text, whole=whole)
    for call in reply.message.calls:
        arguments = call.arguments if whole else " ".join(call.arguments.split())
        yield from _block(f"  calls {call.id}:", f"{call.name} {arguments}", whole=whole)


def _call(
    event: CallIntended | CallJudged | CallStarted | CallFinished | CallLost, *, whole: bool
) -> Iterator[str]:
    match event:
        case CallStarted():
            yield f"call {event.call}: started" + (f", attempt {event.attempt}" if event.attempt > 1 else "")
        case CallIntended():
            yield f"call {event.call}: {event.tool}, {event.effect}"
        case CallJudged():
            yield f"call {event.call}: {event.verdict} by {event.rule} {for_terminal(event.why)}".rstrip()
        case CallFinished():
            heading = f"call {event.call}: {event.outcome}, {event.elapsed_ms} ms"
            yield from _block(heading, plain(event.parts), whole=whole)
        case CallLost():
            yield from _block(f"call {event.call}: outcome not known", plain(event.parts), whole=whole)


def _beside_calls(event: JobStarted | JobFinished | GoalChecked, *, whole: bool) -> Iterator[str]:
    match event:
        case JobStarted():
            yield from _block(f"job {event.job}:", f"started: {event.command}", whole=whole)
        case JobFinished():
            yield from _block(f"job {event.job}:", event.told, whole=whole)
        case GoalChecked():
            yield from _block(f"{event.check}: {checked_words(event)}", event.told, whole=whole)


def _block(heading: str, text: str, *, whole: bool) -> Iterator[str]:
    lines = [for_terminal(line) for line in text.splitlines()]
    shown = lines if whole else [line[:160] for line in lines[:6]]
    yield f"{heading} {shown[0]}" if len(lines) == 1 else heading
    if len(lines) > 1:
        yield from (f"  {line}" for line in shown)
    if len(shown) < len(lines):
        yield f"  ... {len(lines) - len(shown)} lines more (--whole)"


def export_lines(entries: Sequence[Entry]) -> Iterator[str]:
    """Every durable event as a JSON line."""
    for entry in entries:
        yield msgspec.json.encode(entry).decode()


def rows_json(rows: Sequence[SessionRow]) -> Iterator[str]:
    """Every session as a JSON line."""
    for row in rows:
        yield msgspec.json.encode(row).decode()


def moment(at_ms: int) -> str:
    """A wall-clock time, for the eye."""
    return _second(at_ms)[:-3]


def _second(at_ms: int) -> str:
    return datetime.fromtimestamp(at_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S")


def size(count: int) -> str:
    """So many bytes, for the eye."""
    if count < 1000:
        return f"{count} B"
    scaled = float(count)
    for unit in ("kB", "MB", "GB"):
        scaled /= 1000
        if scaled < 1000:
            return f"{scaled:.1f} {unit}"
    return f"{scaled / 1000:.1f} TB"
