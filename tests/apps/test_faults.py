"""Every fault of a provider, on every wire, over real HTTP: `faults.py` has the table."""

from pathlib import Path

import msgspec
import pytest

from hames.core.profiles import WireName
from hames.testing.faults import EFFECTS, FAULTS
from hames.testing.model_server import running
from tests.apps.fault_page import PAGE
from tests.apps.faults import CELLS, ROWS, SERVERS, House, run_cell, server_for, wrong
from tests.apps.outside import Outside

pytestmark = pytest.mark.anyio

SAMPLE: dict[str, WireName] = {
    "429_reset_header": "chat",
    "402": "messages",
    "503": "responses",
    "reset": "chat",
    "stall_40s_dead": "messages",
    "cut_tool_args": "responses",
    "garbage_sse": "chat",
    "empty_reply": "messages",
    "truncated_args": "responses",
    "leaked_markup": "chat",
    "unknown_tool": "messages",
    "dup_ids": "responses",
    "ctx_exceeded": "chat",
    "content_filter": "messages",
    "history_rule": "responses",
}
"""One of each class."""


@pytest.mark.parametrize(("name", "wire"), CELLS)
async def test_a_run_comes_to_what_the_table_says(name: str, wire: WireName, tmp_path: Path) -> None:
    assert wrong(name, await run_cell(tmp_path, name, wire)) == []


@pytest.mark.parametrize(("name", "wire"), SAMPLE.items())
async def test_the_command_itself_ends_as_the_table_says(
    name: str, wire: WireName, outside: Outside, tmp_path: Path
) -> None:
    server, row = server_for(name, wire), ROWS[name]
    async with running(server):
        file = House(tmp_path).write(server, wire)
        words = ("-p", "go", "--sandbox", "none", "--permission-mode", "auto", "--output-format", "json")
        flags = ("--settings", str(file), "--model", "short/scripted")
        ended = await outside.hames(*words, *flags, check=int(row.exit))
    assert len(server.seen) == row.requests
    assert (outside.workspace / EFFECTS).read_text().split() == list(row.effects)
    if row.exit:
        assert ended.result["is_error"] is True
    else:
        assert ended.result["result"] == "done"


async def test_a_run_that_went_wrong_is_told_of(tmp_path: Path) -> None:
    cell = await run_cell(tmp_path, "none", "chat")
    assert wrong("none", cell) == []
    for change in (
        {"requests": 4},
        {"exit": 1},
        {"effects": ("a", "b", "b")},
        {"effects": ("a", "x", "b")},
        {"problems": ("two calls with one id",)},
    ):
        assert len(wrong("none", msgspec.structs.replace(cell, **change))) == 1
    assert wrong("window_named", msgspec.structs.replace(cell, refused=2))


def test_every_fault_is_in_the_table_and_on_its_page() -> None:
    assert set(FAULTS) == set(ROWS)
    written = PAGE.read_text()
    assert [name for name in (*ROWS, *SERVERS) if f"| `{name}` |" not in written] == []
