"""A harness to be killed: starts commands through a launcher, says so, and waits."""

import os
import sys

import anyio

from hames.core.ids import JobId
from hames.core.ports import CommandSpec, ReadQuery
from hames.sandboxes.bubblewrap import Bubblewrap, find_program
from hames.sandboxes.connection import LauncherProcess
from hames.sandboxes.files import SandboxFiles
from hames.sandboxes.launch import CommandLauncher
from hames.sandboxes.profile import Place, workspace_policy
from hames.sandboxes.unconfined import Unconfined


async def main(kind: str, directory: str, workspace: str, token: str) -> None:
    policy = workspace_policy(Place(os.path.dirname(workspace), workspace))
    bwrap = find_program("bwrap", os.environ.get("PATH", os.defpath))
    sandbox = Unconfined() if kind == "none" else Bubblewrap(policy, bwrap, directory)
    process = LauncherProcess(directory)
    launcher = CommandLauncher(process, sandbox)
    script = f"(setsid bash -c 'setsid sleep {token} & exec sleep {token}' &); sleep {token} & sleep {token}"
    for number in range(2):
        argv = ("bash", "-c", script)
        spec = CommandSpec(JobId(f"{number}.0"), argv, workspace, {"PATH": "/usr/bin:/bin"})
        await launcher.start(spec)
    await SandboxFiles(process, sandbox, ripgrep="").read(ReadQuery(f"{workspace}/file"))
    running = await launcher.attach(JobId("1.0"))
    assert running is not None
    connection = process.connect()
    sys.stdout.write(f"{connection.pid}\n")
    sys.stdout.flush()
    await running.wait()


if __name__ == "__main__":
    anyio.run(main, sys.argv[1], sys.argv[2], sys.argv[3], sys.argv[4])
