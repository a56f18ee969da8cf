from hashlib import sha256

import msgspec
import pytest

from hames.testing.script import ServedCall
from tests.torture.laws import Evidence, broken
from tests.torture.model import Request
from tests.torture.plan import FINAL, Asked, Kind, content_of
from tests.torture.target import Event

N = "n000"


def event(seq: int, kind: str, **fields: object) -> Event:
    return Event(seq, {"type": kind, **fields}, hash=str(seq))


def request(told: str | None = None) -> Request:
    messages: list[dict[str, object]] = [{"role": "user", "content": "go"}]
    if told is not None:
        messages.append({"role": "assistant", "content": "x"})
        messages.append({"role": "tool", "tool_call_id": N, "content": told})
    return Request(msgspec.json.encode({"messages": messages}), "", extends=True)


def log(end: dict[str, object], first: Request, last: Request, *, started: int = 1) -> list[Event]:
    """A log with one call that ended so."""
    message = {"text": "", "calls": [{"id": "1.0", "wire_id": N, "arguments": "{}"}]}
    ends = "CallFinished" if "outcome" in end else "CallLost"
    return [
        event(1, "RequestSent", sha256=sha256(first.body).hexdigest()),
        event(2, "ModelReplied", message=message),
        *(event(3, "CallStarted", call="1.0") for _ in range(started)),
        event(4, ends, call="1.0", parts=[{"text": f"did {N}"}], **end),
        event(5, "RequestSent", sha256=sha256(last.body).hexdigest()),
        event(6, "ModelReplied", message={"text": FINAL}),
        event(7, "TurnEnded", ending="done"),
    ]


OK: dict[str, object] = {"outcome": "ok", "command": {"exit_code": 0}}
LOST: dict[str, object] = {"why": "?"}
NOT_RUN: dict[str, object] = {"outcome": "not_run"}


def evidence(end: dict[str, object], kind: Kind = "append", *, started: int = 1) -> Evidence:
    first, last = request(), request(f"did {N}")
    ledger = [f"{N} start", f"{N} end"] if kind == "append" else []
    return Evidence(
        asked={N: Asked(N, kind, ServedCall("bash"))},
        ledger=ledger,
        notes=[N] if kind == "edit" else [],
        written={N: content_of(N)} if kind == "write" else {},
        requests=[first, last],
        lines=[],
        exports=[log(end, first, last, started=started)],
    )


def changed(was: Evidence, **fields: object) -> list[str]:
    """What laws are broken if the evidence were different in this."""
    return broken(msgspec.structs.replace(was, **fields))


@pytest.mark.parametrize("kind", ["append", "write", "edit"])
def test_a_run_without_fault_breaks_no_law(kind: Kind) -> None:
    assert broken(evidence(OK, kind)) == []


def only(found: list[str], words: str) -> None:
    assert any(words in each for each in found), found


def test_a_printed_line_that_is_not_on_the_log_is_noticed() -> None:
    only(changed(evidence(OK), lines=[{"type": "assistant", "seq": 9}]), "not on the log")
    assert changed(evidence(OK), lines=[{"type": "system", "subtype": "notice", "content": "x"}]) == []


def test_only_a_result_that_admits_that_the_turn_was_broken_off_is_not_on_the_log() -> None:
    line = {"type": "result", "is_error": True, "code": "taken_over", "seq": None}
    assert changed(evidence(OK), lines=[line]) == []
    for other in ({"is_error": False}, {"code": "rate"}, {"seq": 9}, {"type": "user"}):
        only(changed(evidence(OK), lines=[{**line, **other}]), "not on the log")


def test_a_printed_line_with_other_content_is_noticed() -> None:
    content = [{"type": "tool_result", "tool_use_id": "1.0", "content": [{"text": "other"}]}]
    line = {"type": "user", "seq": 4, "message": {"content": content}}
    only(changed(evidence(OK), lines=[line]), "was printed as")


def test_a_log_that_forgets_is_noticed() -> None:
    was = evidence(OK)
    only(changed(was, exports=[was.events, was.events[1:]]), "does not repeat")


def test_a_request_that_is_not_on_the_log_is_noticed() -> None:
    was = evidence(OK)
    only(changed(was, requests=[request("more"), *was.requests]), "was sent and is not on the log")


def test_an_effect_that_happened_twice_is_noticed() -> None:
    only(changed(evidence(OK), ledger=[f"{N} start", f"{N} start", f"{N} end"]), "happened 2 times")
    only(changed(evidence(OK, "edit"), notes=[N, N]), "happened 2 times")


def test_an_effect_that_the_log_does_not_know_is_noticed() -> None:
    only(broken(evidence(NOT_RUN, started=0)), "is not on the log as started")


def test_an_effect_that_nobody_asked_for_is_noticed() -> None:
    only(changed(evidence(OK), ledger=[f"{N} start", f"{N} end", "x start"]), "was never asked for")


def test_a_call_that_is_said_to_be_done_and_is_not_is_noticed() -> None:
    only(changed(evidence(OK), ledger=[f"{N} start"]), "is said to be ok")
    only(changed(evidence(OK, "edit"), notes=[]), "is said to be ok")
    only(changed(evidence(OK, "write"), written={N: "half"}), "is said to be ok")


def test_a_call_that_is_said_not_to_have_run_and_has_is_noticed() -> None:
    only(broken(evidence(NOT_RUN)), "it has begun")
    only(broken(evidence(NOT_RUN, "edit")), "it is done")


def test_an_outcome_is_lost_only_if_nobody_could_know_it() -> None:
    only(broken(evidence(LOST)), "could be known")
    assert changed(evidence(LOST), may_lose=True) == []
    assert changed(evidence(LOST), ledger=[]) == []
    only(changed(evidence(LOST), may_lose=True, known_ends={"1.0"}), "could be known")


def test_what_became_of_a_file_is_never_lost() -> None:
    only(changed(evidence(LOST, "edit"), may_lose=True), "a look at the file would have told")


def test_a_wrong_exit_code_is_noticed() -> None:
    only(broken(evidence({"outcome": "failed", "command": {"exit_code": 3}})), "its exit code was 3")


def test_a_result_that_is_told_twice_or_otherwise_is_noticed() -> None:
    was = evidence(OK)
    other = request("something else")
    only(changed(was, requests=[was.requests[0], other]), "what is not on the log")


def test_a_request_that_the_wire_refuses_or_that_rewrites_is_noticed() -> None:
    was = evidence(OK)
    first, last = was.requests
    only(changed(was, requests=[first._replace(problem="bad"), last]), "is refused: bad")
    only(changed(was, requests=[first, last._replace(extends=False)]), "does not extend")


def test_only_an_owner_that_was_replaced_may_send_a_request_again_out_of_turn() -> None:
    was = evidence(OK)
    first, last = was.requests
    again = [first, last, first._replace(extends=False, late=True)]
    assert changed(was, requests=again, replaced=True) == []
    only(changed(was, requests=again), "does not extend")
    only(changed(was, requests=[first, last._replace(extends=False)], replaced=True), "does not extend")


def test_a_turn_that_is_not_done_is_noticed() -> None:
    was = evidence(OK)
    only(changed(was, exports=[was.events[:-1]]), "the turn ended so")


def test_a_process_that_is_left_is_noticed() -> None:
    only(changed(evidence(OK), left=["1 sleep"]), "still running")
