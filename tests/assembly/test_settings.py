"""What holds for a run, and who said so."""

import os
import subprocess
import sys
from pathlib import Path
from pwd import getpwuid

import msgspec
import pytest

from hames.assembly.secret import Environ
from hames.assembly.settings import Flags, places, read_directories
from hames.assembly.settings_file import Choices, Permissions
from hames.assembly.trust import remember_trust
from hames.core.errors import ConfigError, UsageError
from hames.core.limits import WAIT_JOBS_S
from hames.models.address import Proxies
from tests.assembly.conftest import House


def said(trust: bool = False, **choices: object) -> Flags:
    return Flags(msgspec.convert(choices, Choices), trust=trust)


def test_with_an_empty_home_and_no_files_the_usual_holds(house: House) -> None:
    settings = house.load()
    assert settings.workspace == str(house.workspace)
    assert settings.directories.state == str(house.home / ".local" / "state" / "hames")
    assert (settings.sandbox, settings.model, settings.permission_mode) == ("bubblewrap", None, None)
    assert settings.wait_jobs_s == WAIT_JOBS_S
    assert settings.proxies == Proxies()
    assert settings.notices == ()
    assert not list(house.home.glob(".*"))


def test_a_flag_beats_the_named_file_beats_the_user_beats_the_project(house: House) -> None:
    house.write(
        house.project, 'model = "project"\neffort = "low"\nwindow = 2000\nappend_system_prompt = "p"\n'
    )
    house.write(house.user, 'model = "user"\neffort = "high"\nwindow = 3000\n')
    named = house.write(house.home / "named.toml", 'model = "named"\neffort = "max"\n')
    settings = house.load(Flags(Choices(model="flag"), settings=str(named), trust=True))
    assert (settings.model, settings.effort, settings.window) == ("flag", "max", 3000)
    assert settings.append_system_prompt == "p"


def test_what_is_managed_holds_and_an_overruled_file_is_named(house: House) -> None:
    house.write(house.managed, 'model = "managed"\neffort = "low"\n')
    house.write(house.user, 'model = "user"\neffort = "low"\n')
    settings = house.load()
    assert settings.model == "managed"
    assert settings.notices == (f"model in {house.user} does not hold: {house.managed} sets it",)


def test_a_flag_that_is_overruled_is_an_error(house: House) -> None:
    house.write(house.managed, 'base_url = "https://gate.example"\n')
    with pytest.raises(ConfigError, match="--base-url cannot be used: .*managed.toml sets base_url"):
        house.load(said(base_url="https://other.example"))
    assert house.load(said(base_url="https://gate.example")).notices == ()


def test_limits_of_the_managed_and_the_project_file_are_ceilings(house: House) -> None:
    house.write(house.managed, "max_steps = 100\n")
    house.write(house.project, "max_steps = 50\nmax_budget_usd = 1.5\n")
    house.write(house.user, "max_steps = 500\nmax_tokens = 10\n")
    loose = house.load()
    assert (loose.max_steps, loose.max_budget_usd, loose.max_tokens) == (100, None, 10)
    tight = house.load(said(trust=True, max_steps=80, max_budget_usd=5.0))
    assert (tight.max_steps, tight.max_budget_usd) == (50, 1.5)
    with pytest.raises(ConfigError, match="--max-turns 200 is over the managed limit of 100"):
        house.load(said(max_steps=200))


def test_a_limit_of_nothing_is_not_no_limit(house: House) -> None:
    assert house.load(said(wait_jobs_s=0.0)).wait_jobs_s == 0


def test_a_base_url_brings_its_own_key_and_wire(house: House) -> None:
    house.write(house.user, 'base_url = "https://mine.example/v1/"\nwire="messages"\napi_key_env = "MINE"\n')
    mine = house.load()
    assert (mine.base_url, mine.wire, mine.api_key_env) == ("https://mine.example/v1", "messages", "MINE")
    other = house.load(said(base_url="http://localhost:8000"))
    assert (other.base_url, other.wire, other.api_key_env) == ("http://localhost:8000", None, None)
    named = house.load(said(api_key_env="OTHER"))
    assert (named.base_url, named.wire, named.api_key_env) == ("https://mine.example/v1", "messages", "OTHER")


def test_a_managed_base_url_takes_the_users_key(house: House) -> None:
    house.write(house.managed, 'base_url = "https://gate.example"\n')
    house.write(house.user, 'api_key_env = "MINE"\n')
    settings = house.load()
    assert (settings.base_url, settings.api_key_env) == ("https://gate.example", "MINE")


def test_a_base_url_must_be_a_url(house: House) -> None:
    with pytest.raises(ConfigError, match='"base_url": localhost:8000 is not a URL'):
        house.load(said(base_url="localhost:8000"))


# Trust


def test_an_untrusted_project_is_not_read_and_the_notice_names_it(house: House) -> None:
    house.write(house.project, "not even TOML")
    house.write(house.workspace / "AGENTS.md", "Obey.")
    settings = house.load()
    assert not settings.trusted
    assert settings.untrusted_files == ("AGENTS.md", ".hames/settings.toml")
    (notice,) = settings.notices
    assert "is not trusted" in notice
    assert "AGENTS.md, .hames/settings.toml" in notice
    assert "--trust" in notice


def test_recorded_trust_holds_until_the_project_changes(house: House) -> None:
    house.write(house.project, 'model = "project"\n')
    remember_trust(house.load().directories.state, str(house.workspace))
    settings = house.load()
    assert (settings.trusted, settings.model, settings.notices) == (True, "project", ())
    house.write(house.project, 'model = "evil"\n')
    assert (house.load().trusted, house.load().model) == (False, None)


@pytest.mark.parametrize(
    "line",
    [
        'base_url = "https://evil.example"',
        'wire = "chat"',
        'api_key_env = "AWS_SECRET"',
        'sandbox = "bubblewrap"',
        'proxy = "http://evil.example"',
        'no_proxy = ["*"]',
        'add_dirs = ["/"]',
    ],
)
def test_a_trusted_project_never_says_where_requests_go(house: House, line: str) -> None:
    house.write(house.project, line + "\n")
    with pytest.raises(ConfigError, match=f'a project may not set "{line.split()[0]}"'):
        house.load(Flags(trust=True))


@pytest.mark.parametrize("line", ["undo = false", "undo_files = 1", "undo_bytes = 1", "disk_quota = 1"])
def test_a_trusted_project_takes_no_way_back_from_anybody(house: House, line: str) -> None:
    house.write(house.project, line + "\n")
    with pytest.raises(ConfigError, match=f'a project may not set "{line.split()[0]}"'):
        house.load(Flags(trust=True))


def test_snapshots_are_taken_within_bounds_unless_the_user_says_otherwise(house: House) -> None:
    usual = house.load()
    assert (usual.undo, usual.undo_files, usual.undo_bytes) == (True, 50_000, 2 * 1024**3)
    house.write(house.user, "undo = false\nundo_files = 7\nundo_bytes = 8\n")
    own = house.load()
    assert (own.undo, own.undo_files, own.undo_bytes) == (False, 7, 8)
    house.write(house.managed, "undo = true\nundo_files = 9\n")
    managed = house.load()
    assert (managed.undo, managed.undo_files, managed.undo_bytes) == (True, 9, 8)
    assert "undo in " in managed.notices[0]


def test_a_project_can_define_no_provider(house: House) -> None:
    house.write(house.project, '[providers.x]\nbase_url = "https://evil.example"\n')
    with pytest.raises(ConfigError, match='a project may not set "providers"'):
        house.load(Flags(trust=True))


# Permissions


def test_the_rules_of_all_layers_are_kept_apart(house: House) -> None:
    house.write(house.managed, '[permissions]\ndeny = ["Bash(rm *)"]\n')
    house.write(house.project, '[permissions]\nask = ["Edit"]\n')
    rules = Permissions(allow=("Bash(make)",))
    layers = house.load(said(trust=True, permissions=rules)).layers
    assert [(layer.name, layer.deny, layer.ask, layer.allow) for layer in layers] == [
        ("managed", ("Bash(rm *)",), (), ()),
        ("session", (), (), ("Bash(make)",)),
        ("project", (), ("Edit",), ()),
    ]


def test_a_mode_by_flag_beats_the_users_and_stays_under_the_managed_one(house: House) -> None:
    house.write(house.user, 'permission_mode = "default"\n')
    assert house.load().mode("auto") == "ask"
    assert house.load(said(permission_mode="auto")).mode("ask") == "auto"
    house.write(house.managed, 'permission_mode = "acceptEdits"\n')
    assert house.load(said(permission_mode="plan")).mode("auto") == "plan"
    with pytest.raises(ConfigError, match="--permission-mode auto is looser than accept_edits"):
        house.load(said(permission_mode="auto"))


def test_a_project_can_only_make_the_mode_stricter(house: House) -> None:
    house.write(house.project, 'permission_mode = "plan"\n')
    assert house.load(said(trust=True, permission_mode="auto")).mode("auto") == "plan"
    house.write(house.project, 'permission_mode = "auto"\n')
    assert house.load(said(trust=True, permission_mode="plan")).mode("auto") == "plan"
    house.write(house.managed, 'permission_mode = "ask"\n')
    assert house.load(Flags(trust=True)).mode("auto") == "ask"


def test_an_unknown_mode_names_the_file_and_the_key(house: House) -> None:
    house.write(house.user, 'permission_mode = "yolo"\n')
    with pytest.raises(ConfigError, match="settings.toml: permission_mode: .*--sandbox none"):
        house.load()


def test_the_usual_mode_is_the_channels(house: House) -> None:
    assert house.load().mode("auto") == "auto"
    assert house.load().mode("ask") == "ask"


def test_without_a_sandbox_auto_takes_both_flags_and_it_is_said_aloud(house: House) -> None:
    bare = house.load(said(sandbox="none"))
    assert bare.mode("auto") == "ask"
    assert "no sandbox" in bare.notices[0]
    house.write(house.user, 'permission_mode = "auto"\n')
    assert house.load(said(sandbox="none")).mode("auto") == "ask"
    assert house.load(said(sandbox="none", permission_mode="auto")).mode("ask") == "auto"


def test_no_file_can_switch_the_sandbox_off(house: House) -> None:
    house.write(house.user, 'sandbox = "none"\n')
    with pytest.raises(ConfigError, match='"sandbox" cannot be none in a file; give --sandbox none'):
        house.load()


# Places


def test_a_workspace_must_be_a_directory(house: House) -> None:
    with pytest.raises(UsageError, match=r"none does not exist; name a directory with --cwd"):
        house.load(Flags(workspace="none"))
    house.write(house.workspace / "file", "")
    with pytest.raises(UsageError, match="file is not a directory"):
        house.load(Flags(workspace="file"))


def test_a_workspace_is_named_by_its_real_path(house: House) -> None:
    (house.workspace / "link").symlink_to(house.home)
    assert house.load(Flags(workspace="link")).workspace == str(house.home)


def test_a_named_settings_file_must_exist(house: House) -> None:
    with pytest.raises(UsageError, match=r"--settings: there is no file .*none\.toml"):
        house.load(Flags(settings="none.toml"))


def test_added_directories_come_from_all_that_may_name_them(house: House) -> None:
    (house.home / "data").mkdir()
    (house.workspace / "sub").mkdir()
    house.write(house.user, 'add_dirs = ["~/data"]\n')
    expected = (str(house.workspace / "sub"), str(house.home / "data"))
    assert house.load(said(add_dirs=("sub", "~/data"))).add_dirs == expected


@pytest.mark.parametrize(("name", "words"), [("sub", "is relative"), ("/nowhere", "is not a directory")])
def test_an_added_directory_that_is_not_one_is_an_error(house: House, name: str, words: str) -> None:
    house.write(house.user, f'add_dirs = ["{name}"]\n')
    with pytest.raises(ConfigError, match=words):
        house.load()


def test_directories_follow_the_xdg_rules() -> None:
    found = read_directories(Environ({"HOME": "/h", "XDG_STATE_HOME": "/s", "XDG_CACHE_HOME": "relative"}))
    assert (found.config, found.state, found.cache) == ("/h/.config/hames", "/s/hames", "/h/.cache/hames")


def test_home_comes_from_the_user_database_when_it_is_not_set() -> None:
    assert read_directories(Environ({})).home == getpwuid(os.getuid()).pw_dir


def test_a_relative_home_is_an_error() -> None:
    with pytest.raises(ConfigError, match='HOME is "x"'):
        read_directories(Environ({"HOME": "x"}))


def test_a_directory_that_is_gone_is_told(tmp_path: Path) -> None:
    code = (
        "import os, sys; os.chdir(sys.argv[1]); os.rmdir(sys.argv[1])\n"
        "from hames.assembly.settings import places\n"
        "from hames.core.errors import UsageError\n"
        "try: places()\nexcept UsageError as error: print(error)\n"
    )
    gone = tmp_path / "gone"
    gone.mkdir()
    done = subprocess.run([sys.executable, "-c", code, str(gone)], capture_output=True, text=True, check=True)
    assert done.stdout == "the current directory is gone; go to another one\n"


def test_places_are_those_of_this_process() -> None:
    here = places()
    assert here.cwd == str(Path.cwd())
    assert "PATH" in here.environ


# Proxies


def test_proxies_come_from_the_environment(house: House) -> None:
    environ = {"https_proxy": "http://p:1", "ALL_PROXY": "http://p:2", "NO_PROXY": "a, b,c"}
    expected = Proxies(http="http://p:2", https="http://p:1", direct=("a", "b", "c"))
    assert house.load(environ=environ).proxies == expected


def test_a_proxy_in_the_settings_beats_the_environment(house: House) -> None:
    house.write(house.user, 'proxy = "http://mine:1"\nno_proxy = ["x"]\n')
    expected = Proxies(http="http://mine:1", https="http://mine:1", direct=("x",))
    assert house.load(environ={"https_proxy": "http://p:1", "no_proxy": "y"}).proxies == expected


def test_settings_never_print_the_environment(house: House) -> None:
    assert "sk-123" not in repr(house.load(environ={"DEEPSEEK_API_KEY": "sk-123"}))


@pytest.mark.parametrize(
    ("choices", "words"),
    [
        (Choices(max_budget_usd=0.0), "--max-budget-usd: expected float > 0.0, got 0"),
        (Choices(max_budget_usd=-2.5), "--max-budget-usd: expected float > 0.0, got -2.5"),
        (Choices(window=100), "--window: expected int >= 1024, got 100"),
        (Choices(max_steps=0), "--max-turns: expected int >= 1, got 0"),
        (Choices(patience_s=-1.0), "--patience: expected float >= 0.0, got -1"),
        (Choices(max_budget_usd=float("inf")), "inf is no limit; leave it out"),
    ],
)
def test_a_flag_with_a_value_that_does_not_fit_is_named_with_what_it_takes(
    house: House, choices: Choices, words: str
) -> None:
    with pytest.raises(ConfigError, match=words):
        house.load(Flags(choices))


def test_patience_may_be_endless_and_only_gets_shorter_by_others(house: House) -> None:
    assert house.load().patience_s is None
    house.write(house.user, "patience_s = inf\nconcurrency = 8\nfallback_max_usd = 3\n")
    assert house.load().patience_s == float("inf")
    house.write(house.managed, "patience_s = 60\nconcurrency = 4\nfallback_max_usd = 1\n")
    found = house.load()
    assert (found.patience_s, found.concurrency, found.fallback_max_usd) == (60, 4, 1)
    house.write(house.project, "patience_s = 5\n")
    assert house.load(said(trust=True)).patience_s == 5
    with pytest.raises(ConfigError, match="--patience 100 is over the managed limit of 60"):
        house.load(said(patience_s=100.0))


def test_models_that_stand_in_are_those_of_the_strongest_source_but_never_a_projects(house: House) -> None:
    assert house.load().fallback == ()
    house.write(house.user, 'fallback = ["qwen", "kimi"]\n')
    assert house.load().fallback == ("qwen", "kimi")
    assert house.load(said(fallback=("glm",))).fallback == ("glm",)
    house.write(house.project, 'fallback = ["evil"]\n')
    with pytest.raises(ConfigError, match='a project may not set "fallback"'):
        house.load(said(trust=True))


def test_providers_of_all_sources_are_laid_over_those_that_are_known(house: House) -> None:
    assert house.load().providers["deepseek"].base_url == "https://api.deepseek.com"
    house.write(
        house.user,
        """
        [providers.deepseek]
        idle_s = 5
        first_byte_s = 50
        [providers.mine]
        base_url = "https://mine.example/v1"
        wire = "chat"
        """,
    )
    named = house.write(house.home / "named.toml", "[providers.deepseek]\nidle_s = 9\n")
    known = house.load(Flags(settings=str(named))).providers
    deepseek = known["deepseek"]
    assert (deepseek.idle_s, deepseek.first_byte_s, deepseek.keepalive) == (9, 50, True)
    assert known["mine"].base_url == "https://mine.example/v1"
    assert "mine" in list(known)


def test_what_is_managed_of_a_provider_holds_and_is_told(house: House) -> None:
    house.write(house.managed, '[providers.deepseek]\nbase_url = "https://gate.example"\n')
    house.write(house.user, '[providers.deepseek]\nbase_url = "https://other.example"\nidle_s = 7\n')
    settings = house.load()
    deepseek = settings.providers["deepseek"]
    assert (deepseek.base_url, deepseek.idle_s) == ("https://gate.example", 7)
    assert settings.notices == (
        f"providers.deepseek.base_url of weaker files does not hold where {house.managed} sets it",
    )


def test_what_a_provider_lacks_is_named_with_the_file(house: House) -> None:
    house.write(house.user, "[providers.mine]\nidle_s = 7\n")
    with pytest.raises(
        ConfigError, match='providers.mine: a new provider needs "base_url" and "wire"'
    ) as caught:
        house.load()
    assert str(caught.value).startswith(str(house.user))
