"""Trying a sandbox for real, and saying in plain words what is wrong with it."""

import os
import socket
from collections.abc import Callable
from subprocess import DEVNULL, CompletedProcess

import anyio
import msgspec

from hames.core.ports import SandboxReport
from hames.sandboxes.process import PYTHON

_UNSAFE = "Or run without a sandbox, at your own risk: --sandbox none."

MISSING = (
    "bubblewrap (bwrap) is not installed. Install it: `apt-get install bubblewrap` (Debian, Ubuntu), "
    "`dnf install bubblewrap` (Fedora, RHEL) or `pacman -S bubblewrap` (Arch). " + _UNSAFE
)

CLOSED = (
    "bubblewrap cannot make a user namespace here. On Ubuntu 23.10 or later, use the distribution's "
    "/usr/bin/bwrap (its AppArmor profile is bound to that path) or allow it: "
    "`sudo sysctl kernel.apparmor_restrict_unprivileged_userns=0`. On older Debian: "
    "`sudo sysctl kernel.unprivileged_userns_clone=1`. In a container, let the runtime allow it "
    "(Docker: `--security-opt seccomp=unconfined --security-opt apparmor=unconfined`, and "
    "`--security-opt systempaths=unconfined` for /proc). " + _UNSAFE
)

_TRY = """
import json, socket, sys
def tried(act):
    try:
        act()
    except OSError:
        return False
    return True
print(json.dumps({
    "wrote": tried(lambda: open(sys.argv[1], "w").write("x")),
    "read": tried(lambda: open(sys.argv[2]).read(1)),
    "connected": tried(lambda: socket.create_connection(("127.0.0.1", int(sys.argv[3])), 2).close()),
}))
"""

_CLOSED_WORDS = (
    "user namespace",
    "uid map",
    "gid map",
    "no permissions to create",
    "creating new namespace failed",
    "operation not permitted",
    "max_user_namespaces",
)

_PROBE_S = 20.0


class _Tried(msgspec.Struct, frozen=True):
    wrote: bool
    read: bool
    connected: bool


def explain(said: str) -> str:
    """What a failure of bubblewrap means, and what to do."""
    low = said.lower()
    if any(words in low for words in _CLOSED_WORDS):
        return f"{CLOSED} (bwrap said: {said.strip()})"
    return f"bubblewrap failed: {said.strip() or 'without a word'}. {_UNSAFE}"


def _report(version: str, problem: str) -> SandboxReport:
    return SandboxReport("bubblewrap", version, False, False, False, problem)


async def _run(argv: tuple[str, ...]) -> CompletedProcess[bytes]:
    with anyio.fail_after(_PROBE_S):
        return await anyio.run_process(argv, check=False, stdin=DEVNULL, env={"PATH": "/usr/bin:/bin"})


class _Ground:
    """Two directories on the host with a file in each: one may be read inside, one may not."""

    def __init__(self, parent: str) -> None:
        os.makedirs(parent, mode=0o700, exist_ok=True)
        number = 0
        while True:
            # Whoever cleans up knows it by our number as ours, should we be killed.
            self.path = os.path.join(parent, f"{os.getpid()}-probe{number or ''}")
            try:
                os.mkdir(self.path, 0o700)
            except FileExistsError:
                number += 1
            else:
                break
        self.readable, self.hidden = os.path.join(self.path, "readable"), os.path.join(self.path, "hidden")
        self.files = (os.path.join(self.readable, "target"), os.path.join(self.hidden, "secret"))
        for file in self.files:
            os.mkdir(os.path.dirname(file))
            with open(file, "w") as opened:
                opened.write("kept")

    def untouched(self) -> bool:
        """The file that may be read is as it was."""
        with open(self.files[0]) as opened:
            return opened.read() == "kept"

    def clear(self) -> None:
        """Remove it all."""
        for file in self.files:
            os.unlink(file)
            os.rmdir(os.path.dirname(file))
        os.rmdir(self.path)


class Trial:
    """One process inside that tries what it must not: to write, to read, to connect.

    `wrap(readable, hidden, command)` gives the argument list of a sandbox in which `readable` is
    read-only and `hidden` is masked. `network`: the policy lets commands connect.
    """

    def __init__(
        self,
        program: str,
        parent: str,
        wrap: Callable[[str, str, tuple[str, ...]], tuple[str, ...]],
        network: bool,
    ) -> None:
        self._program = program
        self._parent = parent
        self._wrap = wrap
        self._network = network

    async def report(self) -> SandboxReport:
        """What was found. Raises nothing."""
        try:
            ground = _Ground(self._parent)
        except OSError as error:
            return _report("", f"cannot use {self._parent} to try the sandbox: {error.strerror}")
        try:
            return await self._try(ground)
        except (OSError, TimeoutError, msgspec.DecodeError) as error:
            return _report("", f"cannot try the sandbox: {error}")
        finally:
            ground.clear()

    async def _try(self, ground: _Ground) -> SandboxReport:
        said = await _run((self._program, "--version"))
        version = said.stdout.decode("utf-8", "replace").strip().removeprefix("bubblewrap ")
        with socket.create_server(("127.0.0.1", 0)) as listener:
            port = str(listener.getsockname()[1])
            inner = (PYTHON, "-I", "-S", "-c", _TRY, *ground.files, port)
            done = await _run(self._wrap(ground.readable, ground.hidden, inner))
        if done.returncode != 0:
            return _report(version, explain(done.stderr.decode("utf-8", "replace")))
        tried = msgspec.json.decode(done.stdout, type=_Tried)
        writes, reads = not tried.wrote and ground.untouched(), not tried.read
        let = [words for words, confined in (("write", writes), ("read", reads)) if not confined]
        if tried.connected and not self._network:
            let.append("connect")
        problem = f"the sandbox does not hold: it let a command {', '.join(let)}" if let else ""
        return SandboxReport("bubblewrap", version, writes, reads, not tried.connected, problem)
