"""A model that cannot find the way: it is told, and shown a way back."""

import pytest

from tests.apps.outside import Outside, bash, calls, texts

pytestmark = [pytest.mark.anyio, pytest.mark.needs_bwrap]

GOOD = "def total(items):\n    return sum(items)\n"
TEST = "from total import total\nassert total([1, 2]) == 3, 'wrong total'\n"
CHECK = "python3 -B check.py"


def tool(tool: str, **arguments: object) -> dict[str, object]:
    return {"name": tool, "arguments": arguments}


def project(outside: Outside) -> None:
    (outside.workspace / "total.py").write_text(GOOD)
    (outside.workspace / "check.py").write_text(TEST)


def broken(number: int) -> dict[str, object]:
    """A way that does not work, and the failing check after it."""
    was = GOOD.split("return ")[1] if number == 0 else f"{number + 9}\n"
    return calls(tool("edit", file_path="total.py", old_string=was, new_string=f"{number + 10}\n"))


async def test_a_model_takes_the_way_back_and_then_succeeds(outside: Outside) -> None:
    project(outside)
    tries = [reply for number in range(4) for reply in (broken(number), calls(bash(CHECK)))]
    replies = (
        calls(tool("read", file_path="total.py"), bash(CHECK)),
        *tries,
        calls(tool("find_tools", query="put files back")),
        calls(tool("call_tool", name="go_back", arguments={"step": 1})),
        calls(bash("cat total.py")),
        calls(bash("echo '# and a remark' >> total.py && " + CHECK)),
        {"text": "done"},
    )
    (outside.workspace / "notes").write_text("of the user\n")
    async with outside.scripted(*replies) as model:
        flags = ("--output-format", "stream-json", "--permission-mode", "accept_edits", *outside.to(model))
        ended = await outside.hames("-p", "add a remark", *flags, "--allowed-tools", "Bash", check=0)
    shown = texts(ended)
    assert ended.result["ending"] == "done"
    note = "it went well at step 1; changed since: total.py"
    assert [note in text for text in shown].count(True) == 4
    told = await asked(outside, str(ended.result["session_id"]))
    offer = next(line for line in told if "[python check.py has failed" in line)
    assert "python check.py has failed 4 times in the same way" in offer
    assert "AssertionError: wrong total" in offer
    assert 'go_back and arguments {"step": 1}' in offer
    assert any(text.startswith("go_back: Put the files") for text in shown)
    assert (
        "the files are as they were after step 1; read them again before you change them\nput back: total.py"
        in shown
    )
    assert GOOD.rstrip() in shown
    assert (outside.workspace / "total.py").read_text() == GOOD + "# and a remark\n"
    await outside.hames("undo")
    assert (outside.workspace / "total.py").read_text() == GOOD
    assert (outside.workspace / "notes").read_text() == "of the user\n"


async def asked(outside: Outside, session: str) -> list[str]:
    """What the log tells of a session, entry by entry."""
    return (await outside.hames("sessions", "show", session, "--whole")).out.splitlines()


async def test_a_model_that_goes_in_circles_ends_as_blocked(outside: Outside) -> None:
    project(outside)
    again = {**calls(bash("ls")), "repeat": 100}
    async with outside.scripted(again) as model:
        ended = await outside.hames("-p", "go", "--output-format", "json", *outside.to(model), check=3)
    assert (ended.result["ending"], ended.result["code"]) == ("blocked", "stuck")
    assert ended.result["is_error"] is True
    assert 'the same step was made 8 times in a row with the same result: bash {"command"' in str(
        ended.result["reason"]
    )
    session = str(ended.result["session_id"])
    told = [
        line
        for line in await asked(outside, session)
        if "You are going in circles" in line or "still going in circles" in line
    ]
    assert len(told) == 2


async def test_the_settings_decide_what_is_done(outside: Outside) -> None:
    project(outside)
    outside.settings('on_stuck = "off"\non_repeated_failure = "rewind"\nfailure_notes = false\n')
    tries = [reply for number in range(4) for reply in (broken(number), calls(bash(CHECK)))]
    first = calls(tool("read", file_path="total.py"), bash(CHECK))
    again = {**calls(bash("ls")), "repeat": 10}
    async with outside.scripted(first, *tries, again, {"text": "done"}) as model:
        ended = await outside.hames("-p", "go", "--output-format", "stream-json", *outside.to(model))
    assert ended.result["ending"] == "done"
    assert not any("it went well at step" in text for text in texts(ended))
    assert (outside.workspace / "total.py").read_text() == GOOD
