"""Protocol v1, as GitHub Enterprise Server, Gitea and act know it: archives only (protocol §3)."""

from collections.abc import Iterable
from typing import TypeVar

from runcache.client.transfer import Message, Requests
from runcache.client.transports import Committed, FoundArchive
from runcache.errors import (
    EntryExists,
    MalformedMessage,
    NotAuthenticated,
    NotPermitted,
    ProtocolAbsent,
    Refused,
    StoreFull,
    UnexpectedAnswer,
)
from runcache.wire import artifactcache as wire

M = TypeVar("M", wire.Reserved, wire.FoundArchive)


class ArtifactCacheServer:
    """What a job can do with archives over protocol v1.

    `base` has no final slash. It may have a path, in which some servers keep a secret.
    """

    def __init__(self, requests: Requests, base: str, token: str) -> None:
        self._requests = requests
        self._base = base
        self._headers = {
            "Accept": "application/json;api-version=6.0-preview.1",
            "Authorization": f"Bearer {token}",
        }

    def find(self, key: str, restore_keys: Iterable[str], version: str) -> FoundArchive | None:
        """Return the archive that a restore would use."""
        query = wire.Lookup((key, *restore_keys), version).encode()
        answer = self._requests.send(
            "GET", f"{self._base}{wire.LOOKUP_PATH}?{query}", self._headers
        )
        if answer.status == 204:  # noqa: PLR2004  -- a miss
            return None
        _require_success(answer)
        found = _decoded(wire.FoundArchive, answer)
        return FoundArchive(found.key, found.location, found.scope)

    def reserve(self, key: str, version: str) -> "ArtifactCacheUpload":
        """See `Transport.reserve_archive`."""
        answer = self._sent("POST", "", wire.Reserve(key, version).encode(), key=key)
        return ArtifactCacheUpload(self, _decoded(wire.Reserved, answer).cache_id)

    def write_chunk(self, cache_id: int, chunk: wire.ChunkRange, body: memoryview) -> None:
        """Send a range of an archive."""
        headers = {"Content-Type": "application/octet-stream", "Content-Range": str(chunk)}
        self._sent("PATCH", f"/{cache_id}", body, headers=headers)

    def commit(self, cache_id: int, size_bytes: int) -> Committed:
        """Make what was uploaded an entry."""
        self._sent("POST", f"/{cache_id}", wire.Commit(size_bytes).encode())
        return Committed(cache_id, size_bytes)

    def _sent(
        self,
        method: str,
        path: str,
        body: bytes | memoryview,
        *,
        key: str = "",
        headers: dict[str, str] | None = None,
    ) -> Message:
        url = f"{self._base}{wire.CACHES_PATH}{path}"
        all_headers = {"Content-Type": "application/json", **self._headers, **(headers or {})}
        answer = self._requests.send(method, url, all_headers, body)
        _require_success(answer, key=key)
        return answer


class ArtifactCacheUpload:
    """A key that is reserved for an archive (`transports.ArchiveUpload` is the contract)."""

    def __init__(self, server: ArtifactCacheServer, cache_id: int) -> None:
        self._server = server
        self._cache_id = cache_id

    def put(self, number: int, offset: int, block: memoryview) -> None:  # noqa: ARG002  -- v2 needs it
        """See `ArchiveUpload.put`."""
        chunk = wire.ChunkRange(offset, offset + block.nbytes)
        self._server.write_chunk(self._cache_id, chunk, block)

    def commit(self, size_bytes: int, block_count: int) -> Committed:  # noqa: ARG002  -- as above
        """See `ArchiveUpload.commit`."""
        return self._server.commit(self._cache_id, size_bytes)


def _decoded(kind: type[M], answer: Message) -> M:
    try:
        return kind.decode(answer.body)
    except MalformedMessage as exc:
        raise UnexpectedAnswer(answer.server, "answers with something else") from exc


def _require_success(answer: Message, *, key: str = "") -> None:
    if 200 <= answer.status < 300:  # noqa: PLR2004  -- the statuses of success
        return
    message = answer.text
    match answer.status:
        case 401:
            raise NotAuthenticated(message)
        case 403:
            raise NotPermitted(message)
        case 404 | 405 | 501:
            raise ProtocolAbsent(answer.server)
        case 409:
            raise EntryExists(key, scope="")
        case 507:
            raise StoreFull
    raise Refused(f"`{answer.server}` answers {answer.status}: {message}")
