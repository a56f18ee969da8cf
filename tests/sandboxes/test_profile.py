"""The standing rules of what commands may touch."""

import pytest

from hames.core.errors import ConfigError
from hames.sandboxes.mounts import plan_mounts
from hames.sandboxes.profile import HOMES, Place, command_env, workspace_policy

PROJECT = "/home/ada/project"


def test_secrets_at_home_and_our_own_state_are_masked() -> None:
    policy = workspace_policy(Place("/home/ada", PROJECT, private=("/home/ada/.local/state/hames",)))
    for name in (".ssh", ".aws", ".netrc", ".config/gh", ".bash_history", ".local/state/hames"):
        assert f"/home/ada/{name}" in policy.masked
    assert "/etc/shadow" in policy.masked


def test_other_peoples_homes_are_masked_and_the_own_is_shown() -> None:
    mounts = dict(plan_mounts(workspace_policy(Place("/home/ada", PROJECT))))
    assert mounts["/home"] == "hide"
    assert mounts["/home/ada"] == "read"
    assert mounts["/home/ada/.ssh"] == "hide"
    assert mounts[PROJECT] == "write"
    assert mounts["/root"] == "hide"


def test_the_home_of_root_is_shown_to_root() -> None:
    mounts = dict(plan_mounts(workspace_policy(Place("/root", "/root/project"))))
    assert "/root" not in mounts
    assert mounts["/root/.ssh"] == "hide"


def test_control_files_are_protected_in_every_place_that_can_be_written() -> None:
    policy = workspace_policy(Place("/home/ada", PROJECT, writable=("/srv/more",)))
    for root in (PROJECT, "/srv/more"):
        for name in (".git/hooks", ".git/config", ".hames", ".mcp.json"):
            assert f"{root}/{name}" in policy.protected


def test_files_of_variables_stay_readable() -> None:
    policy = workspace_policy(Place("/home/ada", PROJECT))
    assert not any(path.startswith(PROJECT) for path in policy.masked)


@pytest.mark.parametrize("root", ["/", "/etc", "/proc", "/home", "/root"])
def test_some_places_are_never_a_workspace(root: str) -> None:
    with pytest.raises(ConfigError, match="cannot be a workspace"):
        workspace_policy(Place("/home/ada", root))
    with pytest.raises(ConfigError, match="cannot be a workspace"):
        workspace_policy(Place("/home/ada", PROJECT, writable=(root,)))


@pytest.mark.parametrize("root", ["/home/ada/.ssh", "/home/ada/.aws/deep", "/home/ada/.local/state/hames"])
def test_a_place_of_secrets_is_no_workspace(root: str) -> None:
    with pytest.raises(ConfigError, match="holds secrets"):
        workspace_policy(Place("/home/ada", root, private=("/home/ada/.local/state/hames",)))


@pytest.mark.parametrize("home", ["/home/ada", *HOMES])
def test_a_home_may_be_the_workspace_with_its_secrets_still_hidden(home: str) -> None:
    mounts = dict(plan_mounts(workspace_policy(Place(home, home))))
    assert mounts[home] == "write"
    assert mounts[f"{home}/.ssh"] == "hide"


def test_commands_get_the_allowed_variables_only() -> None:
    environ = {
        "PATH": "/bin",
        "LC_ALL": "C.UTF-8",
        "HOME": "/home/ada",
        "DEEPSEEK_API_KEY": "secret",
        "LD_PRELOAD": "/evil.so",
        "SSH_AUTH_SOCK": "/tmp/agent",
        "WANTED": "1",
    }
    env = command_env(environ, ("WANTED", "UNSET"))
    assert env == {"PATH": "/bin", "LC_ALL": "C.UTF-8", "HOME": "/home/ada", "WANTED": "1"}


def test_the_home_of_the_account_is_the_users_own_too_and_its_secrets_are_hidden() -> None:
    policy = workspace_policy(Place("/tmp/elsewhere", PROJECT, account_home="/root"))
    mounts = dict(plan_mounts(policy))
    assert "/root" not in mounts
    assert mounts["/root/.ssh"] == "hide"
    assert "/tmp/elsewhere/.ssh" in policy.masked
