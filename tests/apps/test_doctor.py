from pathlib import Path

import pytest

from tests.apps.outside import KEY, Outside

pytestmark = [pytest.mark.anyio, pytest.mark.needs_bwrap]


def lines(shown: str) -> dict[str, str]:
    """What was looked at, and what was said of it."""
    found = [line.split(maxsplit=2) for line in shown.splitlines()]
    return {name.rstrip(":"): f"{mark} {rest}" for mark, name, rest in found}


async def test_a_healthy_installation_is_all_ok(outside: Outside) -> None:
    async with outside.scripted({"text": "ready"}) as model:
        ended = await outside.hames("doctor", *outside.to(model))
    said = lines(ended.out)
    assert set(said) == {"python", "versions", "state", "disk", "ripgrep", "sandbox", "key", "model"}
    assert all(words.startswith("ok") for words in said.values()), ended.out
    assert "really tried" in said["sandbox"]


async def test_a_missing_key_is_named_with_what_to_do(outside: Outside) -> None:
    ended = await outside.hames("doctor", check=41)
    assert lines(ended.out)["model"].startswith("FAIL there is no API key: DEEPSEEK_API_KEY is not set")


async def test_an_endpoint_that_refuses_the_key(outside: Outside) -> None:
    outside.env["DEEPSEEK_API_KEY"] = KEY
    async with outside.scripted({"status": 401, "message": "no"}) as model:
        outside.env["DEEPSEEK_BASE_URL"] = model.base_url
        ended = await outside.hames("doctor", check=41)
    assert lines(ended.out)["model"].startswith("FAIL")
    assert KEY not in ended.out


async def test_an_endpoint_that_answers_with_nothing_is_there_all_the_same(outside: Outside) -> None:
    async with outside.scripted({"fault": "empty"}) as model:
        ended = await outside.hames("doctor", *outside.to(model))
    assert lines(ended.out)["model"].startswith("ok")


async def test_missing_programs_are_named_with_the_command_that_installs_them(
    outside: Outside, tmp_path: Path
) -> None:
    outside.env["PATH"] = str(tmp_path)
    async with outside.scripted({"text": "ready"}) as model:
        ended = await outside.hames("doctor", *outside.to(model), check=52)
    said = lines(ended.out)
    assert said["ripgrep"].startswith("FAIL")
    assert "apt-get install ripgrep" in said["ripgrep"]
    assert "bubblewrap" in said["sandbox"]


async def test_a_state_directory_that_cannot_be_written(outside: Outside) -> None:
    outside.env["XDG_STATE_HOME"] = "/proc/nowhere"
    async with outside.scripted({"text": "ready"}) as model:
        ended = await outside.hames("doctor", *outside.to(model), check=1)
    assert lines(ended.out)["state"].startswith("FAIL")


async def test_a_sandbox_that_is_switched_off_is_a_warning(outside: Outside) -> None:
    async with outside.scripted({"text": "ready"}) as model:
        ended = await outside.hames("doctor", "--sandbox", "none", *outside.to(model))
    assert lines(ended.out)["sandbox"].startswith("warn")
