"""Where requests go: the settings over the rules of a provider."""

import msgspec

from hames.assembly.secret import Environ, Secret
from hames.assembly.settings import Settings
from hames.core.errors import ConfigError, ExitCode
from hames.core.profiles import Provider, WireName


class KeyMissing(ConfigError):
    """No API key was found."""

    exit_code = ExitCode.AUTH


class Endpoint(msgspec.Struct, frozen=True):
    """The URL, the protocol, and the key, with the name of the variable it came from."""

    base_url: str
    wire: WireName
    key_env: str
    key: Secret | None


def endpoint(settings: Settings, provider: Provider) -> Endpoint:
    """The endpoint for `provider`.

    A base URL from the settings gets only a key that is named beside it: the provider's own key is for
    the provider, or for the URL in its own variable. Raises `KeyMissing`.
    """
    environ = settings.environ
    base_url = settings.base_url or own_address(environ, provider)
    key_env = settings.api_key_env or ("" if settings.base_url else provider.key_env)
    key = environ.secret(key_env) if key_env else None
    if key_env and key is None:
        raise KeyMissing(
            f"there is no API key: {key_env} is not set. Set it, or name another variable with"
            " --api-key-env, or another endpoint with --base-url"
        )
    return Endpoint(base_url.rstrip("/"), settings.wire or provider.wire, key_env, key)


def own_address(environ: Environ, provider: Provider) -> str:
    """The base URL of a provider: that in its own variable, or the usual one."""
    return environ.get(provider.base_url_env, "").strip() or provider.base_url
