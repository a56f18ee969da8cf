"""One of each event, with every field filled in: what any store or reader must carry unchanged."""

from hames.core.events import (
    AnyEvent,
    ApprovalAnswered,
    ApprovalAsked,
    CallFinished,
    CallIntended,
    CallJudged,
    CallLost,
    CallStarted,
    ChildOpened,
    ChildReported,
    CommandFact,
    ContextShrunk,
    Cost,
    FileFact,
    FileIntent,
    FilesRestored,
    GoalChecked,
    GoalCheckStarted,
    GoalSet,
    JobDetached,
    JobFinished,
    JobStarted,
    Labelled,
    LimitReached,
    ModeChanged,
    ModelFailed,
    ModelReplied,
    OutputFact,
    Ran,
    Repaired,
    RequestSent,
    RestoreStarted,
    Rewound,
    ScheduleSet,
    SessionClosed,
    SessionOpened,
    SettingsPinned,
    SnapshotTaken,
    Todo,
    TurnEnded,
    TurnStarted,
    Usage,
    UserSpoke,
    WaitEnded,
    WaitStarted,
)
from hames.core.ids import BlobId, CallId, JobId, SessionId, blob_id
from hames.core.limits import LOG_FORMAT
from hames.core.messages import AssistantMessage, Call, Image, Reasoning, Text

SESSION = SessionId("01samplesamplesamplesample")
CALL = CallId("3.0")
BLOBS: tuple[bytes, ...] = (b"system prompt", b"[]", b'{"model":', b"\x89PNG\r\n\x00\xff", b"")
"""Small blobs; the events below name them."""

_SYSTEM, _TOOLS, _HEAD, _PICTURE, _EMPTY = (blob_id(data) for data in BLOBS)
_CHILD = SessionId("01samplesamplesamplesamplf")
_AWKWARD = 'Grüße, 世界 🌍\n\ttab "quoted" \\ back\x00nul \x1b[31mred\u2028'
_PARTS = (Text(_AWKWARD), Image("image/png", _PICTURE), Text(""))
_COMMAND = CommandFact(
    exit_code=-1,
    signal=9,
    timed_out=True,
    stopped=True,
    elapsed_s=120.25,
    cpu_s=0.1,
    memory_kb=2048,
    cwd="/w",
)
_OUTPUT = OutputFact(_HEAD, 10**12, 9)
_REPLY = AssistantMessage(
    text=_AWKWARD,
    reasoning=Reasoning("chat", "Let me think.\n", '{"signature": "x==",  "n":1.0}'),
    calls=(
        Call(CALL, "call_00_abc", "bash", '{"command": "echo \\"hi\\"",}'),
        Call(CallId("3.1"), "call_00_abd", "read", ""),
    ),
)

SAMPLES: tuple[AnyEvent, ...] = (
    SessionOpened(SESSION, LOG_FORMAT, "0.1.0", "/home/ann/work", parent=_CHILD),
    SettingsPinned(1, "deepseek-chat", "deepseek", "chat", _SYSTEM, _TOOLS, "bubblewrap", "auto"),
    ModeChanged("auto", "terminal"),
    UserSpoke(_PARTS, "steer", "slack-17"),
    TurnStarted(1),
    TurnEnded(1, "done", _AWKWARD, "verified", 12, (Ran("pytest", 0, 7), Ran(_AWKWARD, None, 8)), True),
    LimitReached("steps", 0.1, 0.08, True),
    GoalSet(_AWKWARD, "terminal", 600.5, "[the goal]"),
    GoalCheckStarted(CallId("check.1"), _HEAD),
    GoalChecked(
        CallId("check.1"), "pytest", False, CommandFact(1), "no", OutputFact(_HEAD, 9, 8), "ab", True, _HEAD
    ),
    RequestSent(3, 1, 1, _HEAD, (_SYSTEM, _EMPTY), _TOOLS, _HEAD, 2**40, 2, "shrink", Cost(Usage(9, 8), 5)),
    ModelReplied(
        3, 1, _REPLY, "calls", "deepseek-chat", _HEAD, Usage(9, 8, 7, 6), 1_234_567, 5, 6, ("fenced",), True
    ),
    ModelFailed(3, 1, "rate", "slow down", 429, 1.5, _HEAD, 12, 4096, Cost(Usage(), 7)),
    WaitStarted(1_750_000_000_000, "rate"),
    WaitEnded("rate"),
    CallIntended(CALL, 3, "bash", _HEAD, "effectful", "call_tool"),
    CallJudged(CALL, "allow_in_sandbox", "default", "inside the workspace"),
    ApprovalAsked(CALL, '{"tool":"bash"}'),
    ApprovalAnswered(CALL, True, "terminal", "go on"),
    CallStarted(CALL, 2, "key-1", (FileIntent("/w/a b.py", "", _HEAD),), _EMPTY),
    CallFinished(
        CALL,
        "failed",
        _PARTS,
        1500,
        _OUTPUT,
        _COMMAND,
        (
            FileFact("/w/a b.py", _HEAD, "wrote"),
            FileFact("/w/ü", _EMPTY, "read"),
            FileFact("/w/c", "", "removed"),
        ),
        (Todo("fix it", "in_progress"),),
        _EMPTY,
    ),
    CallLost(CALL, _PARTS, "the machine went down", _HEAD),
    JobStarted(JobId("3.0"), CALL, "npm run dev", "server"),
    JobDetached(JobId("3.0")),
    JobFinished(JobId("3.0"), _COMMAND, _OUTPUT, "it ended", _HEAD),
    ContextShrunk(2, "window", (CALL,), 40, "[left out]"),
    SnapshotTaken(_EMPTY, (_HEAD, _SYSTEM)),
    RestoreStarted(_EMPTY, _HEAD, _SYSTEM, 7, "undo", ("a",)),
    FilesRestored(_EMPTY, ("kept",), ("refused",)),
    Rewound(7, "undo"),
    ChildOpened(_CHILD, CALL, "look it up"),
    ChildReported(_CHILD, "blocked", _PARTS, Cost(Usage(1, 0, 2), None)),
    ScheduleSet(1_750_000_000_000, "0 6 * * *", "morning"),
    Labelled(3, "wrong_path", "rule", "no such file", 4),
    Repaired(4, 5, "does not match its hash", _HEAD, _EMPTY, (_SYSTEM, _TOOLS)),
    SessionClosed("deleted by its owner"),
)
"""Each member of `AnyEvent` once."""

BARE: tuple[AnyEvent, ...] = (
    UserSpoke(()),
    CallFinished(CALL, "ok", (), todos=()),
    CallFinished(CALL, "failed", (), lost=True),
    JobFinished(JobId("3.0"), CommandFact(), None, ""),
    ModelReplied(0, 1, AssistantMessage(""), "stop", "", BlobId(_EMPTY), Usage()),
    ContextShrunk(1, ""),
)
"""The same with as little in them as there can be."""
