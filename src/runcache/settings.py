"""The table of settings: what each is called, how it is read and shown, its default and its help.

Flags, variables, file keys and `config show` are all made of it (`config.py`, `cli/options.py`).
"""

import ipaddress
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import platformdirs

from runcache.locations import parse_catalog, parse_store
from runcache.quantities import parse_duration, parse_size, print_duration, print_size

PREFIX: Final = "RUNCACHE_"
OWN_KEY: Final = "signing.key"
LOG_LEVELS: Final = ("debug", "info", "warning", "error")
# Names that are spoken for, and what holds until they can be set.
PLANNED: Final[Mapping[str, str]] = {
    "uploads_per_minute": "leave it out: uploads are not limited yet",
    "issuers": "leave it out: only tokens of this server's own key are accepted yet",
}


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of value: `parse` reads its text or raises `ValueError`, `show` is the way back."""

    metavar: str
    parse: Callable[[str], Any]
    show: Callable[[Any], str] = str

    def or_none(self) -> "Kind":
        """Return this kind with `none` as one more value."""
        return Kind(
            self.metavar,
            lambda text: None if text.strip().lower() == "none" else self.parse(text),
            lambda value: "none" if value is None else self.show(value),
        )


@dataclass(frozen=True, slots=True)
class Setting:
    """A row of the table. A default is text to parse, and may depend on the data folder."""

    name: str
    kind: Kind
    default: str | Callable[[Path], str]
    help: str


def flag_of(name: str) -> str:
    """Return the name of a setting on a command line."""
    return f"--{name.replace('_', '-')}"


def variable_of(name: str) -> str:
    """Return the name of a setting in the environment."""
    return f"{PREFIX}{name.upper()}"


def _text(text: str) -> str:
    if not text.strip():
        raise ValueError("it is empty")
    if "\0" in text:
        raise ValueError("it holds a NUL")
    return text.strip()


def _path(text: str) -> Path:
    return Path(_text(text))


def _secret_path(text: str) -> Path:
    return Path("/dev/stdin") if text == "-" else _path(text)


def _truth(text: str) -> bool:
    values = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}
    if text.lower() not in values:
        raise ValueError(f"`{text}` is neither `true` nor `false`")
    return values[text.lower()]


def _port(text: str) -> int:
    if not re.fullmatch(r"[0-9]{1,5}", text) or int(text) > 65535:  # noqa: PLR2004  -- 16 bits
        raise ValueError(f"`{text}` is not a port from 0 (any that is free) to 65535")
    return int(text)


def _count(text: str) -> int:
    if not re.fullmatch(r"[1-9][0-9]{0,2}", text):
        raise ValueError(f"`{text}` is not a number from 1 to 999")
    return int(text)


def _level(text: str) -> str:
    if text.lower() not in LOG_LEVELS:
        raise ValueError(
            f"`{text}` is not one of {', '.join(f'`{level}`' for level in LOG_LEVELS)}"
        )
    return text.lower()


def _networks(text: str) -> tuple[IPv4Network | IPv6Network, ...]:
    if text.strip().lower() == "none":
        return ()
    return tuple(ipaddress.ip_network(item.strip(), strict=False) for item in text.split(","))


def parse_origin(text: str) -> str:
    """Return a URL without path and without a final slash.

    Raises:
        ValueError: it is no such URL.
    """
    url = urlsplit(text.strip())
    is_plain = url.path in {"", "/"} and not url.query and not url.fragment
    host_and_port = r"([A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(:[0-9]{1,5})?"
    if (
        url.scheme not in {"http", "https"}
        or not is_plain
        or not re.fullmatch(host_and_port, url.netloc)
    ):
        # Clients resolve absolute paths against it: its own would be dropped (protocol §1).
        raise ValueError(
            f"`{text}` is not a URL such as `https://cache.example.com`, without a path"
        )
    return f"{url.scheme}://{url.netloc}"


def _duration(*, minimum: str) -> Kind:
    least = parse_duration(minimum)

    def parse(text: str) -> timedelta:
        duration = parse_duration(text)
        if duration < least:
            raise ValueError(f"`{text}` is too short, the least is `{minimum}`")
        return duration

    return Kind("DURATION", parse, print_duration)


_HOST: Final = Kind("HOST", _text)
_PORT: Final = Kind("PORT", _port)
_FOLDER: Final = Kind("DIR", _path)
_FILE: Final = Kind("FILE", _path)
_SECRET: Final = Kind("FILE", _secret_path)
_STORE: Final = Kind("URL", parse_store, lambda location: location.shown)
_CATALOG: Final = Kind("URL", parse_catalog, lambda location: location.shown)
_ORIGIN: Final = Kind("URL", parse_origin)
_TRUTH: Final = Kind("BOOL", _truth, lambda value: str(value).lower())
_NETWORKS: Final = Kind("NETWORKS", _networks, lambda value: ",".join(map(str, value)) or "none")
_SIZE: Final = Kind("SIZE", parse_size, print_size)
_DURATION: Final = _duration(minimum="1s")
_COUNT: Final = Kind("N", _count)
_LEVEL: Final = Kind("LEVEL", _level)

SETTINGS: Final = (
    Setting("host", _HOST, "127.0.0.1", "address to listen on"),
    Setting("port", _PORT, "8480", "port to listen on; 0 takes any that is free"),
    Setting(
        "data",
        _FOLDER,
        lambda _: platformdirs.user_data_dir("runcache", appauthor=False),
        "folder of catalog, blobs and signing key (default: the user's data folder)",
    ),
    Setting(
        "store",
        _STORE,
        lambda data: (data / "blobs").as_uri(),
        "where blobs are, file:///DIR or s3://BUCKET/PREFIX (default: in the data folder)",
    ),
    Setting(
        "catalog",
        _CATALOG,
        lambda data: f"sqlite:///{data / 'catalog.sqlite3'}",
        "where facts are, sqlite:///FILE or postgresql://HOST/NAME (default: in the data folder)",
    ),
    Setting(
        "direct_transfers",
        _TRUTH,
        "false",
        "whether bytes go straight between clients and the store, which must be S3",
    ),
    Setting(
        "read_cache",
        _SIZE.or_none(),
        "none",
        "how much of what is read often is kept in the data folder, in front of the store",
    ),
    Setting(
        "public_url",
        _ORIGIN.or_none(),
        "none",
        "what clients call this server, if not what their requests say",
    ),
    Setting(
        "results_upstream",
        _ORIGIN.or_none(),
        "none",
        "where requests go that are for the rest of GitHub's results service, artifacts above all",
    ),
    Setting("behind_proxy", _TRUTH, "false", "whether a proxy in front encrypts the traffic"),
    Setting(
        "trusted_proxies",
        _NETWORKS,
        "127.0.0.0/8,::1/128",
        "whose X-Forwarded-* headers count behind a proxy, separated by commas",
    ),
    Setting("tls_cert", _FILE.or_none(), "none", "certificate chain (PEM)"),
    Setting("tls_key", _FILE.or_none(), "none", "private key of the certificate (PEM)"),
    Setting(
        "signing_key_file",
        _SECRET,
        lambda data: str(data / OWN_KEY),
        "secret that signs tokens and links, - for stdin (default: one in the data folder)",
    ),
    Setting("repo_limit", _SIZE, "10GB", "what a repository may keep"),
    Setting("total_limit", _SIZE.or_none(), "none", "what all repositories may keep together"),
    Setting("min_free", _SIZE, "512MiB", "disk space to leave free"),
    Setting("unused_for", _DURATION, "7d", "entries not restored for so long are forgotten"),
    Setting("sweep_every", _DURATION, "1h", "how often the limits are applied"),
    Setting("entry_limit", _SIZE.or_none(), "none", "larger uploads are refused"),
    Setting("upload_ttl", _duration(minimum="1m"), "24h", "how long an upload may take"),
    Setting("link_ttl", _duration(minimum="1m"), "1h", "how long a download link works"),
    Setting(
        "drain_after",
        _duration(minimum="0s"),
        "0s",
        "how long after SIGTERM everything goes on, for proxies to notice",
    ),
    Setting(
        "drain_for", _duration(minimum="0s"), "30s", "how long transfers may go on after SIGTERM"
    ),
    Setting("workers", _COUNT, "1", "processes that serve on the one port"),
    Setting("log_level", _LEVEL, "info", f"one of {', '.join(LOG_LEVELS)}"),
)
