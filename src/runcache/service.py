"""What the cache does, whichever protocol asks for it."""

import re
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Container, Iterable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import BinaryIO, Final

from runcache import matching
from runcache.catalog.catalog import Catalog
from runcache.catalog.entries import Access, Answer
from runcache.catalog.uploads import NewPart
from runcache.errors import (
    BlobMissing,
    CacheError,
    CatalogUnavailable,
    Draining,
    InvalidRange,
    SizeMismatch,
    StoreFull,
    StoreUnavailable,
    UploadGone,
    UploadTooLarge,
)
from runcache.model import ApiToken, Blob, Entry, Grant, Hit, Key, Span, Upload, Usage, Version
from runcache.store import layout
from runcache.store.blobs import BlobStore, KernelBytes

# How long a blob that was found whole is taken for whole without another look.
CHECKED_FOR_SECONDS: Final = 10
_MILLISECOND: Final = timedelta(milliseconds=1)
_CHECKED_AT_MOST: Final = 10_000
_ACTIVE_AT_MOST: Final = 10_000
_LOOK_AT_SPACE_EVERY_BYTES: Final = 64 * 1024**2
_RANGE_ID: Final = re.compile(r"([0-9]+)-([0-9]+)", re.ASCII)


# The body of an upload, as it comes.
Body = AsyncIterator[bytes | KernelBytes]


def now_ms() -> int:
    """Return the time in milliseconds since 1970 (UTC)."""
    return time.time_ns() // 1_000_000


class Observer:
    """Hears of what the service does. Nothing here may block or raise."""

    def found(self, hit: Hit) -> None:
        """Hear of a lookup that found an entry."""

    def missed(self, repository: str) -> None:
        """Hear of a lookup that found nothing."""

    def saved(self, entry: Entry) -> None:
        """Hear of an entry that was committed."""

    def damaged(self, blob: str) -> None:
        """Hear of an entry that is no longer whole and was dropped."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UploadLimits:
    """What an upload may take: time, bytes (or any number), and what must be left on the disk."""

    upload_ttl: timedelta = timedelta(hours=24)
    entry_limit_bytes: int | None = None
    min_free_bytes: int = 512 * 1024**2


@dataclass(frozen=True, slots=True)
class Piece:
    """`count` bytes of an open file, from `offset`."""

    file: BinaryIO
    offset: int
    count: int


class CacheService:
    """Finds, reserves, receives, commits and reads entries, within what a grant allows.

    All methods may raise `StoreUnavailable` and `CatalogUnavailable`.
    """

    def __init__(
        self,
        catalog: Catalog,
        store: BlobStore,
        limits: UploadLimits,
        *,
        observers: Iterable[Observer] = (),
        now: Callable[[], int] = now_ms,
    ) -> None:
        self._catalog = catalog
        self._store = store
        self._limits = limits
        self._observers = tuple(observers)
        self._now = now
        self._is_draining = False
        self._whole: set[str] = set()
        self._whole_since = 0.0
        self._accesses: dict[int, Access] = {}
        self._reading: dict[str, int] = {}
        self._active_uploads: dict[str, float] = {}

    async def find(
        self, grant: Grant, key: str, restore_keys: Iterable[str], version: str
    ) -> Hit | None:
        """Return the entry that a restore would use, or `None` when there is none.

        Raises:
            InvalidKey, InvalidVersion, TooManyKeys: they are not what they must be.
            ReadDenied: the grant has no readable scope.
        """
        keys = matching.keys_of(key, restore_keys)
        wanted = Version(version)
        steps = matching.walk(grant.readable_scopes, keys)
        while True:
            found = await self._catalog.entries.find(
                grant.repository, wanted.text, steps, whole=self._lately_whole()
            )
            if found is None:
                for observer in self._observers:
                    observer.missed(grant.repository)
                return None
            if await self._is_whole(found):
                break
            await self._drop_damaged(found.blob)
        self._accesses[found.entry.id] = Access(found.entry.id, found.blob, self._now())
        hit = Hit(found.entry, found.blob, matching.answered_step(steps, found.entry).kind)
        for observer in self._observers:
            observer.found(hit)
        return hit

    async def newest(self, grant: Grant, prefix: str, *, limit: int) -> list[Entry]:
        """Return the newest readable entries, of any version, whose key begins with `prefix`."""
        scopes = grant.readable_scopes
        return await self._catalog.entries.newest(grant.repository, scopes, prefix, limit=limit)

    async def usage(self, repository: str) -> Usage:
        """Return how much a repository keeps."""
        return await self._catalog.repositories.usage(repository.lower())

    async def api_token(self, digest: str) -> ApiToken | None:
        """Return the API token with this digest, be it expired or revoked."""
        return await self._catalog.tokens.find(digest)

    async def reserve(self, grant: Grant, key: str, version: str) -> Upload:
        """Reserve a key in the scope that the grant may write.

        The same job may reserve again after a lost reply, and another one if it was silent for 5
        minutes: that voids the older upload.

        Raises:
            InvalidKey, InvalidVersion: they are not what they must be.
            WriteDenied: the grant has no writable scope.
            EntryExists: the key is saved already, or another job is about to save it.
            Draining, StoreFull: no uploads are taken now.
        """
        wanted, of_version, scope = Key(key), Version(version), grant.writable_scope
        if self._is_draining:
            raise Draining
        await self._require_space(0)
        now = self._now()
        upload = await self._catalog.uploads.reserve(
            grant.repository,
            scope,
            wanted.text,
            of_version.text,
            job=grant.job,
            blob=layout.new_blob_name(),
            now_ms=now,
            expires_at=now + self._limits.upload_ttl // _MILLISECOND,
        )
        self._note_active(upload.blob)
        return upload

    async def upload_of(self, grant: Grant, upload_id: int) -> Upload:
        """Return an upload of the same job, by its id.

        Raises:
            UploadGone: there is none, or it is not this job's.
        """
        upload = await self._catalog.uploads.get(upload_id, now_ms=self._now())
        if (upload.repository, upload.scope, upload.job) != (
            grant.repository,
            grant.writable_scope,
            grant.job,
        ):
            raise UploadGone
        return upload

    async def write_whole(self, blob: str, body: Body, *, announced_bytes: int | None) -> None:
        """Receive a blob in one piece; it replaces what was received before.

        Raises:
            UploadGone: the upload was committed, voided or has expired.
            UploadTooLarge: it exceeds `entry_limit`.
            StoreFull: there is no room for it; the upload is void then, and its key free.
        """
        async with self._received(blob, body, announced_bytes, block_id="") as part:
            replaced = await self._catalog.uploads.set_whole(
                blob, part, limit_bytes=self._limits.entry_limit_bytes, now_ms=self._now()
            )
        await self._store.delete_parts(blob, replaced)

    async def write_block(
        self, blob: str, block_id: str, body: Body, *, announced_bytes: int | None
    ) -> None:
        """Receive a block; one with the same id replaces it.

        Raises:
            UploadGone: the upload was committed, voided or has expired.
            InvalidBlockList: the upload has too many blocks.
            UploadTooLarge: its blocks exceed `entry_limit`.
            StoreFull: there is no room for it; the upload is void then, and its key free.
        """
        async with self._received(blob, body, announced_bytes, block_id=block_id) as part:
            replaced = await self._catalog.uploads.add_block(
                blob, part, limit_bytes=self._limits.entry_limit_bytes, now_ms=self._now()
            )
        if replaced is not None:
            await self._store.delete_parts(blob, [replaced])

    async def write_range(self, upload: Upload, span: Span, body: Body) -> None:
        """Receive the bytes of `span` of an upload; the same span again replaces them.

        Raises:
            SizeMismatch: the body has another size.
            Others: as `write_block`.
        """
        await self.write_block(upload.blob, _range_id(span), body, announced_bytes=span.size_bytes)

    async def order_blocks(self, blob: str, block_ids: Sequence[str]) -> None:
        """Make the blob these blocks in this order; others that were received are dropped.

        Raises:
            UploadGone: the upload was committed, voided or has expired.
            InvalidBlockList: a block was never received.
        """
        unlisted = await self._catalog.uploads.order_blocks(blob, block_ids, now_ms=self._now())
        await self._store.delete_parts(blob, unlisted)

    async def commit(self, grant: Grant, key: str, version: str, size_bytes: int) -> Entry:
        """Turn an upload into an entry; doing so again returns the same entry.

        Raises:
            UploadGone: this job has no such upload.
            SizeMismatch: another number of bytes was received.
            UploadTooLarge: it exceeds `entry_limit`.
            EntryExists: another job was first.
        """
        wanted, of_version, scope = Key(key), Version(version), grant.writable_scope
        upload = await self._catalog.uploads.of_key(
            grant.repository, scope, wanted.text, of_version.text, now_ms=self._now()
        )
        if upload is not None and upload.job == grant.job:
            # A finalize that is repeated before the first one was answered finds it gone here.
            with suppress(UploadGone):
                return await self._commit(upload, size_bytes)
        entry = await self._catalog.entries.saved_as(
            grant.repository, scope, wanted.text, of_version.text
        )
        return _same_size(entry, size_bytes)

    async def commit_ranges(self, grant: Grant, upload_id: int, size_bytes: int) -> Entry:
        """Turn an upload that came in ranges into an entry; doing so again returns the same entry.

        Raises:
            InvalidRange: the ranges leave a gap or overlap.
            Others: as `commit`.
        """
        with suppress(UploadGone):
            upload = await self.upload_of(grant, upload_id)
            ranges = _chained(await self._catalog.uploads.block_ids(upload.blob), size_bytes)
            await self.order_blocks(upload.blob, ranges)
            return await self._commit(upload, size_bytes)
        found = await self._catalog.entries.get(upload_id)
        entry = found.entry if found else None
        if entry and (entry.repository, entry.scope) != (grant.repository, grant.writable_scope):
            entry = None
        return _same_size(entry, size_bytes)

    async def blob(self, name: str) -> Blob:
        """Return a committed blob.

        Raises:
            BlobMissing: there is none.
        """
        blob = await self._catalog.blobs.get(name)
        if blob is None:
            raise BlobMissing(name)
        return blob

    async def read(self, blob: Blob, span: Span) -> AsyncGenerator[Piece, None]:
        """Yield the bytes of `span` as pieces of files, each open until the next one is asked for.

        Raises:
            BlobMissing: bytes are missing; the entry is dropped then.
        """
        self._reading[blob.name] = self._reading.get(blob.name, 0) + 1
        try:
            async for parts in self._catalog.blobs.parts(blob.name, span):
                for part in parts:
                    offset = max(span.start - part.start, 0)
                    count = min(span.end - part.start, part.size_bytes) - offset
                    if not count:  # an empty block, of which nothing can be sent
                        continue
                    async with self._store.open(blob.name, part) as file:
                        yield Piece(file, offset, count)
        except BlobMissing:
            await self._drop_damaged(blob.name)
            raise
        finally:
            self._reading[blob.name] -= 1
            if not self._reading[blob.name]:
                del self._reading[blob.name]

    async def readiness(self) -> dict[str, str | None]:
        """Say why `catalog`, `store` and `uploads` do not work, or `None` where they do."""
        reasons: dict[str, str | None] = {"catalog": None, "store": None, "uploads": None}
        try:
            await self._catalog.repositories.total_bytes()
        except CatalogUnavailable as exc:
            reasons["catalog"] = str(exc)
        try:
            await self._require_space(0)
        except (StoreFull, StoreUnavailable) as exc:
            reasons["store"] = str(exc)
        if self._is_draining:
            reasons["uploads"] = str(Draining())
        return reasons

    def drain(self) -> None:
        """Take no new uploads from now on."""
        self._is_draining = True

    def uploads_in_flight(self, *, within_seconds: float) -> list[str]:
        """Name the blobs of uploads that this process heard of within the last `within_seconds`."""
        oldest = time.monotonic() - within_seconds
        return [blob for blob, at in self._active_uploads.items() if at >= oldest]

    def blobs_being_read(self) -> list[str]:
        """Return the names of the blobs that are being downloaded from this process."""
        return list(self._reading)

    async def record_accesses(self, *, link_ms: int) -> None:
        """Write down what was looked up since the last call, and keep its bytes for the links."""
        accesses, self._accesses = self._accesses, {}
        if not accesses:
            return
        try:
            await self._catalog.entries.touch(list(accesses.values()), link_ms=link_ms)
        except CatalogUnavailable:
            self._accesses = accesses | self._accesses
            raise

    @asynccontextmanager
    async def _received(
        self,
        blob: str,
        body: Body,
        announced_bytes: int | None,
        *,
        block_id: str,
    ) -> AsyncIterator[NewPart]:
        """Store a body; the block makes it a part of the upload, or refuses it."""
        limit_bytes = self._limits.entry_limit_bytes
        if limit_bytes is not None and (announced_bytes or 0) > limit_bytes:
            raise UploadTooLarge(limit_bytes)
        upload = await self._catalog.uploads.of_blob(blob, now_ms=self._now())
        name = layout.new_part_name()
        try:
            await self._require_space(announced_bytes or 0)
            async with self._store.receive(blob, name) as part:
                looked_at_bytes = 0
                async for data in body:
                    self._note_active(blob)
                    await part.write(data)
                    if limit_bytes is not None and part.size_bytes > limit_bytes:
                        raise UploadTooLarge(limit_bytes)
                    if announced_bytes is not None and part.size_bytes > announced_bytes:
                        break
                    if part.size_bytes - looked_at_bytes >= _LOOK_AT_SPACE_EVERY_BYTES:
                        # Others fill the disk too, and not every body says how long it is.
                        looked_at_bytes = part.size_bytes
                        await self._require_space(0)
                if announced_bytes is not None and part.size_bytes != announced_bytes:
                    raise SizeMismatch(
                        announced_bytes=announced_bytes, received_bytes=part.size_bytes
                    )
                # From here on a row decides: a request that is cut off now leaves a block or
                # debris.
                part.hand_over()
                try:
                    yield NewPart(block_id, name, part.size_bytes)
                except CacheError:
                    await self._store.delete_parts(blob, [name])
                    raise
        except StoreFull:
            # The job has lost this upload anyhow: another one shall not have to wait for its end.
            await self._catalog.uploads.void(upload, now_ms=self._now())
            self._active_uploads.pop(blob, None)
            raise

    async def _commit(self, upload: Upload, size_bytes: int) -> Entry:
        limit_bytes = self._limits.entry_limit_bytes
        if limit_bytes is not None and size_bytes > limit_bytes:
            raise UploadTooLarge(limit_bytes)
        entry = await self._catalog.uploads.commit(
            upload, size_bytes=size_bytes, now_ms=self._now()
        )
        self._active_uploads.pop(upload.blob, None)
        for observer in self._observers:
            observer.saved(entry)
        return entry

    def _note_active(self, blob: str) -> None:
        self._active_uploads.pop(blob, None)
        self._active_uploads[blob] = time.monotonic()
        if len(self._active_uploads) > _ACTIVE_AT_MOST:
            # The one that was heard of longest ago, since each goes to the end when it is.
            del self._active_uploads[next(iter(self._active_uploads))]

    async def _require_space(self, announced_bytes: int) -> None:
        free_bytes = await self._store.free_bytes()
        if free_bytes - announced_bytes < self._limits.min_free_bytes:
            raise StoreFull

    def _lately_whole(self) -> Container[str]:
        now = time.monotonic()
        is_old = now - self._whole_since > CHECKED_FOR_SECONDS
        if is_old or len(self._whole) >= _CHECKED_AT_MOST:
            # A lookup that runs may still ask the old set, which therefore stays as it is.
            self._whole, self._whole_since = set(), now
        return self._whole

    async def _is_whole(self, answer: Answer) -> bool:
        if answer.blob in self._whole:
            return True
        try:
            if not await self._store.has_all(answer.blob, answer.parts):
                return False
            end = answer.parts[-1].start + answer.parts[-1].size_bytes if answer.parts else 0
            rest = Span(end, answer.blob_bytes)
            async for parts in self._catalog.blobs.parts(answer.blob, rest):
                if not await self._store.has_all(answer.blob, parts):
                    return False
        except BlobMissing:
            return False
        self._whole.add(answer.blob)
        return True

    async def _drop_damaged(self, blob: str) -> None:
        self._whole.discard(blob)
        holders = await self._catalog.blobs.holders(blob)
        if holders:
            await self._catalog.entries.forget(holders, now_ms=self._now(), link_ms=0)
            for observer in self._observers:
                observer.damaged(blob)


def _same_size(entry: Entry | None, size_bytes: int) -> Entry:
    """Return the entry of a finalize that is repeated, if it can have been this one."""
    if entry is None:
        raise UploadGone
    if entry.size_bytes != size_bytes:
        raise SizeMismatch(announced_bytes=size_bytes, received_bytes=entry.size_bytes)
    return entry


def _range_id(span: Span) -> str:
    return f"{span.start}-{span.end}"


def _span_of(range_id: str) -> Span:
    found = _RANGE_ID.fullmatch(range_id)
    if found is None:
        # Blocks that came over another protocol.
        message = "the upload does not consist of ranges"
        raise InvalidRange(message)
    return Span(int(found[1]), int(found[2]))


def _chained(range_ids: Iterable[str], size_bytes: int) -> list[str]:
    """Return the ids of ranges in the order in which they fill `size_bytes` from the start."""
    spans = sorted(map(_span_of, range_ids), key=lambda span: (span.start, span.end))
    position = 0
    for span in spans:
        if span.start != position:
            what = "overlap" if span.start < position else "leave a gap"
            message = f"the uploaded ranges {what} at byte {min(span.start, position)}"
            raise InvalidRange(message)
        position = span.end
    if position != size_bytes:
        raise SizeMismatch(announced_bytes=size_bytes, received_bytes=position)
    return [_range_id(span) for span in spans]
