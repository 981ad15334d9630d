"""Which proxy a request goes through, by the rules that `curl` and Go share."""

from collections.abc import Mapping
from urllib.parse import SplitResult, urlsplit

import msgspec

from runcache.errors import InvalidSettings


class Proxies(msgspec.Struct, frozen=True):
    """The proxies by the scheme of what is asked for, and the hosts that are reached without one.

    An exception is a name, which counts for the names below it too, an address, a network, any of
    them with a port, or `*`. This machine itself never needs a proxy.
    """

    by_scheme: Mapping[str, str] = msgspec.field(default_factory=dict)
    exceptions: tuple[str, ...] = ()

    def of(self, url: SplitResult) -> SplitResult | None:
        """Return the proxy for `url`, `None` for none.

        Raises:
            InvalidSettings: the proxy is not one that speaks plain HTTP.
        """
        proxy = self.by_scheme.get(url.scheme)
        host = url.hostname or ""
        if proxy is None or is_loopback(host) or self._is_exception(host, _port(url)):
            return None
        found = urlsplit(proxy if "://" in proxy else f"http://{proxy}")
        if found.scheme != "http" or not found.hostname:
            raise InvalidSettings(
                f"the proxy for `{url.scheme}` is not a URL such as `http://proxy.example.com:3128`"
            )
        return found

    def _is_exception(self, host: str, port: int) -> bool:
        for exception in self.exceptions:
            name, colon, number = exception.rpartition(":")
            if not colon or not number.isdigit():
                name, number = exception, str(port)
            if number == str(port) and _covers(name.strip("[]"), host):
                return True
        return False


def is_loopback(host: str) -> bool:
    """Say whether `host` is this machine."""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    import ipaddress  # noqa: PLC0415  -- 5 ms, which only those behind a proxy shall pay

    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _port(url: SplitResult) -> int:
    return url.port or (443 if url.scheme == "https" else 80)


def _covers(exception: str, host: str) -> bool:
    if exception == "*":
        return True
    import ipaddress  # noqa: PLC0415  -- as above

    try:
        return ipaddress.ip_address(host) in ipaddress.ip_network(exception, strict=False)
    except ValueError:
        suffix = exception.removeprefix("*").removeprefix(".").lower()
        return host == suffix or host.endswith(f".{suffix}")
