"""The default boundary on Linux: bubblewrap, with nothing open that the policy does not open."""

import os
import stat
import sys

from hames.core.errors import ConfigError
from hames.core.ports import CommandSpec, LaunchPlan, SandboxPolicy, SandboxReport
from hames.sandboxes.mounts import Mount, plan_mounts
from hames.sandboxes.pipes import STATUS
from hames.sandboxes.present import Present
from hames.sandboxes.probe import MISSING, Trial
from hames.sandboxes.process import PYTHON
from hames.sandboxes.runtime import SHARED

_NAMESPACES = (
    "--unshare-user",
    "--unshare-ipc",
    "--unshare-pid",
    "--unshare-uts",
    "--unshare-cgroup-try",
    "--die-with-parent",
    "--new-session",
    "--cap-drop",
    "ALL",
)
_OWN_NETWORK = "--unshare-net"
_NO_MORE_NAMESPACES = "--disable-userns"
_RESOLVER = ("/run/systemd/resolve", "/run/resolvconf", "/run/NetworkManager")
_SYSTEM = ("/run/current-system", "/run/wrappers", "/run/opengl-driver", "/nix")
_OURS = (
    sys.base_prefix,
    sys.prefix,
    os.path.dirname(PYTHON),
    os.path.dirname(os.path.dirname(os.path.abspath(__file__))),
)
_KERNEL = (
    "/proc/bus",
    "/proc/fs",
    "/proc/irq",
    "/proc/mtrr",
    "/proc/pressure",
    "/proc/sys",
    "/proc/sysrq-trigger",
)
"""Settings of the kernel that the user 0 may change without any capability: shown, never written."""

_LOADER = ("LD_", "GLIBC_TUNABLES", "GCONV_PATH", "LOCPATH", "NLSPATH")


def find_program(name: str, path: str) -> str:
    """Where an executable is on PATH, empty when it is not."""
    for directory in path.split(":"):
        place = os.path.join(directory, name)
        if directory.startswith("/") and os.path.isfile(place) and os.access(place, os.X_OK):
            return place
    return ""


class Bubblewrap:
    """The `Sandbox` port by bubblewrap, one sandbox for each command.

    `program` is the path of `bwrap`: empty when there is none, and then nothing can be started.
    `scratch` is a directory of ours on the host, for the probe. Raises `ConfigError` when the workspace
    is not a directory.
    """

    def __init__(self, policy: SandboxPolicy, program: str, scratch: str) -> None:
        if not os.path.isdir(policy.workspace):
            raise ConfigError(f"the workspace {policy.workspace} is not a directory")
        self._policy = policy
        self._program = program
        self._scratch = scratch
        shown = (*_OURS, *_SYSTEM, *_RESOLVER) if policy.network else (*_OURS, *_SYSTEM)
        self._visible = (*policy.visible, *shown)
        self._present = Present((*policy.protected, *policy.masked, *self._visible))
        self._isolation: tuple[str, ...] = ()
        self._last: dict[str, tuple[str, ...]] = {}

    @property
    def name(self) -> str:
        """As in `--sandbox NAME`."""
        return "bubblewrap"

    def problem(self) -> str:
        """What a look at the program alone tells; empty when it is there. Costs one look, no process."""
        return "" if self._program and os.access(self._program, os.X_OK) else MISSING

    def wrap(self, spec: CommandSpec) -> LaunchPlan:
        """See `Sandbox`. Loader variables are set inside only: they must not bend bubblewrap itself."""
        inside = [name for name in spec.env if name.startswith(_LOADER)]
        env = {name: value for name, value in spec.env.items() if name not in inside}
        argv = (
            self._program or "/usr/bin/bwrap",
            *self._boundary(spec.scratch),
            "--json-status-fd",
            str(STATUS),
            *(part for name in inside for part in ("--setenv", name, spec.env[name])),
            "--chdir",
            spec.cwd,
            "--",
            *spec.argv,
        )
        own_network = "" if self._policy.network else _OWN_NETWORK
        return LaunchPlan(argv, "/", env, reports_start=True, own_network=own_network)

    async def probe(self) -> SandboxReport:
        """See `Sandbox`. Tries a write, a read and a connection that must all fail."""
        if self.problem():
            return SandboxReport(self.name, "", False, False, False, MISSING)
        trial = Trial(self._program, self._scratch, self._for_probe, self._policy.network)
        return await trial.report()

    def _for_probe(self, readable: str, hidden: str, inner: tuple[str, ...]) -> tuple[str, ...]:
        policy = self._policy
        tried = SandboxPolicy(
            workspace=policy.workspace,
            writable=policy.writable,
            protected=policy.protected,
            masked=(*policy.masked, hidden),
            visible=(*policy.visible, readable),
            read_only=policy.read_only,
            network=policy.network,
        )
        boundary = Bubblewrap(tried, self._program, self._scratch)._boundary()
        return (self._program, *boundary, "--chdir", "/", "--", *inner)

    def _boundary(self, shared: str = "") -> tuple[str, ...]:
        """Everything but the command. Looked up each time: what is protected may have come into being.
        `shared` is the directory with the session's temporary files."""
        if self._present.refresh():
            self._last.clear()
        if shared in self._last:
            return self._last[shared]
        policy = self._policy
        present = SandboxPolicy(
            workspace=policy.workspace,
            writable=policy.writable,
            protected=self._present.of(policy.protected),
            masked=self._present.of(policy.masked),
            visible=self._present.of(self._visible),
            read_only=policy.read_only,
        )
        arguments = [*self._isolate(), "--ro-bind", "/", "/", "--dev", "/dev", "--proc", "/proc"]
        for path in filter(os.path.exists, _KERNEL):
            arguments += ("--ro-bind", path, path)
        sealed: list[str] = []
        for mount in plan_mounts(present, shared=bool(shared)):
            _add(arguments, sealed, mount, shared)
        self._last[shared] = (*arguments, *sealed)
        return self._last[shared]

    def _isolate(self) -> tuple[str, ...]:
        """The namespaces. Older programs lack an option: the program itself says which it has."""
        if not self._isolation:
            more = (_NO_MORE_NAMESPACES,) if _mentions(self._program, _NO_MORE_NAMESPACES) else ()
            net = () if self._policy.network else (_OWN_NETWORK,)
            self._isolation = (*net, *_NAMESPACES, *more)
        return self._isolation


def _mentions(program: str, option: str) -> bool:
    try:
        with open(program, "rb") as file:
            return option.removeprefix("--").encode() in file.read()
    except OSError:
        return False


def _add(arguments: list[str], sealed: list[str], mount: Mount, shared: str) -> None:
    path = mount.path
    match mount.kind:
        case "scratch":
            arguments += ("--tmpfs", path)
        case "shared":
            arguments += ("--bind", os.path.join(shared, SHARED[path]), path)
        case "read":
            arguments += ("--ro-bind", path, path)
        case "write":
            arguments += ("--bind", path, path)
        case "hide" if stat.S_ISDIR(os.stat(path).st_mode):
            arguments += ("--tmpfs", path)
            sealed += ("--remount-ro", path)
        case "hide":
            arguments += ("--ro-bind", "/dev/null", path)
