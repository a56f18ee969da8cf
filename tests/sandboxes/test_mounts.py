"""The plan of mounts."""

from hypothesis import given
from hypothesis import strategies as st

from hames.core.paths import is_within
from hames.core.ports import SandboxPolicy
from hames.sandboxes.mounts import SCRATCH, Kind, Mount, plan_mounts
from hames.sandboxes.runtime import SHARED

names = st.lists(st.sampled_from("abc"), min_size=1, max_size=4).map(lambda names: "/" + "/".join(names))
paths = st.builds(str.__add__, st.sampled_from(["", "", "/tmp", "/var/tmp"]), names)
several = st.lists(paths, max_size=4, unique=True).map(tuple)
policies = st.builds(
    SandboxPolicy,
    workspace=paths,
    writable=several,
    protected=several,
    masked=several,
    visible=several,
    read_only=st.booleans(),
)


def _seen(mounts: list[Mount], path: str) -> Kind:
    """What the mounts, done in order, make of a path."""
    state: Kind = "read"
    for mount in mounts:
        if is_within(path, mount.path):
            state = mount.kind
    return state


@given(policies, st.booleans())
def test_whoever_holds_comes_before_what_is_held(policy: SandboxPolicy, shared: bool) -> None:
    done: list[str] = []
    for mount in plan_mounts(policy, shared=shared):
        assert not any(is_within(path, mount.path) for path in done)
        done.append(mount.path)


@given(policies, paths, st.booleans())
def test_only_the_workspace_and_scratch_can_be_written(
    policy: SandboxPolicy, path: str, shared: bool
) -> None:
    state = _seen(plan_mounts(policy, shared=shared), path)
    roots = (policy.workspace, *policy.writable)
    if state == "write":
        assert any(is_within(path, root) for root in roots)
        assert not policy.read_only
    if state in ("scratch", "shared"):
        assert any(is_within(path, place) for place in SCRATCH)


@given(policies, st.booleans())
def test_a_mask_hides_unless_something_is_to_be_visible_there(policy: SandboxPolicy, shared: bool) -> None:
    mounts = plan_mounts(policy, shared=shared)
    for path in policy.masked:
        assert _seen(mounts, path) in ("hide", "scratch", "shared") or path in policy.visible


@given(policies, st.booleans())
def test_what_must_be_visible_is(policy: SandboxPolicy, shared: bool) -> None:
    mounts = plan_mounts(policy, shared=shared)
    for path in policy.visible:
        assert _seen(mounts, path) in ("read", "write")


@given(policies, st.booleans())
def test_what_is_protected_is_never_written(policy: SandboxPolicy, shared: bool) -> None:
    mounts = plan_mounts(policy, shared=shared)
    for path in policy.protected:
        assert _seen(mounts, path) != "write"


@given(policies, st.booleans())
def test_every_mount_changes_something(policy: SandboxPolicy, shared: bool) -> None:
    mounts = plan_mounts(policy, shared=shared)
    for mount in mounts:
        others = [other for other in mounts if other != mount]
        assert _seen(others, mount.path) != mount.kind


def test_a_workspace_in_the_temporary_directory_shows_through() -> None:
    mounts = plan_mounts(SandboxPolicy("/tmp/project", visible=("/tmp/venv",)))
    assert mounts == [
        Mount("/dev/shm", "scratch"),
        Mount("/run", "scratch"),
        Mount("/tmp", "scratch"),
        Mount("/tmp/project", "write"),
        Mount("/tmp/venv", "read"),
        Mount("/var/tmp", "scratch"),
    ]


@given(policies)
def test_nothing_inside_shared_files_stands_on_a_way_that_a_command_can_change(policy: SandboxPolicy) -> None:
    mounts = plan_mounts(policy, shared=True)
    places = {mount.path: mount.kind for mount in mounts}
    for mount in mounts:
        for root in SHARED:
            if mount.path != root and is_within(mount.path, root):
                first = f"{root}/{mount.path.removeprefix(root).split('/')[1]}"
                assert places[first] != "shared"


def test_a_workspace_in_shared_temporary_files_stands_in_a_directory_of_the_commands_own() -> None:
    mounts = plan_mounts(SandboxPolicy("/tmp/a/project", visible=("/tmp/venv",)), shared=True)
    assert [mount for mount in mounts if is_within(mount.path, "/tmp")] == [
        Mount("/tmp", "shared"),
        Mount("/tmp/a", "scratch"),
        Mount("/tmp/a/project", "write"),
        Mount("/tmp/venv", "read"),
    ]
