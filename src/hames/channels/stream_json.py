"""Stream-json: durable events as lines in Claude Code's shape."""

from collections.abc import Callable, Mapping, Sequence

import msgspec

from hames.core.events import (
    AnyEvent,
    CallFinished,
    CallLost,
    Entry,
    GoalChecked,
    GoalSet,
    LimitReached,
    ModelFailed,
    ModelReplied,
    SessionOpened,
    SettingsPinned,
    UserSpoke,
    WaitStarted,
)
from hames.core.ids import CallId
from hames.core.messages import Part, Text, plain
from hames.core.ports import Notice, Passing
from hames.loop.budget import warning_words


class StreamJson:
    """Prints each durable event that has a place in Claude Code's stream-json shape, with its `seq`."""

    def __init__(self, write: Callable[[str], None], version: str, tools: Sequence[str]) -> None:
        self._write = write
        self._version = version
        self._tools = tools
        self._cwd = ""
        self._session = ""
        self._notices: list[Notice] = []
        self._failed: ModelFailed | None = None

    def entry(self, entry: Entry) -> None:
        """A durable event: its line, if it has one."""
        self._session = entry.session
        line = self._line(entry)
        if line is not None:
            self._write(_encoded({**line, "session_id": entry.session, "seq": entry.seq}))
        self._tell()

    def delta(self, step: int, delta: Passing) -> None:
        """Something volatile: only notices are printed, without a `seq`."""
        if isinstance(delta, Notice):
            self._notices.append(delta)
            self._tell()

    def _tell(self) -> None:
        """Notices wait for the first event: it names the session."""
        while self._session and self._notices:
            words = self._notices.pop(0).words
            line = {"type": "system", "subtype": "notice", "content": words}
            self._write(_encoded({**line, "session_id": self._session}))

    def _line(self, entry: Entry) -> Mapping[str, object] | None:
        match entry.event:
            case SessionOpened(workspace=workspace):
                self._cwd = workspace
                return None
            case SettingsPinned() as pinned:
                return {
                    "type": "system",
                    "subtype": "init",
                    "cwd": self._cwd,
                    "model": pinned.model,
                    "tools": self._tools,
                    "permissionMode": pinned.mode,
                    "sandbox": pinned.sandbox,
                    "hames_version": self._version,
                }
            case ModelReplied() as reply:
                return {"type": "assistant", "message": assistant_message(reply)}
            case CallFinished() as event:
                return _result_line(event.call, event.parts, failed=event.outcome != "ok")
            case CallLost() as event:
                return _result_line(event.call, event.parts, failed=True)
            case ModelFailed() as event:
                self._failed = event
                return None
            case WaitStarted(until_ms=until_ms, reason=reason):
                return self._retry(until_ms, until_ms - entry.at_ms, reason)
            case event:
                return _beside(event)

    def _retry(self, until_ms: int, delay_ms: int, reason: str) -> Mapping[str, object]:
        failed = self._failed
        return {
            "type": "system",
            "subtype": "api_retry",
            "attempt": failed.attempt if failed else 0,
            "retry_delay_ms": max(delay_ms, 0),
            "until_ms": until_ms,
            "error_status": failed.status if failed else None,
            "error": failed.kind if failed else "overload",
            "content": reason,
        }


def _beside(event: AnyEvent | None) -> Mapping[str, object] | None:
    match event:
        case UserSpoke(source="steer" | "harness", parts=parts):
            return {"type": "user", "message": {"role": "user", "content": plain(parts)}}
        case LimitReached(warned=True):
            return {
                "type": "system",
                "subtype": "limit_warning",
                "limit": event.limit,
                "value": event.value,
                "used": event.used,
                "content": warning_words(event),
            }
        case GoalSet() | GoalChecked():
            return _goal(event)
        case _:
            return None


def _goal(event: GoalSet | GoalChecked) -> Mapping[str, object]:
    """A goal, or a check of it: `content` is what the model is told."""
    line = {"type": "system", "subtype": "goal", "command": event.command, "content": event.told}
    if isinstance(event, GoalChecked):
        line |= {"subtype": "goal_check", "passed": event.passed, "exit_code": event.fact.exit_code}
    return line


def assistant_message(reply: ModelReplied) -> Mapping[str, object]:
    """A reply as an `assistant` message: thinking, text and tool_use blocks."""
    content: list[Mapping[str, object]] = []
    if reply.message.reasoning is not None and reply.message.reasoning.text:
        content.append({"type": "thinking", "thinking": reply.message.reasoning.text})
    if reply.message.text:
        content.append({"type": "text", "text": reply.message.text})
    for call in reply.message.calls:
        content.append(
            {"type": "tool_use", "id": call.id, "name": call.name, "input": _loose(call.arguments)}
        )
    usage = {
        "input_tokens": reply.usage.input - reply.usage.cached,
        "cache_read_input_tokens": reply.usage.cached,
        "output_tokens": reply.usage.output,
    }
    return {"role": "assistant", "model": reply.model, "content": content, "usage": usage}


def _result_line(call: CallId, parts: tuple[Part, ...], *, failed: bool) -> Mapping[str, object]:
    content = [{"type": "text", "text": part.text} for part in parts if isinstance(part, Text)]
    block = {"type": "tool_result", "tool_use_id": call, "content": content, "is_error": failed}
    return {"type": "user", "message": {"role": "user", "content": [block]}}


def _loose(arguments: str) -> object:
    try:
        return msgspec.json.decode(arguments)
    except msgspec.DecodeError:
        return {"_raw": arguments}


def _encoded(line: object) -> str:
    return msgspec.json.encode(line).decode()
