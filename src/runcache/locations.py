"""Where a cache keeps its bytes and its facts, as URLs say it."""

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, TypeAlias
from urllib.parse import SplitResult, parse_qsl, quote, unquote, urlencode, urlsplit

from runcache.errors import InvalidSettings

_REGION: Final = "us-east-1"
_BUCKET: Final = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
_DATABASE: Final = "postgresql://runcache@db.example.com/runcache"
# What libpq calls the same; a parameter beside these would be a setting of the session.
_POSTGRES_PARAMETERS: Final = frozenset(
    (
        "host",
        "passfile",
        "port",
        "sslcert",
        "sslkey",
        "sslmode",
        "sslrootcert",
        "target_session_attrs",
    )
)


@dataclass(frozen=True, slots=True)
class Folder:
    """A store on this machine's disk."""

    path: Path

    @property
    def shown(self) -> str:
        """The URL, to be shown to people."""
        return self.path.as_uri()


@dataclass(frozen=True, slots=True)
class Bucket:
    """A store that speaks S3.

    `prefix` has neither a first nor a final slash and may be empty; `endpoint` is a URL without a
    path, `None` for AWS. Credentials are not part of it: they are found as AWS's own tools do.
    """

    name: str
    prefix: str
    endpoint: str | None
    region: str

    @property
    def shown(self) -> str:
        """The URL, to be shown to people."""
        given = {"endpoint": self.endpoint, "region": self.region}
        query = urlencode({name: text for name, text in given.items() if text}, safe=":/")
        path = f"/{quote(self.prefix)}" if self.prefix else ""
        return f"s3://{self.name}{path}?{query}"


@dataclass(frozen=True, slots=True)
class SqliteFile:
    """A catalog in a file on this machine's disk."""

    path: Path

    @property
    def shown(self) -> str:
        """The URL, to be shown to people."""
        return f"sqlite:///{self.path}"


@dataclass(frozen=True, slots=True)
class PostgresDatabase:
    """A catalog in PostgreSQL. `url` may hold a password, `shown` is the URL without it."""

    url: str = field(repr=False)
    shown: str

    @property
    def has_password(self) -> bool:
        """Whether the URL holds a secret."""
        return self.url != self.shown


StoreLocation: TypeAlias = Folder | Bucket
CatalogLocation: TypeAlias = SqliteFile | PostgresDatabase


def parse_store(text: str) -> StoreLocation:
    """Read where a store is.

    Raises:
        ValueError: it is neither `file:///DIR` nor `s3://BUCKET`.
        InvalidSettings: it holds credentials.
    """
    if text.startswith("s3:"):
        return _bucket(text)
    folder = unquote(text.removeprefix("file://"))
    if not text.startswith("file:///") or not folder.strip("/"):
        raise ValueError(
            f"`{text}` is not a URL such as `file:///srv/runcache` or `s3://bucket/prefix`"
        )
    return Folder(Path(folder))


def parse_catalog(text: str) -> CatalogLocation:
    """Read where a catalog is.

    Raises:
        ValueError: it is neither `sqlite:///FILE` nor `postgresql://HOST/DATABASE`.
    """
    if text.startswith(("postgresql:", "postgres:")):
        return _database(text)
    # As SQLAlchemy has it: three slashes before a relative path, four before an absolute one.
    file = text.removeprefix("sqlite:///")
    if file == text or not file.strip("/") or "?" in file or file == ":memory:":
        raise ValueError(
            f"`{text}` is not a URL such as `sqlite:////srv/runcache/catalog.sqlite3` or"
            f" `{_DATABASE}`"
        )
    return SqliteFile(Path(file))


def _bucket(text: str) -> Bucket:
    url = urlsplit(text)
    if "@" in url.netloc:
        raise InvalidSettings(
            "`store` holds credentials",
            hint="leave them out of the URL: set `AWS_ACCESS_KEY_ID` and `AWS_SECRET_ACCESS_KEY`",
        )
    if not text.startswith("s3://") or not _BUCKET.fullmatch(url.netloc) or url.fragment:
        raise ValueError(f"`{text}` is not a URL such as `s3://bucket/prefix`")
    given = _parameters(url, known=frozenset(("endpoint", "region")))
    endpoint = given.get("endpoint")
    if endpoint is not None and not re.fullmatch(r"https?://[^/@?#\s]+/?", endpoint):
        raise ValueError(f"`{endpoint}` is not an endpoint such as `https://s3.example.com`")
    return Bucket(
        url.netloc,
        unquote(url.path).strip("/"),
        endpoint.rstrip("/") if endpoint else None,
        given.get("region", _REGION),
    )


def _database(text: str) -> PostgresDatabase:
    text = text.strip()
    url = urlsplit(text)
    given = _parameters(url, known=_POSTGRES_PARAMETERS)
    credentials, _, host = url.netloc.rpartition("@")
    if not (host or "host" in given) or not re.fullmatch(r"/[^/]+", url.path) or url.fragment:
        raise ValueError(f"`{text}` is not a URL such as `{_DATABASE}`")
    user, colon, _ = credentials.partition(":")
    shown = text.replace(f"//{credentials}@", f"//{user}:•••@", 1) if colon else text
    return PostgresDatabase(text, shown)


def _parameters(url: SplitResult, *, known: frozenset[str]) -> dict[str, str]:
    given = dict(parse_qsl(url.query, keep_blank_values=True))
    for name, text in given.items():
        if name not in known:
            raise ValueError(f"`{name}` is not one of {', '.join(f'`{n}`' for n in sorted(known))}")
        if not text:
            raise ValueError(f"`{name}` is empty")
    return given
