"""Protocol v1: the REST calls below `_apis/artifactcache` (protocol §3).

Clients speak it where they take their host for GitHub Enterprise Server: so with Gitea, Forgejo
and act. Bodies are JSON; the bytes of an archive come in chunks, in parallel and out of order.
"""

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Annotated, Final, Self
from urllib.parse import quote

import msgspec

from runcache.errors import InvalidRange, MalformedMessage
from runcache.model import Entry
from runcache.wire.json_messages import JsonMessage

LOOKUP_PATH: Final = "/_apis/artifactcache/cache"

CACHES_PATH: Final = "/_apis/artifactcache/caches"
"""Where keys are reserved and listed; `/<cache id>` behind it is an upload."""

MAX_BODY_BYTES: Final = 64 * 1024
"""How long a JSON body may be; chunks are not bound by it."""

ALREADY_EXISTS: Final = "ArtifactCacheItemAlreadyExistsException"
"""The `typeKey` of a conflict."""

_MAX_INT64: Final = 2**63 - 1
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_CONTENT_RANGE: Final = re.compile(r"bytes ([0-9]{1,19})-([0-9]{1,19})/(?:\*|([0-9]{1,19}))")

_Size = Annotated[int, msgspec.Meta(ge=0, le=_MAX_INT64)]


@dataclass(frozen=True, slots=True)
class Lookup:
    """Asks for an entry: `keys` are the key itself and then the restore keys, in order."""

    keys: tuple[str, ...]
    version: str

    @classmethod
    def parse(cls, query: Mapping[str, str]) -> Self:
        """Read a percent-decoded query; its `keys` are joined by commas, which no key may hold.

        Raises:
            MalformedMessage: `keys` or `version` is absent.
        """
        if "keys" not in query or "version" not in query:
            raise MalformedMessage("a lookup needs the parameters `keys` and `version`")
        return cls(keys=tuple(query["keys"].split(",")), version=query["version"])

    def encode(self) -> str:
        """Write the query, as the official client does (protocol §3)."""
        keys = quote(",".join(self.keys), safe="!'()*~")
        return f"keys={keys}&version={quote(self.version, safe='')}"


class Reserve(JsonMessage, frozen=True):
    """Asks to reserve a key; most clients announce the size of the archive with it."""

    key: str
    version: str
    size_bytes: _Size | None = msgspec.field(name="cacheSize", default=None)


class Reserved(JsonMessage, frozen=True):
    """Answers a reservation; `cache_id` is never 0."""

    cache_id: Annotated[int, msgspec.Meta(ge=1, le=_MAX_INT64)] = msgspec.field(name="cacheId")


class FoundArchive(JsonMessage, frozen=True):
    """Answers a lookup that found something."""

    key: str = msgspec.field(name="cacheKey")
    location: str = msgspec.field(name="archiveLocation")
    scope: str | None = None


class Failed(JsonMessage, frozen=True):
    """Says why a request failed."""

    message: str = ""


class Commit(JsonMessage, frozen=True):
    """Says that every chunk was sent, and how long they are together."""

    size_bytes: _Size = msgspec.field(name="size")


@dataclass(frozen=True, slots=True)
class ChunkRange:
    """Where a chunk lies in its archive: the bytes `start` to `end_exclusive`."""

    start: int
    end_exclusive: int

    def __str__(self) -> str:
        return f"bytes {self.start}-{self.end_exclusive - 1}/*"

    @classmethod
    def parse(cls, content_range: str | None) -> Self:
        """Read a `Content-Range` header such as `bytes 0-33554431/*`; both its ends are included.

        Raises:
            InvalidRange: there is no header, or it does not describe at least one byte.
        """
        found = _CONTENT_RANGE.fullmatch((content_range or "").strip())
        if found is None:
            raise InvalidRange("a chunk needs a `Content-Range` such as `bytes 0-99/*`")
        first, last = int(found[1]), int(found[2])
        total = int(found[3]) if found[3] else _MAX_INT64
        if not first <= last < total:
            raise InvalidRange(f"`{found[0]}` is not a range of bytes")
        return cls(start=first, end_exclusive=last + 1)


def found_body(entry: Entry, *, archive_location: str) -> bytes:
    """Return the answer to a hit; clients without a `cacheKey` in it would report a miss."""
    return msgspec.json.encode({**_described(entry), "archiveLocation": archive_location})


def list_body(entries: Iterable[Entry]) -> bytes:
    """Return the entries that share a key prefix, which clients only print when they debug."""
    caches = [_described(entry) for entry in entries]
    return msgspec.json.encode({"totalCount": len(caches), "artifactCaches": caches})


def reserved_body(cache_id: int) -> bytes:
    """Return the answer to a reservation; clients take a `cache_id` of 0 for a failure."""
    return msgspec.json.encode({"cacheId": cache_id})


def error_body(message: str, *, type_key: str | None = None) -> bytes:
    """Return the body of an error, whose `message` clients show."""
    error = {"message": message}
    if type_key is not None:
        error["typeKey"] = type_key
    # ASCII, since a message may quote text that UTF-8 cannot hold.
    return json.dumps(error, separators=(",", ":")).encode()


def conflict_body(*, scope: str, key: str, version: str) -> bytes:
    """Return the body of a 409, in the hosted service's words."""
    message = f"Cache already exists. Scope: {scope}, Key: {key}, Version: {version}"
    return error_body(message, type_key=ALREADY_EXISTS)


def _described(entry: Entry) -> dict[str, str]:
    return {
        "scope": entry.scope,
        "cacheKey": entry.key,
        "cacheVersion": entry.version,
        "creationTime": _timestamp(entry.created_at),
    }


def _timestamp(milliseconds: int) -> str:
    """Return a time since 1970 in the form `2023-10-03T18:44:12.270Z`."""
    moment = _EPOCH + timedelta(milliseconds=milliseconds)
    return moment.replace(tzinfo=None).isoformat(timespec="milliseconds") + "Z"
