"""Starting one command for the supervisor: its pipes, its group, and nothing else that it inherits."""

import os

from hames.sandboxes.pipes import CONTROL, STATUS
from hames.sandboxes.process_tree import SIGPIPE, SIGXFSZ
from hames.sandboxes.wire import Frame


def _program(name: str, env: dict[str, str]) -> str:
    """The path of a program, looked for as a shell would."""
    if "/" in name:
        return name
    for directory in env.get("PATH", "/usr/bin:/bin").split(":"):
        path = f"{directory or '.'}/{name}"
        if os.access(path, os.X_OK):
            return path
    raise FileNotFoundError(2, "no such program", name)


def spawn(
    frame: Frame, stdio: int | None, mark: str, *, enclosed: bool = False
) -> tuple[int, dict[str, int]]:
    """Start the command of a request; returns its process and our descriptors by name.

    Its standard input is empty, or `stdio` both ways. `mark` goes into its environment, `NAME=VALUE`.
    `enclosed`: our network is the session's, and the command may share it. Raises OSError, and leaves
    nothing open then.
    """
    argv = frame.all("argv")
    own_network = frame.get("own_network")
    if enclosed and own_network in argv:
        argv.remove(own_network)
    env = {name: value for name, _, value in (item.partition("=") for item in frame.all("env"))}
    program = _program(argv[0], env)
    confined = bool(frame.get("confined"))
    name, _, value = mark.partition("=")
    env[name] = value
    ours, theirs = _pipes()
    actions = [
        (os.POSIX_SPAWN_OPEN, 0, "/dev/null", os.O_RDONLY, 0)
        if stdio is None
        else (os.POSIX_SPAWN_DUP2, stdio, 0),
        (os.POSIX_SPAWN_DUP2, theirs["out"] if stdio is None else stdio, 1),
        (os.POSIX_SPAWN_DUP2, theirs["out"], 2),
        (os.POSIX_SPAWN_DUP2, theirs["control"], CONTROL),
        (os.POSIX_SPAWN_DUP2, theirs["status"], STATUS) if confined else (os.POSIX_SPAWN_CLOSE, STATUS),
    ]
    try:
        os.chdir(frame.get("cwd", "/"))
        pid = os.posix_spawn(
            program,
            argv,
            env,
            file_actions=actions,
            setpgroup=0,
            setsigmask=[],
            setsigdef=[SIGPIPE, SIGXFSZ],
        )
    except OSError:
        _close(ours)
        raise
    finally:
        os.chdir("/")
        _close(theirs)
    ours["main"] = os.pidfd_open(pid)
    return pid, ours


def _pipes() -> tuple[dict[str, int], dict[str, int]]:
    ours: dict[str, int] = {}
    theirs: dict[str, int] = {}
    try:
        for name in ("out", "control", "status"):
            ours[name], theirs[name] = os.pipe()
            os.set_blocking(ours[name], False)
    except OSError:
        _close(ours)
        _close(theirs)
        raise
    return ours, theirs


def _close(fds: dict[str, int]) -> None:
    for fd in fds.values():
        os.close(fd)
