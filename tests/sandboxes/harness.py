"""A harness to be killed: starts commands through a supervisor, says so, and waits."""

import os
import sys

import anyio
import msgspec

from hames.core.ids import JobId, SessionId
from hames.core.ports import Claim, CommandSpec, ReadQuery
from hames.sandboxes.bubblewrap import Bubblewrap, find_program
from hames.sandboxes.files import SandboxFiles
from hames.sandboxes.launch import CommandLauncher
from hames.sandboxes.process import SupervisorProcess
from hames.sandboxes.profile import Place, workspace_policy
from hames.sandboxes.unconfined import Unconfined


class Order(msgspec.Struct):
    """What this harness is to do. It works for `session`, as its owner of epoch 1."""

    session: str
    sandbox: str
    root: str
    workspace: str
    scripts: list[str]
    orphan_s: float = 60
    reads: str = ""


async def main(order: Order) -> None:
    policy = workspace_policy(Place(os.path.dirname(order.workspace), order.workspace))
    bwrap = find_program("bwrap", os.environ.get("PATH", os.defpath))
    sandbox = Unconfined() if order.sandbox == "none" else Bubblewrap(policy, bwrap, order.root)
    process = SupervisorProcess(order.root, enclosed=order.sandbox != "none", orphan_s=order.orphan_s)
    await process.enter(Claim(SessionId(order.session), 1, 0))
    launcher = CommandLauncher(process, sandbox, grace_s=0.2)
    for number, script in enumerate(order.scripts):
        argv = ("bash", "-c", script)
        spec = CommandSpec(JobId(f"{number}.0"), argv, order.workspace, {"PATH": "/usr/bin:/bin"})
        await launcher.start(spec)
    if order.reads:
        await SandboxFiles(process, sandbox, ripgrep="").read(ReadQuery(order.reads))
    connection = process.connect()
    await connection.ask([("do", "attach"), ("job", "0.0")])
    sys.stdout.write(f"{connection.pid}\n")
    sys.stdout.flush()
    await anyio.sleep_forever()


if __name__ == "__main__":
    anyio.run(main, msgspec.json.decode(sys.argv[1], type=Order))
