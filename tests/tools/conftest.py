import os
from collections.abc import AsyncGenerator, Callable
from pathlib import Path

import pytest

from tests.tools.bench import Bench

_SNAPSHOTS = Path(__file__).parent / "snapshots"


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncGenerator[Bench]:
    made = Bench(tmp_path)
    yield made
    await made.launcher.close()


@pytest.fixture
def pinned() -> Callable[[str, str], None]:
    """Compares what a model sees with a file; REWRITE_SNAPSHOTS=1 writes the file instead."""

    def check(name: str, text: str) -> None:
        path = _SNAPSHOTS / f"{name}.txt"
        if os.environ.get("REWRITE_SNAPSHOTS"):
            path.write_text(f"{text}\n", newline="")
        assert path.read_text() == f"{text}\n"

    return check
