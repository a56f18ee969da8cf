"""Which place of the file system is mounted how, and in what order: pure, without a look at the disk."""

from collections.abc import Mapping
from typing import Literal, NamedTuple

from hames.core.paths import is_within
from hames.core.ports import SandboxPolicy
from hames.sandboxes.runtime import SHARED

Kind = Literal["scratch", "shared", "hide", "read", "write"]
"""`scratch` is empty and may be written, `shared` as well but the same for all commands of a session, `hide`
is empty and may not; the others show what is there."""

SCRATCH = ("/dev/shm", "/run", "/tmp", "/var/tmp")  # noqa: S108 - names of mount points, nothing is written


class Mount(NamedTuple):
    """One place. Deeper places are mounted after, and so over, the ones that hold them."""

    path: str
    kind: Kind


def _around(mounts: dict[str, Kind], path: str) -> Kind:
    """What a path is by the deepest place above it. The root is there to be read."""
    while path:
        path = path.rpartition("/")[0]
        if path in mounts:
            return mounts[path]
    return "read"


def plan_mounts(policy: SandboxPolicy, *, shared: bool = False) -> list[Mount]:
    """The mounts over a read-only root that make `policy` true, in the order in which they are done.

    The deepest place decides. At one and the same place a mask beats the right to write, protection
    beats both, and what must be visible beats a mask. What would change nothing is left out. With `shared`
    the temporary files are those of the session.
    """
    shown: Kind = "read" if policy.read_only else "write"
    roots = {policy.workspace, *policy.writable}
    masked, visible, protected = set(policy.masked), set(policy.visible), set(policy.protected)
    mounts: dict[str, Kind] = {}
    for path in sorted(roots | masked | visible | protected | set(SCRATCH)):
        around = _around(mounts, path)
        here: Kind = around
        if path in SCRATCH:
            here = "shared" if shared and path in SHARED else "scratch"
        if path in roots:
            here = shown
        if path in masked and here in ("read", "write"):
            here = "hide"
        if path in visible and here in ("scratch", "shared", "hide"):
            here = "read"
        if path in protected and here == "write":
            here = "read"
        if here != around:
            mounts[path] = here
    for way in _ways_in(mounts):
        mounts.setdefault(way, "scratch")
    return [Mount(path, kind) for path, kind in sorted(mounts.items())]


def _ways_in(mounts: Mapping[str, Kind]) -> set[str]:
    """The first directory on the way to each place inside shared ones. It is a mount of its own: no command
    can move it away, or put a link in its place that the mounts of the next command would follow."""
    found: set[str] = set()
    for place in (path for path, kind in mounts.items() if kind == "shared"):
        deeper = (path for path in mounts if path != place and is_within(path, place))
        found.update(f"{place}/{path.removeprefix(place).split('/')[1]}" for path in deeper)
    return found
