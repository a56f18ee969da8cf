import asyncio
import subprocess
import sys
from pathlib import Path

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from hames.core.profiles import WireName
from hames.testing.chaos import IN_A_ROW, PASSING, Chaos
from hames.testing.faults import EFFECTIVE, FINAL, LONG, append, call
from hames.testing.script import Script, Served
from tests.testing.test_model_server import USER, body, post

STEPS = 20


def script() -> Script:
    steps = Served(text="step {i}", calls=(call(append("{i}")),), repeat=STEPS)
    return Script([steps, Served(text="done")])


def conversation(replies: int) -> bytes:
    """A request after so many replies, as far as it is looked into."""
    return body(USER, *[{"role": "assistant", "content": str(at)} for at in range(replies)])


def is_true(reply: Served) -> bool:
    """Whether a client takes it for what the script says."""
    odd = reply.fault in ("pause", "garbage", "half_event", "binary", "no_mark", None)
    return odd and reply.status == 200 and reply.framing != "gzip" and append("{i}") in _said(reply)


def _said(reply: Served) -> str:
    return reply.text + "".join(bytes(each.arguments).decode() for each in reply.calls)


def played(chaos: Chaos, wire: WireName) -> list[Served]:
    """All that comes to a client that asks again until it has what it asked for."""
    came: list[Served] = []
    for at in range(STEPS):
        for _ in range(5 * IN_A_ROW):
            taken = chaos.take(wire, conversation(at))
            came.append(taken.reply)
            if chaos.given > at:
                assert taken.number == at + 1
                assert is_true(taken.reply), taken.reply
                break
    assert chaos.given == STEPS
    return came


@given(st.integers(0, 10**6), st.sampled_from([0.0, 0.05, 0.5, 1.0]), st.sampled_from(["chat", "messages"]))
def test_the_true_reply_comes_when_it_is_asked_for_again(seed: int, rate: float, wire: WireName) -> None:
    chaos = Chaos(script(), seed, rate)
    came = played(chaos, wire)
    assert came == played(Chaos(script(), seed, rate), wire)
    assert not chaos.faults if rate == 0 else True
    assert len(chaos.faults) == STEPS * IN_A_ROW if rate == 1 else True
    assert not any(reply.fault == "away" and not reply.pause_s for reply in came)


def test_another_seed_lets_others_fail() -> None:
    found = {tuple(played_faults(seed)) for seed in range(5)}
    assert len(found) == 5


def played_faults(seed: int) -> list[str]:
    chaos = Chaos(script(), seed, 0.3)
    played(chaos, "chat")
    return chaos.faults


def test_every_fault_that_passes_comes_sooner_or_later() -> None:
    found = {name for seed in range(40) for name in played_faults(seed)}
    assert found == set(PASSING)
    assert not found & (FINAL | LONG | EFFECTIVE)


class Counted:
    """Says which request it was asked for, and how often it was asked."""

    def __init__(self) -> None:
        self.asked = 0

    def reply(self, number: int, body: bytes) -> Served:
        self.asked += 1
        return Served(text=f"{number}: {body.count(b'content')}")


def test_a_script_that_looks_at_the_request_is_asked_once_for_each_true_reply() -> None:
    script = Counted()
    chaos = Chaos(script, 1, 1.0, ["500"])
    for at in range(3):
        came = [chaos.take("chat", conversation(at)) for _ in range(IN_A_ROW + 1)]
        assert chaos.given == at + 1
        assert came[-1].reply.text == f"{at + 1}: {conversation(at).count(b'content')}"
    assert script.asked == 3


def test_the_same_request_gets_its_true_reply_again() -> None:
    chaos = Chaos(script(), 1, 0.0)
    first = chaos.take("chat", conversation(0))
    assert chaos.take("chat", conversation(0)) == first
    assert chaos.take("chat", conversation(1)).number == 2
    assert chaos.take("chat", conversation(0)) == first
    assert chaos.given == 2


def test_calls_of_a_fault_have_ids_of_their_own() -> None:
    chaos = Chaos(script(), 1, 1.0, ["unknown_tool"])
    ids = [
        asked.id
        for at in range(6)
        for asked in chaos.take("chat", conversation(at)).reply.calls
        if asked.name == "launch_rocket"
    ]
    assert len(ids) == len(set(ids)) > 1
    assert all(ids)


def test_as_a_process_it_fails_as_it_is_told(tmp_path: Path) -> None:
    file = tmp_path / "script.json"
    file.write_bytes(msgspec.json.encode([Served(text="true")]))
    command = [sys.executable, "-m", "hames.testing.model_server", "--script", str(file)]
    command += ["--chaos", "7", "--rate", "1", "--window", "100", "--unnamed"]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        url = process.stdout.readline().decode().strip()
        answers = [asyncio.run(answered(url)) for _ in range(12)]
        long = asyncio.run(post(url, body({"role": "user", "content": "x" * 400})))
        process.stdin.close()
        assert process.wait(10) == 0
    assert b'"true"' in answers[-1]
    assert any(b'"true"' not in answer for answer in answers)
    assert long.startswith(b"HTTP/1.1 400")
    assert b"exceeds max length" in long


async def answered(url: str) -> bytes:
    try:
        return await asyncio.wait_for(post(url, body(USER)), 5)
    except ConnectionError:
        return b""
