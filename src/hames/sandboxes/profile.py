"""What a command may touch: the standing rules, as data, applied to one user and one workspace."""

from collections.abc import Mapping

import msgspec

from hames.core.errors import ConfigError
from hames.core.paths import is_within
from hames.core.ports import SandboxPolicy

SECRETS_AT_HOME = (
    ".ssh",
    ".gnupg",
    ".aws",
    ".azure",
    ".boto",
    ".config/gcloud",
    ".config/gh",
    ".config/glab-cli",
    ".config/hub",
    ".config/doctl",
    ".config/op",
    ".config/sops",
    ".config/age",
    ".config/rclone",
    ".config/containers/auth.json",
    ".config/git/credentials",
    ".config/github-copilot",
    ".config/pip",
    ".config/pypoetry/auth.toml",
    ".config/google-chrome",
    ".config/chromium",
    ".config/BraveSoftware",
    ".config/microsoft-edge",
    ".config/Signal",
    ".config/Slack",
    ".config/discord",
    ".config/Bitwarden",
    ".config/1Password",
    ".config/keepassxc",
    ".mozilla",
    ".thunderbird",
    ".var/app",
    "snap",
    ".kube",
    ".docker",
    ".oci",
    ".terraform.d",
    ".terraformrc",
    ".vault-token",
    ".netrc",
    ".authinfo",
    ".authinfo.gpg",
    ".git-credentials",
    ".npmrc",
    ".yarnrc",
    ".yarnrc.yml",
    ".pypirc",
    ".pgpass",
    ".my.cnf",
    ".mylogin.cnf",
    ".s3cfg",
    ".cargo/credentials",
    ".cargo/credentials.toml",
    ".gem/credentials",
    ".composer/auth.json",
    ".m2/settings.xml",
    ".m2/settings-security.xml",
    ".gradle/gradle.properties",
    ".nuget/NuGet",
    ".password-store",
    ".local/share/keyrings",
    ".local/share/kwalletd",
    ".claude",
    ".claude.json",
    ".codex",
    ".gemini",
    ".huggingface",
    ".cache/huggingface/token",
    ".config/openai",
    ".Xauthority",
    ".ICEauthority",
    ".bash_history",
    ".zsh_history",
    ".zhistory",
    ".local/share/fish/fish_history",
    ".python_history",
    ".node_repl_history",
    ".psql_history",
    ".mysql_history",
    ".sqlite_history",
    ".redis_history",
    ".rediscli_history",
    ".lesshst",
    ".viminfo",
)
"""Below the home directory: keys, tokens, browsers' profiles, histories, other agents' sessions."""

SECRETS_OF_SYSTEM = (
    "/etc/shadow",
    "/etc/shadow-",
    "/etc/gshadow",
    "/etc/gshadow-",
    "/etc/sudoers",
    "/etc/sudoers.d",
    "/etc/security/opasswd",
    "/etc/ssl/private",
    "/etc/pki/tls/private",
    "/etc/NetworkManager/system-connections",
    "/etc/wireguard",
    "/etc/krb5.keytab",
    "/etc/docker",
    "/etc/kubernetes",
    "/etc/rancher",
    "/var/lib/docker",
    "/var/lib/containerd",
    "/var/lib/kubelet",
    "/var/lib/private",
    "/var/spool/cron",
    "/var/spool/mail",
    "/var/mail",
)

SECRETS_OF_SSH = tuple(f"/etc/ssh/ssh_host_{kind}_key" for kind in ("rsa", "dsa", "ecdsa", "ed25519"))

HOMES = ("/home", "/root", "/Users")
"""Where other people live; the user's own home is shown again."""

CONTROL_FILES = (
    ".git/hooks",
    ".git/config",
    ".git/config.worktree",
    ".git/info",
    ".hames",
    ".mcp.json",
    ".vscode",
    ".idea",
    ".envrc",
    ".claude",
    ".codex",
    ".gemini",
    ".cursor",
)
"""Below a workspace: what other programs outside the sandbox would execute or obey."""

ENVIRONMENT = (
    "PATH",
    "HOME",
    "LANG",
    "LANGUAGE",
    "TERM",
    "COLORTERM",
    "TZ",
    "USER",
    "LOGNAME",
    "SHELL",
    "VIRTUAL_ENV",
)
"""Variables that commands are given, if they are set; and all that begin with `LC_`."""

NEVER_A_WORKSPACE = ("/", "/dev", "/etc", "/proc", "/run", "/sys", "/usr")


class Place(msgspec.Struct, frozen=True):
    """Where things are. All paths absolute and resolved.

    `home` is what HOME says, `account_home` what the user's account says: both are the user's own.
    `needed` must stay readable: the interpreter's prefixes, a virtual environment, ripgrep, directories
    of PATH. `private` is hidden: hames' own state and settings. `writable` can be written like the
    workspace.
    """

    home: str
    workspace: str
    needed: tuple[str, ...] = ()
    private: tuple[str, ...] = ()
    writable: tuple[str, ...] = ()
    account_home: str = ""

    @property
    def homes(self) -> tuple[str, ...]:
        """The user's own homes."""
        return tuple(dict.fromkeys(filter(None, (self.home, self.account_home))))


def secrets(place: Place) -> tuple[str, ...]:
    """All that no command may read."""
    at_home = tuple(f"{home.rstrip('/')}/{name}" for home in place.homes for name in SECRETS_AT_HOME)
    return (*HOMES, *SECRETS_OF_SYSTEM, *SECRETS_OF_SSH, *at_home, *place.private)


def workspace_policy(place: Place, *, read_only: bool = False, network: bool = False) -> SandboxPolicy:
    """The policy for one workspace. Raises `ConfigError` for a workspace that cannot be confined."""
    roots = (place.workspace, *place.writable)
    masked = secrets(place)
    for root in roots:
        if root in NEVER_A_WORKSPACE or (root in HOMES and root not in place.homes):
            raise ConfigError(f"{root} cannot be a workspace: start hames in a project's directory")
        hiding = next((path for path in masked if path not in HOMES and is_within(root, path)), None)
        if hiding is not None:
            raise ConfigError(
                f"{root} cannot be a workspace: {hiding} holds secrets and is hidden from commands; "
                "start hames in another directory"
            )
    masked = tuple(path for path in masked if path not in roots)
    return SandboxPolicy(
        workspace=place.workspace,
        writable=place.writable,
        protected=tuple(f"{root}/{name}" for root in roots for name in CONTROL_FILES),
        masked=masked,
        visible=(*place.homes, *place.needed),
        read_only=read_only,
        network=network,
    )


def command_env(environ: Mapping[str, str], extra: tuple[str, ...] = ()) -> dict[str, str]:
    """The environment of commands: the names that are allowed, and the ones that the user gave."""
    names = (*ENVIRONMENT, *extra)
    return {name: value for name, value in environ.items() if name in names or name.startswith("LC_")}
