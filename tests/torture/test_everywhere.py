import sys
from pathlib import Path

import anyio
import pytest

from tests.apps.outside import Outside, bash, calls
from tests.snapshots.desk import differing, picture
from tests.torture.striker import Strike, Striker

pytestmark = [pytest.mark.anyio, pytest.mark.needs_bwrap, pytest.mark.slow]

HARM = (
    "rm -r gone; ln -sfn /nowhere link; chmod 600 run; echo harm > changed; mkdir -p new/deep;"
    " echo x > new/deep/x; rm two; head -c 1200000 /dev/urandom > large; mv file directory; mkdir file;"
    " echo harm >> mine"
)


def prepare(root: Path) -> None:
    (root / "gone").mkdir(mode=0o700)
    for name in ("gone/a", "changed", "mine", "file", "one", "run"):
        (root / name).write_text(f"{name}\n")
    (root / "two").hardlink_to(root / "one")
    (root / "run").chmod(0o755)
    (root / "link").symlink_to("one")
    (root / "large").write_bytes(bytes(range(256)) * 5000)


async def test_undo_and_redo_that_are_killed_before_any_change_of_the_disk_come_to_the_same(
    tmp_path: Path,
) -> None:
    outside = Outside(tmp_path)
    prepare(outside.workspace)
    before = picture(outside.workspace)
    async with outside.scripted(calls(bash(HARM)), {"text": "done"}) as model:
        words = ("-p", "tidy up", "--output-format", "json", *outside.to(model))
        session = str((await outside.hames(*words)).result["session_id"])
    (outside.workspace / "mine").write_text("the user's\n")
    await outside.hames("undo", check=3)
    assert differing(picture(outside.workspace), before).keys() == {"mine"}
    await outside.hames("redo")

    striker = Striker(tmp_path)
    ran = await anyio.run_process(
        [sys.executable, "-m", "tests.torture.everywhere", str(striker.library), session],
        check=False,
        cwd=outside.workspace,
        env={
            **outside.env,
            **striker.armed(Strike("changes", 0, tmp_path)),
            "PYTHONPATH": str(Path(__file__).parents[2]),
        },
    )
    said = ran.stdout.decode() + ran.stderr.decode()
    assert ran.returncode == 0, said
    assert int(said.split()[0]) > 60, said
    assert (await outside.hames("sessions", "check")).out.endswith("no damage\n")
    assert (outside.workspace / "mine").read_text() == "the user's\n"
