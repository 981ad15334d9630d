"""The server's settings, read once: a flag, else a variable, else the file, else the default.

Names, parsers and defaults are rows of `settings.SETTINGS`. Apart from the client's own, no other
module reads the environment.
"""

import difflib
import ipaddress
import os
import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import Any, Final

from runcache.errors import InvalidSettings
from runcache.locations import (
    Bucket,
    CatalogLocation,
    PostgresDatabase,
    SqliteFile,
    StoreLocation,
)
from runcache.retention import Limits
from runcache.settings import OWN_KEY, PLANNED, PREFIX, SETTINGS, Setting, flag_of, variable_of

DEFAULT_FILE: Final = "runcache.toml"
FILE_VARIABLE: Final = variable_of("config")
# What jobs and laptops set for the client, on the machine of the server too.
CLIENT_VARIABLES: Final = frozenset(
    variable_of(name) for name in ("url", "token", "token_file", "repo", "ref")
)

_NAMES: Final = (*(row.name for row in SETTINGS), *PLANNED)
_VARIABLES: Final = {variable_of(name): name for name in _NAMES}


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """All settings of a server, each named as its flag. Sizes are bytes, paths are absolute.

    `public_url` has no final slash.
    """

    host: str
    port: int
    data: Path
    store: StoreLocation
    catalog: CatalogLocation
    direct_transfers: bool
    read_cache: int | None
    public_url: str | None
    results_upstream: str | None
    behind_proxy: bool
    trusted_proxies: tuple[IPv4Network | IPv6Network, ...]
    tls_cert: Path | None
    tls_key: Path | None
    signing_key_file: Path
    repo_limit: int
    total_limit: int | None
    min_free: int
    unused_for: timedelta
    sweep_every: timedelta
    entry_limit: int | None
    upload_ttl: timedelta
    link_ttl: timedelta
    drain_after: timedelta
    drain_for: timedelta
    workers: int
    log_level: str

    def __post_init__(self) -> None:
        if (self.tls_cert is None) != (self.tls_key is None):
            given, missing = ("tls_cert", "tls_key") if self.tls_cert else ("tls_key", "tls_cert")
            raise InvalidSettings(
                f"`{given}` is set, `{missing}` is not",
                hint=f"set `{missing}` as well: TLS needs both",
            )
        if not (_is_loopback(self.host) or self.tls_cert or self.behind_proxy):
            raise InvalidSettings(
                f"refusing to listen on `{self.host}` without encryption",
                hint="set `tls_cert` and `tls_key`, or `behind_proxy` if a proxy in front encrypts",
            )

        if self.direct_transfers and not isinstance(self.store, Bucket):
            raise InvalidSettings(
                "`direct_transfers` is set, but clients cannot reach a folder past the server",
                hint="leave it out, or name a store in S3 as `s3://bucket/prefix`",
            )
        if self.results_upstream in {self.origin, self.public_url} - {None}:
            raise InvalidSettings(
                "`results_upstream` is this server itself",
                hint="name the results service, such as `https://results-receiver.actions.githubusercontent.com`",
            )

    @property
    def origin(self) -> str:
        """The URL of this server as far as settings tell, without a final slash."""
        if self.public_url is not None:
            return self.public_url
        scheme = "https" if self.tls_cert else "http"
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{scheme}://{host}:{self.port}"

    @property
    def is_own_signing_key(self) -> bool:
        """Whether the signing key is the data folder's, which is made when it is missing."""
        return self.signing_key_file == self.data / OWN_KEY

    def require_cache(self, *, hint: str) -> None:
        """Make sure that there is a cache already where these settings lead, if that is a file.

        Raises:
            InvalidSettings: there is none.
        """
        if isinstance(self.catalog, SqliteFile) and not self.catalog.path.is_file():
            raise InvalidSettings(
                f"there is no cache: `{self.catalog.path}` does not exist", hint=hint
            )

    def limits(self) -> Limits:
        """Return what decides which entries stay."""
        return Limits(
            repo_limit_bytes=self.repo_limit,
            total_limit_bytes=self.total_limit,
            min_free_bytes=self.min_free,
            unused_for=self.unused_for,
            link_ttl=self.link_ttl,
        )


@dataclass(frozen=True, slots=True)
class Sourced:
    """The text of a setting, and where it came from: a flag, a variable, a file or `default`."""

    name: str
    text: str
    origin: str


@dataclass(frozen=True, slots=True)
class Loaded:
    """The settings, and for each, in the order of the table, its value as text and its source."""

    settings: Settings
    sources: tuple[Sourced, ...]


@dataclass(frozen=True, slots=True)
class _Given:
    """A text as it was found. Relative paths in it are relative to `base`."""

    name: str
    text: str
    origin: str
    base: Path


def load(
    flags: Mapping[str, str | None],
    *,
    file: Path | None = None,
    environ: Mapping[str, str] | None = None,
    folder: Path | None = None,
) -> Loaded:
    """Read every source once.

    `flags` are by name of the setting, `None` where not given; `file` is what `--config` says. A
    variable that is empty counts as not set. Paths in a file are relative to the file, others to
    `folder`, which is the current one by default.

    Raises:
        InvalidSettings: a name is unknown, a value cannot be read, or two contradict each other.
    """
    environ = os.environ if environ is None else environ
    folder = Path.cwd() if folder is None else folder
    given: dict[str, _Given] = {}
    for text in (
        *_from_file(_file_of(file, environ, folder)),
        *_from_environment(environ, folder),
        *_from_flags(flags, folder),
    ):
        given[text.name] = text
        if text.name in PLANNED and text.text.lower() != "none":
            raise InvalidSettings(
                f"`{text.name}` ({text.origin}) cannot be set yet", hint=PLANNED[text.name]
            )
    values: dict[str, Any] = {}
    sources: list[Sourced] = []
    for row in SETTINGS:
        source = given.get(row.name) or _default_of(row, values, folder)
        values[row.name] = _value(row, source)
        sources.append(Sourced(row.name, row.kind.show(values[row.name]), source.origin))
    return Loaded(Settings(**values), tuple(sources))


def _value(row: Setting, given: _Given) -> object:
    try:
        value = row.kind.parse(given.text)
    except ValueError as exc:
        raise InvalidSettings(
            f"`{row.name}` ({given.origin}): {_without_passwords(str(exc))}"
        ) from exc
    match value:
        case Path():
            return given.base / value.expanduser()
        case SqliteFile(path):
            return SqliteFile(given.base / path.expanduser())
        case PostgresDatabase(has_password=True) if given.origin == flag_of(row.name):
            raise InvalidSettings(
                f"`{given.origin}` holds a password, which others on this machine could read",
                hint=f"set `{variable_of(row.name)}`, or `{row.name}` in the file of settings",
            )
        case _:
            return value


def _default_of(row: Setting, values: Mapping[str, Any], folder: Path) -> _Given:
    # The data folder is read first: the table has it above all that lies in it.
    text = row.default if isinstance(row.default, str) else row.default(values.get("data", folder))
    return _Given(row.name, text, "default", folder)


def _file_of(flag: Path | None, environ: Mapping[str, str], folder: Path) -> Path | None:
    named = flag or environ.get(FILE_VARIABLE)
    if named:
        return folder / named
    return folder / DEFAULT_FILE if (folder / DEFAULT_FILE).is_file() else None


def _from_file(file: Path | None) -> Iterator[_Given]:
    if file is None:
        return
    try:
        content = tomllib.loads(file.read_text("utf-8"))
    except OSError as exc:
        raise InvalidSettings(f"cannot read the settings in `{file}`: {exc.strerror}") from exc
    except ValueError as exc:
        raise InvalidSettings(f"`{file}` is not TOML: {exc}") from exc
    for name, value in content.items():
        if name not in _NAMES:
            raise InvalidSettings(
                f"unknown setting `{name}` in `{file}`", hint=_meant(name, _NAMES)
            )
        yield _Given(name, _text_of(name, value, file), str(file), file.parent)


def _text_of(name: str, value: object, file: Path) -> str:
    match value:
        case bool():
            return "true" if value else "false"
        case str() | int():
            return str(value)
        case list() if all(isinstance(item, str) for item in value):
            return ",".join(value) or "none"
        case _:
            raise InvalidSettings(f"`{name}` ({file}) is not a text, whole number or boolean")


def _from_environment(environ: Mapping[str, str], folder: Path) -> Iterator[_Given]:
    known = {*_VARIABLES, *CLIENT_VARIABLES, FILE_VARIABLE}
    for variable, text in environ.items():
        if not variable.startswith(PREFIX):
            continue
        if variable not in known:
            raise InvalidSettings(f"unknown variable `{variable}`", hint=_meant(variable, known))
        if variable in _VARIABLES and text:
            yield _Given(_VARIABLES[variable], text, variable, folder)


def _from_flags(flags: Mapping[str, str | None], folder: Path) -> Iterator[_Given]:
    for name, text in flags.items():
        if text is not None:
            yield _Given(name, text, flag_of(name), folder)


def _meant(name: str, known: Iterable[str]) -> str:
    close = difflib.get_close_matches(name, sorted(known), n=1)
    return f"did you mean `{close[0]}`?" if close else "`runcache config show` lists all settings"


def _without_passwords(text: str) -> str:
    return re.sub(r"(//[^/@\s]*?:)\S*@", r"\1•••@", text)


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
