"""The service that every protocol calls: lookups, archives, and reading."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterable, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

from runcache.catalog.catalog import Catalog
from runcache.errors import (
    BlobMissing,
    CatalogUnavailable,
    Draining,
    EntryMissing,
    SizeMismatch,
    StoreFull,
    StoreUnavailable,
    UploadGone,
)
from runcache.model import (
    ApiToken,
    Blob,
    Contents,
    Entry,
    Grant,
    Hit,
    Inputs,
    Key,
    Part,
    Span,
    Upload,
    Usage,
    Version,
)
from runcache.service.accesses import Accesses
from runcache.service.downloads import Downloads
from runcache.service.lookups import Lookups
from runcache.service.observer import Observer
from runcache.service.ranges import chained, range_id
from runcache.service.receiving import Body, Receiver, UploadLimits, now_ms
from runcache.service.snapshots import Snapshots
from runcache.service.wholeness import Wholeness
from runcache.store import layout
from runcache.store.blobs import BlobReader, BlobStore, Piece
from runcache.store.direct import DirectStore

if TYPE_CHECKING:
    from runcache.service.direct import DirectTransfers


class CacheService:
    """Finds, reserves, receives, commits and reads entries, within what a grant allows.

    All methods may raise `StoreUnavailable` and `CatalogUnavailable`. With `lookup_seconds` a
    lookup is a miss instead, also when it takes longer than that.

    Attributes:
        snapshots: what only snapshots need; here are archives and what both have in common.
        direct: bytes that do not pass this server, `None` if all of them do.
    """

    def __init__(
        self,
        catalog: Catalog,
        store: BlobStore,
        limits: UploadLimits,
        *,
        observers: Iterable[Observer] = (),
        now: Callable[[], int] = now_ms,
        direct: DirectStore | None = None,
        lookup_seconds: float | None = None,
        reader: BlobReader | None = None,
    ) -> None:
        self._catalog = catalog
        self._store = store
        self._observers = tuple(observers)
        self._now = now
        self._wholeness = Wholeness(catalog, store, self._observers, now)
        self._accesses = Accesses(catalog, now)
        self._lookups = Lookups(
            catalog, self._wholeness, self._accesses, self._observers, lookup_seconds
        )
        self._downloads = Downloads(catalog, reader or store, self._wholeness, self._observers)
        self._receiver = Receiver(catalog, store, limits, now)
        self.snapshots = Snapshots(
            catalog,
            store,
            self._receiver,
            self._wholeness,
            self._accesses,
            self._observers,
            now,
        )
        self.direct = None if direct is None else self._past_here(direct)

    async def find(
        self, grant: Grant, key: str, restore_keys: Iterable[str], version: str
    ) -> Hit | None:
        """Return the entry that a restore would use, or `None` when there is none.

        The hit has its first blob alone.

        Raises:
            InvalidKey, InvalidVersion, TooManyKeys: they are not what they must be.
            ReadDenied: the grant has no readable scope.
        """
        return await self._lookups.find(grant, key, restore_keys, [version])

    async def find_blobs(
        self,
        grant: Grant,
        key: str,
        restore_keys: Iterable[str],
        versions: Sequence[str],
        *,
        peek: bool = False,
    ) -> Hit | None:
        """Return the entry that a restore would use with all of its blobs.

        Each step of the lookup prefers `versions` in this order. With `peek` nothing is touched: it
        is no access, nobody hears of it, and the blobs are not kept for links.

        Raises:
            Others: as `find`.
        """
        return await self._lookups.find(
            grant, key, restore_keys, versions, every_blob=True, peek=peek
        )

    async def renew(self, grant: Grant, entry_id: int) -> Contents:
        """Return an entry with its blobs for new links to them, which is an access.

        Raises:
            EntryMissing: there is no such entry, or the grant may not read it.
            ReadDenied: the grant has no readable scope.
        """
        contents = await self._readable(grant, entry_id)
        self._accesses.note(entry_id, contents.blobs)
        return contents

    async def report_damage(self, grant: Grant, entry_id: int, reason: str) -> None:
        """Pass on that a client found an entry to be damaged. Nobody takes its word for it.

        Raises:
            EntryMissing, ReadDenied: as `renew`.
        """
        contents = await self._readable(grant, entry_id)
        for observer in self._observers:
            observer.damage_reported(contents.entry, reason)

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

    async def reserve(
        self, grant: Grant, key: str, version: str, inputs: Inputs | None = None
    ) -> Upload:
        """Reserve a key in the scope that the grant may write; `inputs` are for the records.

        The same job may reserve again after a lost reply, and another one if it was silent for 5
        minutes: that voids the older upload.

        Raises:
            InvalidKey, InvalidVersion: they are not what they must be.
            WriteDenied: the grant has no writable scope.
            EntryExists: the key is saved already, or another job is about to save it.
            Draining, StoreFull: no uploads are taken now.
        """
        new = await self._receiver.begin(grant, key, version, inputs=inputs)
        upload = await self._catalog.uploads.reserve(new)
        self._receiver.note_active(upload)
        return upload

    async def upload_of(self, grant: Grant, upload_id: int) -> Upload:
        """Return an upload of the same job that becomes an archive, by its id.

        Raises:
            UploadGone: there is none, or it is not this job's.
        """
        upload = await self._catalog.uploads.get(upload_id, now_ms=self._now())
        if upload.is_snapshot or not upload.belongs_to(grant):
            raise UploadGone
        return upload

    async def write_whole(self, blob: str, body: Body, *, announced_bytes: int | None) -> None:
        """Receive a blob in one piece; it replaces what was received before.

        Raises:
            UploadGone: the upload was committed, voided or has expired.
            UploadTooLarge: it exceeds `entry_limit`.
            StoreFull: there is no room for it; the upload is void then, and its key free.
        """
        upload = await self._catalog.uploads.of_blob(blob, now_ms=self._now())
        limit_bytes = self._receiver.limits.entry_limit_bytes
        async with self._receiver.received(upload, blob, body, announced_bytes) as part:
            replaced = await self._catalog.uploads.set_whole(
                blob, part, limit_bytes=limit_bytes, now_ms=self._now()
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
        upload = await self._catalog.uploads.of_blob(blob, now_ms=self._now())
        limit_bytes = self._receiver.limits.entry_limit_bytes
        async with self._receiver.received(
            upload, blob, body, announced_bytes, block_id=block_id
        ) as part:
            replaced = await self._catalog.uploads.add_block(
                blob, part, limit_bytes=limit_bytes, now_ms=self._now()
            )
        if replaced is not None:
            await self._store.delete_parts(blob, [replaced])

    async def write_range(self, upload: Upload, span: Span, body: Body) -> None:
        """Receive the bytes of `span` of an upload; the same span again replaces them.

        Raises:
            SizeMismatch: the body has another size.
            Others: as `write_block`.
        """
        await self.write_block(upload.blob, range_id(span), body, announced_bytes=span.size_bytes)

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
        if upload is not None and upload.job == grant.job and not upload.is_snapshot:
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
            ranges = chained(await self._catalog.uploads.block_ids(upload.blob), size_bytes)
            await self.order_blocks(upload.blob, ranges)
            return await self._commit(upload, size_bytes)
        entry = await self._catalog.entries.get(upload_id)
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

    def read(
        self, blob: Blob, span: Span, *, is_restore: bool = True
    ) -> AsyncGenerator[Piece, None]:
        """Yield the bytes of `span` as the store has them, each until the next one is asked for.

        `is_restore` is false for what is read to save something else.

        Raises:
            BlobMissing: bytes are missing; the entry is dropped then.
        """
        return self._downloads.read(blob, span, is_restore=is_restore)

    async def readiness(self) -> dict[str, str | None]:
        """Say why `catalog`, `store` and `uploads` do not work, or `None` where they do."""
        catalog, store = await asyncio.gather(self._catalog_trouble(), self._store_trouble())
        reasons = {"catalog": catalog, "store": store, "uploads": None}
        if self._receiver.is_leaving:
            reasons["uploads"] = str(Draining())
        return reasons

    @property
    def is_leaving(self) -> bool:
        """Whether this process is about to stop."""
        return self._receiver.is_leaving

    def leave(self) -> None:
        """Say from now on that this process is about to stop, and do everything as before."""
        self._receiver.leave()

    def drain(self) -> None:
        """Take no new uploads from now on."""
        self._receiver.drain()

    def uploads_in_flight(self, *, within_seconds: float) -> list[str]:
        """Name the own blobs of uploads that were heard of within the last `within_seconds`."""
        return self._receiver.uploads_in_flight(within_seconds=within_seconds)

    def blobs_being_read(self) -> list[str]:
        """Return the names of the blobs that are being downloaded from this process."""
        return self._downloads.names()

    async def record_accesses(self, *, link_ms: int) -> None:
        """Write down what was looked up since the last call, and keep its bytes for the links."""
        await self._accesses.record(link_ms=link_ms)

    async def _catalog_trouble(self) -> str | None:
        try:
            await self._catalog.repositories.total_bytes()
        except CatalogUnavailable as exc:
            return str(exc)
        return None

    async def _store_trouble(self) -> str | None:
        # Of what cannot be there, to hear that it is not.
        absent = Part(layout.new_part_name(), 0, 1)
        try:
            await self._store.first_incomplete({layout.new_blob_name(): [absent]})
            await self._receiver.require_space(0)
        except (StoreFull, StoreUnavailable) as exc:
            return str(exc)
        return None

    def _past_here(self, direct: DirectStore) -> "DirectTransfers":
        from runcache.service.direct import DirectTransfers  # noqa: PLC0415  -- S3 alone has them

        return DirectTransfers(
            self._catalog,
            direct,
            self._receiver,
            self.snapshots,
            self._observers,
            self._now,
        )

    async def _readable(self, grant: Grant, entry_id: int) -> Contents:
        contents = await self._catalog.entries.contents(entry_id)
        if (
            contents is None
            or contents.entry.repository != grant.repository
            or contents.entry.scope not in grant.readable_scopes
        ):
            raise EntryMissing
        return contents

    async def _commit(self, upload: Upload, size_bytes: int) -> Entry:
        self._receiver.require_size(size_bytes)
        entry = await self._catalog.uploads.commit(
            upload, size_bytes=size_bytes, now_ms=self._now()
        )
        self._receiver.note_ended(upload)
        for observer in self._observers:
            observer.saved(entry)
        return entry


def _same_size(entry: Entry | None, size_bytes: int) -> Entry:
    """Return the entry of a finalize that is repeated, if it can have been this one."""
    if entry is None:
        raise UploadGone
    if entry.size_bytes != size_bytes:
        raise SizeMismatch(announced_bytes=size_bytes, received_bytes=entry.size_bytes)
    return entry
