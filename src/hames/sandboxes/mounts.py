"""Which place of the file system is mounted how, and in what order: pure, without a look at the disk."""

from typing import Literal, NamedTuple

from hames.core.ports import SandboxPolicy

Kind = Literal["scratch", "hide", "read", "write"]
"""`scratch` is empty and may be written, `hide` is empty and may not; the others show what is there."""

SCRATCH = ("/dev/shm", "/run", "/tmp", "/var/tmp")  # noqa: S108 - names of mount points, nothing is written


class Mount(NamedTuple):
    """One place. Deeper places are mounted after, and so over, the ones that hold them."""

    path: str
    kind: Kind


def within(path: str, place: str) -> bool:
    """`path` is `place`, or lies below it."""
    return path == place or path.startswith("/" if place == "/" else f"{place}/")


def _around(mounts: dict[str, Kind], path: str) -> Kind:
    """What a path is by the deepest place above it. The root is there to be read."""
    while path:
        path = path.rpartition("/")[0]
        if path in mounts:
            return mounts[path]
    return "read"


def plan_mounts(policy: SandboxPolicy) -> list[Mount]:
    """The mounts over a read-only root that make `policy` true, in the order in which they are done.

    The deepest place decides. At one and the same place a mask beats the right to write, protection
    beats both, and what must be visible beats a mask. What would change nothing is left out.
    """
    shown: Kind = "read" if policy.read_only else "write"
    roots = {policy.workspace, *policy.writable}
    masked, visible, protected = set(policy.masked), set(policy.visible), set(policy.protected)
    mounts: dict[str, Kind] = {}
    for path in sorted(roots | masked | visible | protected | set(SCRATCH)):
        around = _around(mounts, path)
        here: Kind = "scratch" if path in SCRATCH else around
        if path in roots:
            here = shown
        if path in masked and here in ("read", "write"):
            here = "hide"
        if path in visible and here in ("scratch", "hide"):
            here = "read"
        if path in protected and here == "write":
            here = "read"
        if here != around:
            mounts[path] = here
    return [Mount(path, kind) for path, kind in mounts.items()]
