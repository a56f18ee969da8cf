"""One limiter for a key, for all sessions and processes of this machine."""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Generator
from contextlib import ExitStack, contextmanager
from hashlib import sha256
from itertools import accumulate, pairwise
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hames.core.limits import BACKOFF_FIRST_S, PROBE_S
from hames.core.ports import Closed, Gate, Pass
from hames.models.gate import FileGate, OpenGate, gate_path
from hames.models.gate_file import GateFile
from hames.models.gate_state import decode
from hames.testing.chance import FixedChance
from tests.models.gate_user import SetClock

USER = Path(__file__).with_name("gate_user.py")
KEY = "sk-0123456789abcdef"
START_S = 1_750_000_000.0


class Street:
    """Gates of several sessions on one file, and the clock they go by."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.clock = SetClock(START_S)
        self.made = 0

    def gate(self, concurrency: int | None = None) -> FileGate:
        self.made += 1
        chance = FixedChance(self.made)
        return FileGate(GateFile(str(self.path)), "api.example", self.clock, chance, concurrency)


@pytest.fixture
def street(tmp_path: Path) -> Street:
    return Street(tmp_path / "gates" / "one")


def let_in(gate: Gate) -> Pass:
    entered = gate.enter()
    assert not isinstance(entered, Closed), entered
    return entered


def kept_out(gate: Gate) -> Closed:
    entered = gate.enter()
    assert isinstance(entered, Closed)
    return entered


def test_while_all_is_well_nothing_is_written(street: Street) -> None:
    for _ in range(3):
        leave = let_in(street.gate())
        leave.answered()
        leave.close()
        leave.close()
    assert not street.path.parent.exists()


def test_after_a_refusal_nobody_sends_before_the_server_wants_it(street: Street) -> None:
    one, other = street.gate(), street.gate()
    assert let_in(one).refused(30.0, "api.example answers 429: too many requests") == START_S + 30
    for now_s in (START_S, START_S + 10, START_S + 29.999):
        street.clock.time_s = now_s
        for gate in (one, other):
            closed = kept_out(gate)
            assert START_S + 30 <= closed.until <= START_S + 31
            assert closed.why == "api.example answers 429: too many requests"
    street.clock.time_s = START_S + 30
    let_in(other)


def test_after_the_wait_one_tries_and_the_others_look_again_soon(street: Street) -> None:
    one, other = street.gate(), street.gate()
    street.clock.time_s = let_in(one).refused(5.0, "busy")
    tries = let_in(one)
    for gate in (other, one, street.gate()):
        closed = kept_out(gate)
        assert 0.2 <= closed.until - street.clock.time_s <= 1.0
        assert closed.why == "another session tries whether api.example answers again"
    tries.answered()
    for gate in (other, one, other):
        let_in(gate)


def test_a_refused_try_shuts_for_longer_and_then_one_tries_again(street: Street) -> None:
    gate = street.gate()
    until, waits = let_in(gate).refused(None, "busy"), list[float]()
    for _ in range(12):
        street.clock.time_s = until
        tries = let_in(gate)
        until = tries.refused(None, "busy")
        waits.append(until - street.clock.time_s)
        assert kept_out(street.gate()).until >= until
    assert all(0 < wait <= BACKOFF_FIRST_S * 2**number + 0.001 for number, wait in enumerate(waits, 1))
    assert max(waits) > 5


def test_a_try_that_ends_without_an_outcome_lets_the_next_one_try(street: Street) -> None:
    street.clock.time_s = let_in(street.gate()).refused(5.0, "busy")
    tries = let_in(street.gate())
    kept_out(street.gate())
    tries.close()
    tries.close()
    let_in(street.gate()).answered()
    let_in(street.gate())


def test_a_try_that_hears_nothing_for_long_lets_one_more_try(street: Street) -> None:
    street.clock.time_s = let_in(street.gate()).refused(5.0, "busy")
    tries = [let_in(street.gate())]
    for _ in range(3):
        street.clock.time_s += PROBE_S - 0.001
        kept_out(street.gate())
        street.clock.time_s += 0.001
        tries.append(let_in(street.gate()))
        kept_out(street.gate())
    tries[0].refused(60.0, "gone")
    # What the others hear was asked before that.
    tries[-1].answered()
    assert kept_out(street.gate()).until >= street.clock.time_s + 60


def test_a_refusal_of_an_older_request_lets_nobody_in_beside_the_one_that_tries(street: Street) -> None:
    early = let_in(street.gate())
    street.clock.time_s = let_in(street.gate()).refused(1.0, "busy")
    tries = let_in(street.gate())
    street.clock.time_s = early.refused(2.0, "busy") + 1
    assert "another session tries" in kept_out(street.gate()).why
    tries.close()
    let_in(street.gate())


def test_one_that_tries_keeps_others_out_also_when_one_before_it_has_ended(street: Street) -> None:
    street.clock.time_s = let_in(street.gate()).refused(1.0, "busy")
    silent = let_in(street.gate())
    street.clock.time_s += PROBE_S
    tries = let_in(street.gate())
    silent.close()
    kept_out(street.gate())
    tries.close()
    let_in(street.gate())


def test_a_burst_of_refusals_is_one_strike_and_comes_back_spread_out(street: Street) -> None:
    crowd = [let_in(street.gate()) for _ in range(20)]
    untils = [leave.refused(10.0, "busy") for leave in crowd]
    assert untils[0] == START_S + 10
    assert all(START_S + 10 <= until <= START_S + 11 for until in untils)
    assert len(set(untils)) == 20
    state = decode(street.path.read_bytes())
    assert state is not None
    assert state.strikes == 1


def test_an_answer_to_a_request_from_before_the_refusal_opens_nothing(street: Street) -> None:
    early = let_in(street.gate())
    let_in(street.gate()).refused(30.0, "busy")
    early.answered()
    assert kept_out(street.gate()).until >= START_S + 30


def test_a_wait_that_the_server_asks_for_during_a_try_outlasts_its_answer(street: Street) -> None:
    early = let_in(street.gate())
    street.clock.time_s = let_in(street.gate()).refused(1.0, "busy")
    tries = let_in(street.gate())
    early.refused(60.0, "the minute's tokens are used up")
    tries.answered()
    closed = kept_out(street.gate())
    assert closed.until >= street.clock.time_s + 60
    assert closed.why == "the minute's tokens are used up"


def test_a_stream_that_breaks_after_its_answer_is_a_refusal_like_any_other(street: Street) -> None:
    street.clock.time_s = let_in(street.gate()).refused(1.0, "busy")
    tries = let_in(street.gate())
    tries.answered()
    assert tries.refused(2.0, "the connection broke") == street.clock.time_s + 2
    # The same request once more: the first refusal has shut it already.
    assert tries.refused(2.0, "the connection broke") >= street.clock.time_s + 2
    state = decode(street.path.read_bytes())
    assert state is not None
    assert state.strikes == 1


@pytest.mark.parametrize("back_s", [0.002, 10.0, 3600.0, 10.0**8])
def test_a_clock_that_is_set_back_shuts_nobody_out(street: Street, back_s: float) -> None:
    let_in(street.gate()).refused(30.0, "busy")
    street.clock.time_s = START_S - back_s
    tries = let_in(street.gate())
    kept_out(street.gate())
    tries.answered()
    let_in(street.gate())


def test_no_more_requests_than_the_limit_are_under_way(street: Street) -> None:
    one, other = street.gate(3), street.gate(3)
    held = [let_in(gate) for gate in (one, other, one)]
    for gate in (one, other):
        closed = kept_out(gate)
        assert 0.2 <= closed.until - START_S <= 1.0
        assert closed.why == "3 requests are under way with this key, its limit"
    held[1].answered()
    kept_out(one)
    held[1].close()
    let_in(one)
    kept_out(other)


def test_who_finds_no_place_leaves_the_try_to_others(street: Street) -> None:
    limited = street.gate(1)
    leave = let_in(limited)
    street.clock.time_s = leave.refused(1.0, "busy")
    assert "under way" in kept_out(limited).why
    let_in(street.gate())


def test_the_key_is_in_no_file_and_no_name(tmp_path: Path) -> None:
    path = Path(gate_path(str(tmp_path / "gates"), "api.example", KEY))
    street = Street(path)
    let_in(street.gate(5)).refused(30.0, "busy")
    assert [*path.parent.iterdir()] == [path]
    told = str(path).encode() + path.read_bytes()
    for secret in (KEY, "0123456789", sha256(KEY.encode()).hexdigest(), "api.example"):
        assert secret.encode() not in told
        assert secret.encode()[:16] not in told or len(secret) < 16
    assert len(path.name) == 32


def test_each_host_and_each_key_has_a_gate_of_its_own() -> None:
    pairs = [("a", "k"), ("a", "j"), ("b", "k"), ("ak", ""), ("", "ak"), ("a", "\udcff")]
    assert len({gate_path("/gates", host, key) for host, key in pairs}) == len(pairs)


def test_where_no_state_can_be_kept_a_process_goes_by_its_own(tmp_path: Path) -> None:
    (tmp_path / "gates").write_bytes(b"")
    street = Street(tmp_path / "gates" / "one")
    gate = street.gate(2)
    leave, other = let_in(gate), let_in(gate)
    kept_out(gate)
    street.clock.time_s = leave.refused(5.0, "busy")
    kept_out(gate)
    for each in (leave, other):
        each.close()
    tries = let_in(gate)
    kept_out(gate)
    tries.answered()
    let_in(gate)
    kept_out(gate)


def test_an_open_gate_is_never_shut_and_its_waits_grow_until_an_answer() -> None:
    clock = SetClock(START_S)
    gate = OpenGate(clock, FixedChance(1))
    assert let_in(gate).refused(7.0, "busy") == START_S + 7
    waits = [let_in(gate).refused(None, "busy") - START_S for _ in range(20)]
    assert max(waits) > 5
    answered = let_in(gate)
    answered.answered()
    answered.close()
    assert let_in(gate).refused(None, "busy") - START_S <= BACKOFF_FIRST_S


class Told(msgspec.Struct):
    """A request of the test's own book: when it was let in, and after which refusal if it tries."""

    leave: Pass
    since_s: float
    tries_after: int | None


class Book:
    """What must hold of gates on one file, whatever their sessions do."""

    def __init__(self, street: Street) -> None:
        self.street = street
        self.gates = [street.gate() for _ in range(3)]
        self.under_way: list[Told] = []
        self.refusals = 0
        self.shut = False
        self.not_before_s = 0.0

    def enter(self, number: int) -> None:
        now_s = self.street.clock.time_s
        entered = self.gates[number % 3].enter()
        trying = [told for told in self.under_way if told.tries_after is not None]
        if isinstance(entered, Closed):
            assert self.shut
            assert entered.until > now_s
            # Either the wait is not over, or somebody tries.
            state = decode(self.street.path.read_bytes())
            assert state is not None
            assert trying or round(now_s * 1000) < state.until_ms
            return
        if self.shut:
            assert round(now_s * 1000) >= round(self.not_before_s * 1000)
            assert all(now_s - told.since_s >= PROBE_S - 0.001 for told in trying)
        self.under_way.append(Told(entered, now_s, self.refusals if self.shut else None))

    def answer(self, number: int) -> None:
        if told := self._one(number):
            told.leave.answered()
            if told.tries_after == self.refusals and self.shut:
                self.shut, self.not_before_s = False, 0.0
                for gate in self.gates:
                    let_in(gate).close()
            told.tries_after = None

    def refuse(self, number: int, asked_s: float | None) -> None:
        if told := self._one(number):
            now_s = self.street.clock.time_s
            until = told.leave.refused(asked_s, "busy")
            self.not_before_s = max(self.not_before_s, now_s + (asked_s or 0.0))
            assert until >= self.not_before_s - 0.001
            self.refusals += 1
            self.shut, told.tries_after = True, None

    def end(self, number: int) -> None:
        if told := self._one(number):
            told.leave.close()
            self.under_way.remove(told)

    def _one(self, number: int) -> Told | None:
        return self.under_way[number % len(self.under_way)] if self.under_way else None


STEPS = st.one_of(
    st.tuples(st.just("enter"), st.integers(0, 2)),
    st.tuples(st.just("answer"), st.integers(0, 9)),
    st.tuples(st.just("refuse"), st.integers(0, 9), st.sampled_from([None, None, 0.5, 30.0, 600.0])),
    st.tuples(st.just("end"), st.integers(0, 9)),
    st.tuples(st.just("pass"), st.sampled_from([1, 100, 400, 7_000, 20_000, 60_000, 3_600_000])),
)


@given(st.lists(STEPS, max_size=60))
@settings(max_examples=300, deadline=None)
def test_whatever_happens_nobody_sends_too_early_nor_beside_a_try_and_an_answer_opens(
    steps: list[tuple[str, int] | tuple[str, int, float | None]],
) -> None:
    with tempfile.TemporaryDirectory() as directory:
        street = Street(Path(directory, "gates", "one"))
        book = Book(street)
        for step in steps:
            match step:
                case ("enter", number):
                    book.enter(number)
                case ("answer", number):
                    book.answer(number)
                case ("refuse", number, asked_s):
                    book.refuse(number, asked_s)
                case ("end", number):
                    book.end(number)
                case (_, past_ms, *_):
                    street.clock.time_s += past_ms / 1000
        for told in book.under_way:
            told.leave.close()
        street.clock.time_s += 601
        let_in(book.gates[0]).answered()
        let_in(book.gates[1])


class Neighbour:
    """A gate in a process of its own."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self.process = process

    def __call__(self, words: str) -> str:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(words + "\n")
        self.process.stdin.flush()
        return self.process.stdout.readline().rstrip("\n")


@contextmanager
def neighbours(path: Path, count: int, limit: int = 0) -> Generator[list[Neighbour]]:
    command = [sys.executable, str(USER), "obey", str(path), str(limit)]
    with ExitStack() as stack:
        processes = [
            stack.enter_context(
                subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
            )
            for _ in range(count)
        ]
        try:
            yield [Neighbour(process) for process in processes]
        finally:
            for process in processes:
                process.kill()


def test_what_one_process_learns_holds_for_the_other(street: Street) -> None:
    with neighbours(street.path, 2) as (one, other):
        assert one("enter") == "pass"
        assert one("refused 30 it is busy") == str(START_S + 30)
        until, _, why = other("enter").partition(" ")
        assert (float(until) >= START_S + 30, why) == (True, "it is busy")
        for each in (one, other):
            each(f"at {START_S + 31}")
        assert other("enter") == "pass"
        assert "another session tries" in one("enter")
        other("answered")
        assert one("enter") == "pass"


def test_when_the_process_that_tries_is_killed_the_next_may_try_at_once(street: Street) -> None:
    with neighbours(street.path, 2) as (one, other):
        one("enter")
        one("refused 5 busy")
        for each in (one, other):
            each(f"at {START_S + 5}")
        assert one("enter") == "pass"
        assert "another session tries" in other("enter")
        one.process.kill()
        one.process.wait()
        assert other("enter") == "pass"


def test_a_limit_holds_over_all_processes_and_a_killed_one_gives_its_place_back(street: Street) -> None:
    with neighbours(street.path, 6, 3) as six:
        assert [each("enter") for each in six[:3]] == ["pass"] * 3
        assert all("3 requests are under way" in each("enter") for each in six[3:])
        six[0].process.kill()
        six[0].process.wait()
        assert six[3]("enter") == "pass"
        assert "3 requests are under way" in six[4]("enter")
        six[1]("close")
        assert six[4]("enter") == "pass"
        assert "3 requests are under way" in six[5]("enter")


def test_in_a_crowd_the_limit_is_never_passed_and_everybody_has_a_turn(street: Street) -> None:
    said = together(["crowd", str(street.path), "3"], 6)
    assert len(said) == 6 * 8 * 2
    assert max(accumulate(each["under_way"] for each in said)) <= 3


def test_in_an_outage_all_processes_together_try_once_a_wait(street: Street, tmp_path: Path) -> None:
    down = tmp_path / "down"
    down.write_bytes(b"")
    said = together(["storm", str(street.path), str(down)], 3, down)
    failed = sorted((each for each in said if "failed" in each), key=lambda each: each["begun"])
    assert len(said) == len(failed) + 3
    first = min(each["noted"] for each in failed)
    tries = [each for each in failed if each["asked"] > first]
    assert len(tries) >= 4
    for before, after in pairwise(tries):
        # A machine that is busy may keep one waiting for so long that another one tries, too.
        if before["noted"] - before["asked"] >= PROBE_S:
            continue
        assert after["begun"] >= before["failed"]
        assert after["begun"] >= before["until"] - 0.001


def together(arguments: list[str], count: int, down: Path | None = None) -> list[dict[str, float]]:
    """What `count` processes said, in the order in which they did. After seven words `down` is removed."""
    reader, writer = os.pipe()
    with ExitStack() as stack:
        processes = [
            stack.enter_context(subprocess.Popen([sys.executable, str(USER), *arguments], stdout=writer))
            for _ in range(count)
        ]
        try:
            os.close(writer)
            said: list[dict[str, float]] = []
            with os.fdopen(reader) as lines:
                for line in lines:
                    said.append(json.loads(line))
                    if down is not None and len(said) == 7:
                        down.unlink()
            for process in processes:
                process.wait()
        finally:
            for process in processes:
                process.kill()
    assert [process.returncode for process in processes] == [0] * count
    return said
