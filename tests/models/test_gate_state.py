"""What each refusal and answer makes of the state of a gate."""

from binascii import crc32
from math import inf, nan

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hames.core.limits import BACKOFF_FIRST_S, BACKOFF_MOST_S, PROBE_S, SHUT_MOST_S
from hames.models.gate_state import (
    OPEN,
    GateState,
    Refusal,
    after_answer,
    after_refusal,
    decode,
    encode,
    is_silent,
    shut_s,
    spread_ms,
    wait_ms,
)

NOW = 1_750_000_000_000
NUMBERS = st.integers(0, 2**62)
STATES = st.builds(
    GateState,
    strikes=st.integers(1, 2**31),
    mark=NUMBERS,
    until_ms=NUMBERS,
    set_ms=NUMBERS,
    probed_ms=NUMBERS,
    why=st.text(st.characters(exclude_categories=["Cs"]), max_size=300),
)


def refusal(
    asked_s: float | None = None, *, mark: int = 1, fraction: float = 0.5, why: str = "busy"
) -> Refusal:
    return Refusal(asked_s, why, mark, fraction)


def test_the_server_says_how_long_nobody_sends() -> None:
    state = after_refusal(OPEN, OPEN, refusal(30.0), NOW)
    assert (state.strikes, state.until_ms, state.set_ms, state.why) == (1, NOW + 30_000, NOW, "busy")
    assert [wait_ms(state, NOW + past) for past in (0, 1, 29_999, 30_000, 99_000)] == [
        30_000,
        29_999,
        1,
        0,
        0,
    ]


def test_where_it_does_not_say_the_bound_doubles_with_each_refusal() -> None:
    state, waits = OPEN, list[int]()
    for number in range(12):
        now = NOW + number * 100_000
        state = after_refusal(state, state, refusal(fraction=1 - 2**-53), now)
        waits.append(wait_ms(state, now))
    assert waits == [min(200 * 2**number, 30_000) for number in range(12)]


@given(st.one_of(st.none(), st.floats()), st.integers(1, 10**6), st.floats(0, 1, exclude_max=True))
def test_a_wait_has_a_bound_whatever_the_server_says(
    asked_s: float | None, strikes: int, fraction: float
) -> None:
    assert 0 <= shut_s(asked_s, strikes, fraction) <= SHUT_MOST_S
    if asked_s is None or not asked_s > 0:
        assert shut_s(asked_s, strikes, fraction) <= BACKOFF_MOST_S


@pytest.mark.parametrize("asked_s", [0.0, -5.0, nan])
def test_a_server_that_asks_for_no_wait_is_not_asked_again_at_once(asked_s: float) -> None:
    assert shut_s(asked_s, 1, 0.5) == BACKOFF_FIRST_S * 0.5
    assert shut_s(inf, 1, 0.5) == SHUT_MOST_S


def test_a_burst_is_one_strike_and_the_longest_wait_holds() -> None:
    first = after_refusal(OPEN, OPEN, refusal(30.0, mark=1, why="the quota is used up"), NOW)
    shorter = after_refusal(first, OPEN, refusal(5.0, mark=2), NOW + 10)
    assert (shorter.strikes, shorter.until_ms, shorter.set_ms) == (1, NOW + 30_000, NOW)
    assert shorter.why == "the quota is used up"
    longer = after_refusal(shorter, OPEN, refusal(60.0, mark=3), NOW + 20)
    assert (longer.strikes, longer.until_ms, longer.set_ms, longer.why) == (1, NOW + 60_020, NOW + 20, "busy")
    tried = after_refusal(longer, longer, refusal(mark=4), NOW + 70_000)
    assert tried.strikes == 2


def test_a_refusal_of_one_who_tried_beside_another_that_was_answered_is_a_strike() -> None:
    shut = after_refusal(OPEN, OPEN, refusal(1.0), NOW)
    state = after_refusal(after_answer(shut, shut), shut, refusal(5.0, mark=2), NOW + 30_000)
    assert (state.strikes, wait_ms(state, NOW + 30_000)) == (1, 5000)
    assert decode(encode(state)) == state


def test_an_answer_opens_unless_somebody_was_refused_since() -> None:
    shut = after_refusal(OPEN, OPEN, refusal(1.0, mark=7), NOW)
    assert after_answer(shut, shut) == OPEN
    probed = msgspec.structs.replace(shut, probed_ms=NOW + 2000)
    assert after_answer(probed, shut) == OPEN
    again = after_refusal(shut, OPEN, refusal(60.0, mark=8), NOW + 1)
    assert after_answer(again, shut) == again


def test_a_clock_that_was_set_back_shuts_for_no_longer_than_the_wait() -> None:
    state = after_refusal(OPEN, OPEN, refusal(30.0), NOW)
    assert wait_ms(state, NOW - 1) == 0
    assert wait_ms(state, NOW - 10**9) == 0
    replaced = after_refusal(state, state, refusal(5.0), NOW - 10**9)
    assert (replaced.until_ms, replaced.set_ms) == (NOW - 10**9 + 5000, NOW - 10**9)


@pytest.mark.parametrize(("wait_s", "spread"), [(0.1, 10.0), (5.0, 500.0), (10.0, 1000.0), (600.0, 1000.0)])
def test_those_who_come_later_are_spread_over_a_tenth_of_the_wait_or_a_second(
    wait_s: float, spread: float
) -> None:
    assert spread_ms(after_refusal(OPEN, OPEN, refusal(wait_s), NOW)) == spread


def test_who_tries_is_silent_after_a_while_and_when_the_clock_was_set_back() -> None:
    state = GateState(1, probed_ms=NOW)
    after_ms = int(PROBE_S * 1000)
    silent = [is_silent(state, NOW + past) for past in (-1, 0, after_ms - 1, after_ms, 10**9)]
    assert silent == [True, False, False, True, True]


def test_why_is_one_short_line() -> None:
    state = after_refusal(OPEN, OPEN, refusal(why="one\ntwo " + "x" * 5000), NOW)
    assert state.why.startswith("one two xxx")
    assert len(state.why) == 300


@given(STATES)
def test_a_state_is_read_back_also_in_front_of_the_rest_of_a_longer_one(state: GateState) -> None:
    assert decode(encode(state)) == state
    assert decode(encode(state) + b'x","probed_ms":5}\n') == state
    assert (encode(OPEN), decode(b"")) == (b"", OPEN)


@given(STATES, STATES, st.data())
def test_a_torn_state_is_not_taken_for_one(old: GateState, new: GateState, data: st.DataObject) -> None:
    before, after = encode(old), encode(new)
    cut = data.draw(st.integers(1, len(after) - 1))
    assert decode(after[:cut]) is None
    assert decode(after[:cut] + before[cut:]) in (None, old, new)


@given(st.binary(min_size=1))
def test_a_file_of_somebody_else_is_no_state(data: bytes) -> None:
    assert decode(data) is None
    assert decode(b"\0" * 4096) is None


@pytest.mark.parametrize("body", [b"[]", b'{"strikes":"many"}', b'{"why":"\xff"}', b"\xff"])
def test_a_line_with_the_right_checksum_may_still_be_no_state(body: bytes) -> None:
    assert decode(b"%08x %b\n" % (crc32(body), body)) is None
