"""The log kept in order from the command line: check, repair, delete, gc, quota and retention."""

import sqlite3
from contextlib import closing

import pytest

from tests.apps.outside import Outside, bash, calls

pytestmark = [pytest.mark.anyio, pytest.mark.needs_bwrap]


async def ran(outside: Outside, command: str = "echo from the tool") -> str:
    """A session with one command, done."""
    async with outside.scripted(calls(bash(command)), {"text": "all done"}) as model:
        flags = ["--output-format", "stream-json", *outside.to(model)]
        return str((await outside.hames("-p", "do it", *flags)).result["session_id"])


def change(outside: Outside, statement: str, *values: object) -> None:
    with closing(sqlite3.connect(outside.state / "log.db", isolation_level=None)) as connection:
        assert connection.execute(statement, values).rowcount == 1


def place_of(outside: Outside, session: str, kind: str) -> int:
    query = "SELECT MIN(seq) FROM event WHERE session = ? AND type = ?"
    with closing(sqlite3.connect(outside.state / "log.db")) as connection:
        return int(connection.execute(query, (session, kind)).fetchone()[0])


DAMAGE = "UPDATE event SET data = CAST(replace(data, '{', '[') AS BLOB) WHERE session = ? AND seq = ?"
KINDS = ("SessionOpened", "SettingsPinned", "UserSpoke", "TurnStarted", "CallStarted", "RequestSent")


@pytest.mark.parametrize("kind", [*KINDS, "ModelReplied", "CallFinished", "TurnEnded"])
async def test_a_damaged_session_is_named_repaired_and_gone_on_with(kind: str, outside: Outside) -> None:
    other, session = await ran(outside), await ran(outside)
    seq = place_of(outside, session, kind)
    change(outside, DAMAGE, session, seq)
    checked = await outside.hames("sessions", "check", check=1)
    assert f"damaged: session {session}: entry {seq} cannot be read" in checked.out
    assert f"hames sessions repair {session}" in checked.out
    assert "no damage" in (await outside.hames("sessions", "check", other)).out
    refused = await outside.hames("sessions", "show", session, check=1)
    assert f"`hames sessions repair {session}`" in refused.err
    assert len((await outside.hames("sessions", "list", "--json")).lines) == 2
    repaired = await outside.hames("sessions", "repair", session[:-1])
    assert f"repaired: session {session}: entry {seq} cannot be read" in repaired.out
    again = await outside.hames("sessions", "check")
    assert "known, from an earlier repair" in again.out
    assert "no damage" in again.out
    assert '"type":"Repaired"' in (await outside.hames("export", session)).out
    assert f"repaired: entry {seq} cannot be read" in (await outside.hames("sessions", "show", session)).out
    async with outside.scripted({"text": "I go on"}) as model:
        words = ["-p", "and now?", "--resume", session, *outside.to(model)]
        assert "I go on" in (await outside.hames(*words)).out


@pytest.mark.parametrize("field", ["system", "head", "raw"])
async def test_a_session_that_lost_a_payload_is_repaired_and_gone_on_with(
    field: str, outside: Outside
) -> None:
    session = await ran(outside)
    query = "SELECT json_extract(CAST(data AS TEXT), ?) AS found FROM event WHERE session = ? AND found > ''"
    with closing(sqlite3.connect(outside.state / "log.db")) as connection:
        blob = connection.execute(query, (f"$.{field}", session)).fetchone()[0]
    change(outside, "DELETE FROM blob WHERE sha256 = ?", blob)
    assert f"blob {blob} is missing" in (await outside.hames("sessions", "check", check=1)).out
    await outside.hames("sessions", "repair")
    async with outside.scripted({"text": "I go on"}) as model:
        words = ["-p", "and now?", "--resume", session, *outside.to(model)]
        assert "I go on" in (await outside.hames(*words)).out
    assert "no damage" in (await outside.hames("sessions", "check")).out


async def test_sessions_are_deleted_and_the_disk_is_given_back(outside: Outside) -> None:
    noise = "head -c 3000000 /dev/urandom | base64"
    session, kept = await ran(outside, noise), await ran(outside)
    sizes = (await outside.hames("sessions", "list")).out
    assert any(session in line and "MB" in line for line in sizes.splitlines())
    refused = await outside.hames("sessions", "delete", session, "nosuch", check=1)
    assert "there is no session nosuch" in refused.err
    deleted = await outside.hames("sessions", "delete", session)
    assert f"deleted {session} (do it): " in deleted.out
    assert "MB freed" in deleted.out
    assert [line["session"] for line in (await outside.hames("sessions", "list", "--json")).lines] == [kept]
    assert "no damage" in (await outside.hames("sessions", "check")).out
    assert "0 payloads that nothing names, 0 leftovers" in (await outside.hames("gc")).out


async def test_gc_deletes_old_sessions_only_when_told_and_names_each(outside: Outside) -> None:
    old, young = await ran(outside), await ran(outside)
    change(outside, "UPDATE session SET changed_ms = changed_ms - 8 * 86400000 WHERE id = ?", old)
    assert "deleted" not in (await outside.hames("gc")).out
    outside.settings("keep_days = 7\n")
    swept = await outside.hames("gc")
    assert f"older than keep_days: deleted {old} (do it)" in swept.out
    assert [line["session"] for line in (await outside.hames("sessions", "list", "--json")).lines] == [young]


async def test_a_log_over_its_quota_is_said_at_the_start_and_nothing_is_deleted(outside: Outside) -> None:
    session = await ran(outside)
    outside.settings("disk_quota = 1000\n")
    async with outside.scripted({"text": "done"}) as model:
        ended = await outside.hames("-p", "x", *outside.to(model))
    assert "more than the disk_quota of 1.0 kB: `hames gc` frees" in ended.err
    assert "hames sessions delete" in ended.err
    assert session in (await outside.hames("sessions", "list")).out
    outside.settings("disk_quota = 100000000\n")
    async with outside.scripted({"text": "done"}) as model:
        assert "quota" not in (await outside.hames("-p", "x", *outside.to(model))).err
