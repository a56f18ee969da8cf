import pytest

from hames.core.errors import ConfigError
from hames.models.address import Address, Proxies, endpoint_url, parse_url, proxy_for

PROXY = "http://proxy.corp:3128"
BOTH = Proxies(http=PROXY, https=PROXY)


def test_a_url_is_taken_apart() -> None:
    assert parse_url("https://api.example.com") == Address("https", "api.example.com", 443, "/")
    assert parse_url("http://LocalHost:8000/v1?x=1") == Address("http", "localhost", 8000, "/v1?x=1")
    address = parse_url("http://[::1]:80/v1")
    assert (address.authority, address.endpoint, address.absolute) == ("[::1]", "[::1]:80", "http://[::1]/v1")
    assert parse_url("https://h:8443").authority == "h:8443"


def test_the_path_is_put_below_the_base_url_and_its_query_kept() -> None:
    assert endpoint_url("https://h/v1/", "/chat").target == "/v1/chat"
    assert endpoint_url("https://h", "/chat").target == "/chat"
    assert endpoint_url("https://h/v1?api-version=2", "/chat").target == "/v1/chat?api-version=2"


@pytest.mark.parametrize(
    "url", ["", "h:80", "ftp://h", "http://", "http://h:port", "http://[::1", "http://hé"]
)
def test_anything_else_is_an_error_that_names_the_setting(url: str) -> None:
    with pytest.raises(ConfigError, match="base_url"):
        parse_url(url)


def test_a_proxy_is_chosen_by_the_scheme_of_the_target() -> None:
    proxies = Proxies(https="proxy.corp:8080")
    found = proxy_for(parse_url("https://api.example.com"), proxies)
    assert found is not None
    assert found.address.endpoint == "proxy.corp:8080"
    assert proxy_for(parse_url("http://api.example.com"), proxies) is None
    assert proxy_for(parse_url("https://api.example.com"), Proxies()) is None


def test_credentials_of_a_proxy_become_a_header_and_are_in_no_address() -> None:
    proxies = Proxies(https="http://us%40er:p%3Aw@proxy:1")
    found = proxy_for(parse_url("https://h.example"), proxies)
    assert found is not None
    assert dict(found.headers) == {"Proxy-Authorization": "Basic dXNAZXI6cDp3"}
    assert found.address == Address("http", "proxy", 1, "/")


@pytest.mark.parametrize(
    "url", ["http://localhost:1", "http://127.0.0.2", "https://[::1]", "http://a.localhost"]
)
def test_the_machine_itself_needs_no_proxy(url: str) -> None:
    assert proxy_for(parse_url(url), BOTH) is None


@pytest.mark.parametrize(
    ("entry", "url", "direct"),
    [
        ("*", "https://any.example", True),
        ("example.com", "https://example.com", True),
        ("example.com", "https://api.example.com", True),
        (".example.com", "https://api.example.com", True),
        ("*.example.com", "https://api.example.com", True),
        ("Example.COM", "https://api.example.com", True),
        ("example.com", "https://notexample.com", False),
        ("example.com:443", "https://example.com", True),
        ("example.com:8443", "https://example.com", False),
        ("10.0.0.0/8", "http://10.1.2.3", True),
        ("10.0.0.0/8", "http://11.1.2.3", False),
        ("10.0.0.0/8", "http://ten.example", False),
        ("fd00::1", "http://[fd00::1]:8000", True),
        ("[fd00::1]", "http://[fd00::1]:8000", True),
        ("fd00::/8", "http://[fd00::2]", True),
        ("", "https://example.com", False),
    ],
)
def test_listed_hosts_are_reached_directly(entry: str, url: str, direct: bool) -> None:
    proxies = Proxies(http=PROXY, https=PROXY, direct=("other.org", entry))
    assert (proxy_for(parse_url(url), proxies) is None) == direct


def test_a_proxy_of_an_unknown_kind_is_refused() -> None:
    with pytest.raises(ConfigError, match="proxy"):
        proxy_for(parse_url("https://h.example"), Proxies(https="socks5://proxy:1080"))
