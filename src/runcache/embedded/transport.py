"""Saves and restores in a data folder."""

import uuid
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import suppress

from runcache.access import repository_name, scopes_for
from runcache.client.job import Identity
from runcache.client.transports import (
    ArchiveUpload,
    Auto,
    Base,
    Committed,
    FoundEntry,
    SnapshotUpload,
)
from runcache.config import load
from runcache.embedded.blobs import EmbeddedBlob
from runcache.embedded.cache import Cache
from runcache.embedded.loop import Loop
from runcache.errors import CacheError, UploadGone
from runcache.model import Contents, Grant, Hit, Inputs, PackName, Span
from runcache.wire.native import ARCHIVE, MANIFEST


class EmbeddedTransport:
    """The entries in a data folder (`client.transports.Transport` is the contract).

    `data` names the folder; without it the settings say where it is. They are the server's, and so
    are the limits. Whoever can read the folder needs no token: `identity` says who they are.

    Raises:
        InvalidSettings, InvalidRef, InvalidRepository: they contradict themselves or are none.
        CatalogUnavailable: the catalog cannot be opened.
    """

    def __init__(self, data: str | None, identity: Identity) -> None:
        self._settings = load({"data": data}).settings
        self._grant = Grant(
            repository_name(identity.repository),
            scopes_for(
                ref=identity.ref,
                base_ref=identity.base_ref,
                default_branch=identity.default_branch,
                event=identity.event,
            ),
            job=str(uuid.uuid4()),
            event=identity.event,
            run=identity.run,
        )
        self._loop = Loop()
        try:
            self._cache = self._loop.run(Cache.opened(self._settings))
        except BaseException:
            self._loop.close()
            raise

    @property
    def place(self) -> str:
        """See `Transport.place`."""
        return self._settings.catalog.shown

    @property
    def scope(self) -> str | None:
        """See `Transport.scope`."""
        return self._grant.writable_scope

    def find(
        self,
        key: str,
        restore_keys: Iterable[str],
        *,
        snapshot: str,
        archives: Sequence[str],
    ) -> FoundEntry | None:
        """See `Transport.find`."""
        found = self._found(key, restore_keys, (snapshot, *archives))
        if found is None:
            return None
        # Before the first byte is read: another process might be about to evict the entry.
        self._loop.run(self._cache.record_accesses())
        entry = found.entry
        return FoundEntry(
            key=entry.key,
            version=entry.version,
            kind=found.kind,
            scope=entry.scope,
            entry_id=entry.id,
            size_bytes=entry.size_bytes,
            blobs=self._blobs(found),
        )

    def peek(self, key: str, version: str) -> int | None:
        """See `Transport.peek`."""
        found = self._found(key, (), (version,), peek=True)
        return None if found is None else found.entry.id

    def reserve_snapshot(
        self,
        key: str,
        version: str,
        bases: Auto | Sequence[int],
        inputs: Inputs | None = None,
    ) -> SnapshotUpload:
        """See `Transport.reserve_snapshot`."""
        upload, held = self._loop.run(
            self._cache.service.snapshots.reserve(self._grant, key, version, bases, inputs)
        )
        return SnapshotUpload(
            upload.id, tuple(Base(base.entry.id, self._blobs(base)) for base in held)
        )

    def put_pack(
        self, upload: SnapshotUpload, number: int, body: memoryview, *, blake3: bytes, sha256: bytes
    ) -> None:
        """See `Transport.put_pack`."""
        self._loop.run(
            self._cache.service.snapshots.write_pack(
                self._grant,
                PackName(upload.id, number),
                _once(body),
                announced_bytes=body.nbytes,
                blake3=blake3,
                sha256=sha256,
            )
        )

    def put_manifest(
        self, upload: SnapshotUpload, body: memoryview, *, blake3: bytes, sha256: bytes
    ) -> None:
        """See `Transport.put_manifest`."""
        self._loop.run(
            self._cache.service.snapshots.write_manifest(
                self._grant,
                upload.id,
                _once(body),
                announced_bytes=body.nbytes,
                blake3=blake3,
                sha256=sha256,
            )
        )

    def commit(self, upload: SnapshotUpload, packs: Sequence[str]) -> Committed:
        """See `Transport.commit`."""
        names = [PackName.parse(pack) for pack in packs]
        entry = self._loop.run(self._cache.service.snapshots.commit(self._grant, upload.id, names))
        self._cache.has_grown = True
        return Committed(entry.id, entry.size_bytes)

    def abandon(self, upload: SnapshotUpload) -> None:
        """See `Transport.abandon`."""
        with suppress(UploadGone):
            self._loop.run(self._cache.service.snapshots.abandon(self._grant, upload.id))

    def reserve_archive(
        self, key: str, version: str, inputs: Inputs | None = None
    ) -> ArchiveUpload:
        """See `Transport.reserve_archive`."""
        upload = self._loop.run(self._cache.service.reserve(self._grant, key, version, inputs))
        return _ArchiveUpload(self._loop, self._cache, self._grant, upload.id)

    def report_damage(self, entry: FoundEntry, reason: str) -> None:  # noqa: ARG002  -- nobody else hears it
        """See `Transport.report_damage`: the entry is verified at once, and dropped if need be."""
        if entry.entry_id is not None:
            self._loop.run(self._cache.maintenance.verify(entry.entry_id))

    def close(self) -> None:
        """See `Transport.close`. What grew beyond the limits is swept before."""
        try:
            with suppress(CacheError):
                self._loop.run(self._cache.tidy(self._grant.repository))
            self._loop.run(self._cache.close())
        finally:
            self._loop.close()

    def _found(
        self, key: str, restore_keys: Iterable[str], versions: Sequence[str], *, peek: bool = False
    ) -> Hit | None:
        return self._loop.run(
            self._cache.service.find_blobs(self._grant, key, restore_keys, versions, peek=peek)
        )

    def _blobs(self, found: Hit | Contents) -> tuple[EmbeddedBlob, ...]:
        first = MANIFEST if found.entry.is_snapshot else ARCHIVE
        # What was not looked up is a base.
        is_restore = isinstance(found, Hit)
        return tuple(
            EmbeddedBlob(
                self._loop, self._cache, blob, str(blob.pack or first), is_restore=is_restore
            )
            for blob in found.blobs
        )


class _ArchiveUpload:
    """A key that is reserved (`client.transports.ArchiveUpload` is the contract)."""

    def __init__(self, loop: Loop, cache: Cache, grant: Grant, upload_id: int) -> None:
        self._loop = loop
        self._cache = cache
        self._grant = grant
        self._id = upload_id

    def put(self, number: int, offset: int, block: memoryview) -> None:  # noqa: ARG002  -- v2 needs it
        self._loop.run(self._write(Span(offset, offset + block.nbytes), block))

    def commit(self, size_bytes: int, block_count: int) -> Committed:  # noqa: ARG002  -- as above
        entry = self._loop.run(self._cache.service.commit_ranges(self._grant, self._id, size_bytes))
        self._cache.has_grown = True
        return Committed(entry.id, entry.size_bytes)

    async def _write(self, span: Span, block: memoryview) -> None:
        upload = await self._cache.service.upload_of(self._grant, self._id)
        await self._cache.service.write_range(upload, span, _once(block))


async def _once(body: memoryview) -> AsyncIterator[memoryview]:
    yield body
