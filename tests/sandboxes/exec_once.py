"""One command in the foreground, as `hames exec` does it; 99 when the sandbox does not start."""

import os
import sys

import anyio

from hames.core.errors import SandboxError
from hames.sandboxes.bubblewrap import Bubblewrap
from hames.sandboxes.foreground import run_foreground
from hames.sandboxes.profile import Place, workspace_policy
from hames.sandboxes.unconfined import Unconfined


def main(bwrap: str, workspace: str, *argv: str) -> int:
    policy = workspace_policy(Place(os.path.dirname(workspace), workspace))
    sandbox = Bubblewrap(policy, bwrap, f"{workspace}/../run") if bwrap else Unconfined()
    try:
        return anyio.run(run_foreground, sandbox, argv, workspace, {"PATH": "/usr/bin:/bin"})
    except SandboxError as error:
        sys.stderr.write(f"{error}\n")
        return 99


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2], *sys.argv[3:]))
