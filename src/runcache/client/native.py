"""The native protocol: snapshots, and lookups of archives as well."""

from collections.abc import Iterable, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Final, NoReturn, TypeVar

import msgspec

from runcache.client.ranges import LinkedBlob, Links
from runcache.client.transfer import Message, Requests
from runcache.client.transports import Auto, Base, Committed, FoundEntry, SnapshotUpload
from runcache.errors import (
    BlobMissing,
    EntryExists,
    MalformedMessage,
    NotAuthenticated,
    NotPermitted,
    PackGone,
    ProtocolAbsent,
    Refused,
    StoreFull,
    UnexpectedAnswer,
    UploadGone,
)
from runcache.model import Inputs
from runcache.wire import native as wire
from runcache.wire.native import ErrorCode

if TYPE_CHECKING:
    from runcache.client.direct import DirectUploads

M = TypeVar("M", bound=msgspec.Struct)

_ABSENT: Final = frozenset({404, 405, 501})


class NativeServer:
    """What a job can do with the entries that a server of ours keeps.

    `origin` has no final slash. What begins something, a lookup or an upload, raises
    `ProtocolAbsent` if the server does not speak this protocol.
    """

    def __init__(self, requests: Requests, origin: str, token: str) -> None:
        self._requests = requests
        self._origin = origin
        self._headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}

    def find(
        self, key: str, restore_keys: Iterable[str], versions: Iterable[str]
    ) -> FoundEntry | None:
        """Return the entry that a restore would use; `versions` are in order of preference."""
        found = self._find(wire.Find(key, tuple(versions), tuple(restore_keys)))
        if found is None:
            return None
        return FoundEntry(
            key=found.key,
            version=found.version,
            kind=found.kind,
            scope=found.scope,
            entry_id=found.entry_id,
            size_bytes=found.size_bytes,
            blobs=self._blobs(found.entry_id, found.blobs),
        )

    def peek(self, key: str, version: str) -> int | None:
        """See `Transport.peek`."""
        found = self._find(wire.Find(key, (version,), peek=True))
        return None if found is None else found.entry_id

    def reserve_snapshot(
        self,
        key: str,
        version: str,
        bases: Auto | Sequence[int],
        inputs: Inputs | None = None,
    ) -> SnapshotUpload:
        """See `Transport.reserve_snapshot`."""
        shared = bases if isinstance(bases, str) else tuple(bases)
        body = wire.Reserve(key, version, shared, inputs).encode()
        if len(body) > wire.MAX_BODY_BYTES:
            # Thousands of paths: no save shall fail for what nothing depends on.
            body = wire.Reserve(key, version, shared).encode()
        answer = self._sent("POST", wire.UPLOADS_PATH, body)
        if answer.status in _ABSENT and _error_in(answer) is None:
            raise ProtocolAbsent(answer.server)
        _require_success(answer, key=key)
        reserved = _decoded(wire.Reserved, answer)
        return SnapshotUpload(
            reserved.upload_id,
            tuple(Base(b.entry_id, self._blobs(b.entry_id, b.blobs)) for b in reserved.bases),
            is_direct=reserved.direct is True,
        )

    def put_pack(
        self, upload: SnapshotUpload, number: int, body: memoryview, *, blake3: bytes, sha256: bytes
    ) -> None:
        """See `Transport.put_pack`."""
        path = wire.PACK_PATH.format(upload_id=upload.id, number=number)
        self._put(upload, path, body, wire.Digests(blake3, sha256))

    def put_manifest(
        self, upload: SnapshotUpload, body: memoryview, *, blake3: bytes, sha256: bytes
    ) -> None:
        """See `Transport.put_manifest`."""
        path = wire.MANIFEST_PATH.format(upload_id=upload.id)
        self._put(upload, path, body, wire.Digests(blake3, sha256))

    def commit(self, upload: SnapshotUpload, packs: Sequence[str]) -> Committed:
        """See `Transport.commit`."""
        path = wire.COMMIT_PATH.format(upload_id=upload.id)
        answer = self._sent("POST", path, wire.Commit(tuple(packs)).encode())
        _require_success(answer)
        committed = _decoded(wire.Committed, answer)
        return Committed(committed.entry_id, committed.size_bytes)

    def abandon(self, upload: SnapshotUpload) -> None:
        """See `Transport.abandon`."""
        answer = self._sent("DELETE", wire.UPLOAD_PATH.format(upload_id=upload.id))
        if answer.status != 404:  # noqa: PLR2004  -- what is gone needs no abandoning
            _require_success(answer)

    def report_damage(self, entry_id: int, reason: str) -> None:
        """See `Transport.report_damage`."""
        path = wire.DAMAGE_PATH.format(entry_id=entry_id)
        report = wire.ReportDamage(reason[: wire.MAX_REASON_LENGTH])
        _require_success(self._sent("POST", path, report.encode()))

    @cached_property
    def _direct(self) -> "DirectUploads":
        from runcache.client.direct import DirectUploads  # noqa: PLC0415  -- few servers have it

        return DirectUploads(self._requests, self._origin, self._headers)

    def _find(self, wanted: wire.Find) -> wire.Found | None:
        answer = self._sent("POST", wire.FIND_PATH, wanted.encode())
        # A miss is 200, so that any 404 tells of a server without this path.
        if answer.status in _ABSENT or (not answer.is_success and _error_in(answer) is None):
            raise ProtocolAbsent(answer.server)
        _require_success(answer)
        is_hit = _decoded(wire.Missed, answer).hit
        return _decoded(wire.Found, answer) if is_hit else None

    def _blobs(self, entry_id: int, blobs: Iterable[wire.BlobLink]) -> tuple[LinkedBlob, ...]:
        named = tuple(blobs)
        links = Links(
            {b.name: b.url for b in named},
            lambda: self._new_links(entry_id),
            leads={b.name: b.direct_url for b in named if b.direct_url},
        )
        return tuple(
            LinkedBlob(self._requests, links, b.name, size_bytes=b.size_bytes) for b in named
        )

    def _new_links(self, entry_id: int) -> dict[str, str]:
        answer = self._sent("POST", wire.LINKS_PATH.format(entry_id=entry_id))
        if answer.status == 404:  # noqa: PLR2004  -- the entry was evicted
            raise BlobMissing(str(entry_id))
        _require_success(answer)
        return {blob.name: blob.url for blob in _decoded(wire.Links, answer).blobs}

    def _put(
        self, upload: SnapshotUpload, path: str, body: memoryview, digests: wire.Digests
    ) -> None:
        if upload.is_direct and self._direct.put(upload.id, path, body, sha256=digests.sha256):
            return
        headers = {**self._headers, **digests.headers, "Content-Type": "application/octet-stream"}
        url = f"{self._origin}{path}"
        _require_success(self._requests.send("PUT", url, headers, body))

    def _sent(self, method: str, path: str, body: bytes | None = None) -> Message:
        return self._requests.send(method, f"{self._origin}{path}", self._headers, body)


def _decoded(kind: type[M], answer: Message) -> M:
    try:
        return msgspec.json.decode(answer.body, type=kind)
    except (ValueError, RecursionError) as exc:  # msgspec's own errors are ValueErrors
        raise UnexpectedAnswer(answer.server, f"answers with no `{kind.__name__}`") from exc


def _require_success(answer: Message, *, key: str = "") -> None:
    if not answer.is_success:
        _refuse(answer, key)


def _error_in(answer: Message) -> wire.Error | None:
    try:
        return wire.Error.decode(answer.body) if answer.is_json else None
    except MalformedMessage:
        return None


def _refuse(answer: Message, key: str) -> NoReturn:
    """Raise what a refusal means."""
    error = _error_in(answer)
    if error is None:
        raise UnexpectedAnswer(answer.server, f"answers {answer.status}: {answer.text}")
    match error.code:
        case ErrorCode.ALREADY_EXISTS:
            raise EntryExists(key, scope="")
        case ErrorCode.PACK_GONE:
            raise PackGone
        case ErrorCode.NOT_FOUND:
            raise UploadGone
        case ErrorCode.STORE_FULL:
            raise StoreFull
        case ErrorCode.UNAUTHENTICATED:
            raise NotAuthenticated(error.message)
        case ErrorCode.PERMISSION_DENIED:
            raise NotPermitted(error.message)
    refused = Refused(error.message)
    refused.hint = error.hint
    raise refused
