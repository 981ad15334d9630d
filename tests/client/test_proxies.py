"""Which requests go through which proxy."""

from urllib.parse import urlsplit

import pytest

from runcache.client.proxies import Proxies, is_loopback
from runcache.errors import InvalidSettings

PROXY = "http://proxy.example.com:3128"


def proxy_for(url: str, *exceptions: str, **by_scheme: str) -> str | None:
    proxies = Proxies(by_scheme or {"http": PROXY, "https": PROXY}, exceptions)
    found = proxies.of(urlsplit(url))
    return found.geturl() if found else None


def test_each_scheme_has_its_own_proxy() -> None:
    assert proxy_for("http://cache.test/x", http=PROXY) == PROXY
    assert proxy_for("https://cache.test/x", http=PROXY) is None


def test_a_proxy_without_a_scheme_speaks_http() -> None:
    assert proxy_for("http://cache.test/", http="proxy.test:3128") == "http://proxy.test:3128"


@pytest.mark.parametrize(
    ("host", "exception", "is_direct"),
    [
        ("cache.test", "cache.test", True),
        ("cache.test", "CACHE.TEST", True),
        ("a.cache.test", "cache.test", True),
        ("a.cache.test", ".cache.test", True),
        ("a.cache.test", "*.cache.test", True),
        ("mycache.test", "cache.test", False),
        ("cache.test", "a.cache.test", False),
        ("cache.test:8480", "cache.test:8480", True),
        ("cache.test:8481", "cache.test:8480", False),
        ("cache.test", "cache.test:80", True),
        ("cache.test", "*", True),
        ("10.1.2.3", "10.0.0.0/8", True),
        ("11.1.2.3", "10.0.0.0/8", False),
        ("10.1.2.3", "10.1.2.3", True),
        ("[fd00::1]", "fd00::/8", True),
        ("[fd00::1]:8480", "[fd00::1]:8480", True),
        ("cache.test", "10.0.0.0/8", False),
    ],
)
def test_exceptions_are_reached_without_a_proxy(
    host: str, exception: str, *, is_direct: bool
) -> None:
    assert (proxy_for(f"http://{host}/", "other.test", exception) is None) == is_direct


@pytest.mark.parametrize(
    "host", ["localhost", "a.localhost", "127.0.0.1", "127.9.9.9", "[::1]", "127.0.0.1:8480"]
)
def test_this_machine_needs_no_proxy(host: str) -> None:
    assert proxy_for(f"http://{host}/") is None


def test_names_that_only_look_like_this_machine_are_others() -> None:
    assert not is_loopback("localhost.test")
    assert not is_loopback("128.0.0.1")


@pytest.mark.parametrize("proxy", ["socks5://proxy.test:1080", "https://proxy.test", "http://"])
def test_a_proxy_of_another_kind_is_refused(proxy: str) -> None:
    with pytest.raises(InvalidSettings):
        proxy_for("http://cache.test/", http=proxy)
