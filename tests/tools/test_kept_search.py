import time

import pytest

from hames.core.errors import ArgumentProblem
from hames.core.events import OutputFact
from hames.core.ids import blob_id
from hames.core.ports import Clock
from hames.testing.clock import VirtualClock
from hames.testing.local import LocalBlobs
from hames.tools.kept_search import Matches, Wanted, search_kept

pytestmark = pytest.mark.anyio


async def search(
    data: bytes, pattern: str, *, before: int = 0, after: int = 0, most: int = 100, clock: Clock | None = None
) -> Matches:
    blobs = LocalBlobs()
    blobs.kept[blob_id(data)] = data
    wanted = Wanted(pattern, ignore_case=False, before=before, after=after, most=most)
    return await search_kept(
        blobs, OutputFact(blob_id(data), len(data), len(data)), wanted, clock or VirtualClock()
    )


async def test_lines_around_a_match_are_shown_once() -> None:
    found = await search(b"a\nb\nX\nX\nc\nd\ne\nX\nf\n", "X", before=1, after=1)
    assert found == Matches(["2-b", "3:X", "4:X", "5-c", "7-e", "8:X", "9-f"], 3, more=False)


async def test_a_search_stops_when_it_has_enough() -> None:
    assert await search(b"X\nX\nX\n", "X", most=2) == Matches(["1:X", "2:X"], 2, more=True)
    assert await search(b"X\nX\n", "X", most=2) == Matches(["1:X", "2:X"], 2, more=False)


async def test_a_line_that_is_only_counted_is_counted_once() -> None:
    data = b"x" * 100_000 + b"X" + b"x" * 100_000 + b"X\nX\n"
    assert await search(data, "X", most=0) == Matches([], 2, more=False)


async def test_lines_over_a_chunk_keep_their_numbers() -> None:
    data = b"".join(b"%d %s\n" % (number, b"x" * (number % 5000)) for number in range(1, 3000))
    found = await search(data, "^2777 ")
    assert [line.split(" ")[0] for line in found.lines] == ["2777:2777"]


async def test_colours_do_not_hide_a_match() -> None:
    assert (await search(b"\x1b[31mer\x1b[0mror\n", "error")).lines == ["1:error"]


async def test_a_match_far_inside_a_long_line_is_shown_with_what_is_around_it() -> None:
    found = await search(b"x" * 9000 + b"needle" + b"y" * 9000, "needle")
    assert found.lines[0].startswith("1:…xxx")
    assert "xneedley" in found.lines[0]
    assert len(found.lines[0]) < 500


@pytest.mark.parametrize(
    "pattern",
    [
        "(a+)+$",
        "(a|aa)+$",
        "(?:a*)*b",
        "((ab)*c)*d",
        "(a+){10}",
        ".*.*.*.*x",
        "(a{1,9}){1,9}",
        "(?P<n>a+)*",
        "(a|b|ab)*c",
    ],
)
async def test_patterns_that_could_take_for_ever_are_refused(pattern: str) -> None:
    with pytest.raises(ArgumentProblem, match="simpler pattern"):
        await search(b"a" * 1000, pattern)


@pytest.mark.parametrize(
    "pattern",
    [
        "error|fail|warn",
        "(error|fail): .*",
        "^E +.*Error",
        r"\d{4}-\d{2}",
        "[(+*]a+",
        r"\(a+\)*",
        "(ab)?c",
        "a{3}",
        "(abc)+",
    ],
)
async def test_patterns_in_everyday_use_are_not_refused(pattern: str) -> None:
    await search(b"nothing of it\n", pattern)


class HurryingClock(VirtualClock):
    """Every look at it takes a second."""

    def elapsed(self) -> float:
        self.looks = getattr(self, "looks", 0) + 1
        return float(self.looks)


async def test_a_search_that_takes_too_long_is_given_up() -> None:
    found = await search(b"X\n" * 100, "X", clock=HurryingClock())
    assert found.more
    assert 0 < found.count < 20


@pytest.mark.parametrize("pattern", ["a.*z", "a.*b.*z", "a.*b.*a.*z"])
async def test_the_worst_pattern_that_is_allowed_ends_soon_on_a_long_line(pattern: str) -> None:
    begun = time.process_time()
    await search(b"ab" * 1000 + b"\n", pattern)
    assert time.process_time() - begun < 20
