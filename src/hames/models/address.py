"""Where a request goes: its parts, and whether a proxy stands between."""

from binascii import b2a_base64
from collections.abc import Mapping
from ipaddress import ip_address, ip_network
from urllib.parse import SplitResult, unquote, urlsplit

import msgspec

from hames.core.errors import ConfigError

_PORTS = {"http": 80, "https": 443}


class Address(msgspec.Struct, frozen=True):
    """The parts of a URL. `target` is the path with its query."""

    scheme: str
    host: str
    port: int
    target: str

    @property
    def secure(self) -> bool:
        return self.scheme == "https"

    @property
    def authority(self) -> str:
        """Host and port as in the `Host` header: the usual port is left out."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _PORTS[self.scheme] else f"{host}:{self.port}"

    @property
    def endpoint(self) -> str:
        """Host and port, both always."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def absolute(self) -> str:
        """The whole URL, as a proxy is asked for it."""
        return f"{self.scheme}://{self.authority}{self.target}"


class Proxies(msgspec.Struct, frozen=True):
    """Proxy URLs by the scheme of the target, empty for none, and the hosts that need none.

    An entry of `direct` is `*`, a host (and all below it), `host:port`, an address, or a network as in
    `10.0.0.0/8`. The machine itself is always reached directly.
    """

    http: str = ""
    https: str = ""
    direct: tuple[str, ...] = ()


class Proxy(msgspec.Struct, frozen=True):
    """A proxy to go through. `headers` carry its credentials."""

    address: Address
    headers: Mapping[str, str]


def parse_url(url: str, what: str = "base_url") -> Address:
    """Raises `ConfigError`, naming the setting `what`, for anything but an http or https URL."""
    return _address(_split(url, what), url, what)


def endpoint_url(base_url: str, path: str) -> Address:
    """The address of `path` below `base_url`, whose query is kept."""
    split = _split(base_url, "base_url")
    joined = split._replace(path=split.path.rstrip("/") + path)
    return _address(joined, base_url, "base_url")


def proxy_for(address: Address, proxies: Proxies) -> Proxy | None:
    """The proxy to reach `address` through. Raises `ConfigError` for one that we do not speak."""
    url = proxies.https if address.secure else proxies.http
    if not url or _is_local(address.host) or any(_covers(entry, address) for entry in proxies.direct):
        return None
    what = "the proxy setting"
    split = _split(url if "://" in url else f"http://{url}", what)
    headers: dict[str, str] = {}
    if split.username is not None:
        pair = f"{unquote(split.username)}:{unquote(split.password or '')}"
        headers["Proxy-Authorization"] = "Basic " + b2a_base64(pair.encode(), newline=False).decode()
    return Proxy(_address(split, split.hostname or "", what), headers)


def _split(url: str, what: str) -> SplitResult:
    try:
        split = urlsplit(url.strip())
        _ = split.port
    except ValueError:
        raise ConfigError(f"{what}: this is not a URL that can be read") from None
    if split.scheme not in _PORTS:
        raise ConfigError(f"{what}: the URL must begin with http:// or https://")
    return split


def _address(split: SplitResult, shown: str, what: str) -> Address:
    host = split.hostname or ""
    if not host or not host.isascii():
        raise ConfigError(f"{what}: there is no host that can be used in {shown!r}")
    target = (split.path or "/") + (f"?{split.query}" if split.query else "")
    return Address(split.scheme, host, split.port or _PORTS[split.scheme], target)


def _is_local(host: str) -> bool:
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def _covers(entry: str, address: Address) -> bool:
    entry = entry.strip().lower()
    if entry in ("", "*"):
        return entry == "*"
    if "/" in entry:
        try:
            return ip_address(address.host) in ip_network(entry, strict=False)
        except ValueError:
            return False
    if entry in (address.host, address.endpoint, f"[{address.host}]"):
        return True
    host, _, port = entry.rpartition(":")
    if host and port.isdigit() and ":" not in host:
        entry = host
        if int(port) != address.port:
            return False
    entry = entry.removeprefix("*").removeprefix(".")
    return address.host == entry or address.host.endswith(f".{entry}")
