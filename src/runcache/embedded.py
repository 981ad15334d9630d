"""The cache without a server: its catalog, store and service, in this process.

The service is asynchronous: an event loop in one thread runs it, whatever thread calls. Any number
of processes may use one folder at once, a server among them.
"""

import asyncio
import os
import uuid
from collections.abc import AsyncGenerator, AsyncIterator, Coroutine, Iterable, Sequence
from contextlib import AsyncExitStack, suppress
from datetime import timedelta
from pathlib import Path
from threading import Thread
from types import TracebackType
from typing import Any, Final, Self, TypeVar

from runcache.access import repository_name, scopes_for
from runcache.catalog.sqlite import open_catalog
from runcache.client.job import Identity
from runcache.client.transports import (
    ArchiveUpload,
    Auto,
    Base,
    Committed,
    FoundEntry,
    SnapshotUpload,
)
from runcache.config import Settings, load
from runcache.errors import CacheError, UploadGone
from runcache.maintenance import Maintenance
from runcache.model import Contents, EntryBlob, Grant, Hit, PackName, Span
from runcache.service import CacheService, Piece, UploadLimits, now_ms
from runcache.store.local import LocalStore
from runcache.wire.native import ARCHIVE, MANIFEST

T = TypeVar("T")

_MILLISECOND: Final = timedelta(milliseconds=1)
_BOOT_ID: Final = Path("/proc/sys/kernel/random/boot_id")
# Beside the catalog: when the limits were last applied by whoever has no background of its own.
_SWEPT: Final = "swept"


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
        )
        self._loop = _Loop()
        try:
            self._cache = self._loop.run(_Cache.opened(self._settings))
        except BaseException:
            self._loop.close()
            raise

    @property
    def place(self) -> str:
        """See `Transport.place`."""
        return str(self._settings.catalog)

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
        self, key: str, version: str, bases: Auto | Sequence[int]
    ) -> SnapshotUpload:
        """See `Transport.reserve_snapshot`."""
        upload, held = self._loop.run(
            self._cache.service.snapshots.reserve(self._grant, key, version, bases)
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

    def reserve_archive(self, key: str, version: str) -> ArchiveUpload:
        """See `Transport.reserve_archive`."""
        upload = self._loop.run(self._cache.service.reserve(self._grant, key, version))
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

    def _blobs(self, found: Hit | Contents) -> tuple["EmbeddedBlob", ...]:
        first = MANIFEST if found.entry.is_snapshot else ARCHIVE
        return tuple(
            EmbeddedBlob(self._loop, self._cache, blob, str(blob.pack or first))
            for blob in found.blobs
        )


class EmbeddedBlob:
    """A blob in the store (`client.transports.RemoteBlob` is the contract)."""

    def __init__(self, loop: "_Loop", cache: "_Cache", blob: EntryBlob, name: str) -> None:
        self._loop = loop
        self._cache = cache
        self._blob = blob
        self.name = name
        self.size_bytes = blob.size_bytes

    def read(self, start: int, end: int) -> "EmbeddedReader":
        """See `RemoteBlob.read`."""
        return EmbeddedReader(self._loop, self._cache.pieces(self._blob.name, Span(start, end)))

    def stream(self) -> "EmbeddedReader":
        """See `RemoteBlob.stream`."""
        return self.read(0, self.size_bytes)


class EmbeddedReader:
    """The bytes of pieces of files (`client.transports.Reader` is the contract)."""

    def __init__(self, loop: "_Loop", pieces: AsyncGenerator[Piece, None]) -> None:
        self._loop = loop
        self._pieces = pieces
        self._piece: Piece | None = None
        self._done_bytes = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def readinto(self, buffer: memoryview, /) -> int:
        """See `Reader.readinto`."""
        if self._piece is None or self._done_bytes == self._piece.count:
            self._piece = self._loop.run(_next(self._pieces))
            self._done_bytes = 0
            if self._piece is None:
                return 0
        wanted = buffer[: self._piece.count - self._done_bytes]
        offset = self._piece.offset + self._done_bytes
        count = os.preadv(self._piece.file.fileno(), [wanted], offset)
        self._done_bytes += count
        return count

    def close(self) -> None:
        """See `Reader.close`."""
        self._loop.run(_closed(self._pieces))


class _ArchiveUpload:
    """A key that is reserved (`client.transports.ArchiveUpload` is the contract)."""

    def __init__(self, loop: "_Loop", cache: "_Cache", grant: Grant, upload_id: int) -> None:
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


class _Cache:
    """Catalog, store and what works on them, to be used in one event loop."""

    def __init__(self, settings: Settings, stack: AsyncExitStack) -> None:
        self._settings = settings
        self._stack = stack
        self.service: CacheService
        self.maintenance: Maintenance
        self.has_grown = False

    @classmethod
    async def opened(cls, settings: Settings) -> Self:
        async with AsyncExitStack() as stack:
            cache = cls(settings, stack)
            store = LocalStore(settings.store)
            stack.callback(store.close)
            catalog = await stack.enter_async_context(open_catalog(settings.catalog))
            cache.maintenance = Maintenance(catalog, store, settings.limits(), now=now_ms)
            await cache.maintenance.claim_store()
            cache.service = CacheService(
                catalog,
                store,
                UploadLimits(
                    upload_ttl=settings.upload_ttl,
                    entry_limit_bytes=settings.entry_limit,
                    min_free_bytes=settings.min_free,
                ),
            )
            boot_id = await asyncio.to_thread(_boot_id)
            if boot_id is not None and await cache.maintenance.recover(boot_id):
                await cache.maintenance.settle()
            cache._stack = stack.pop_all()
            return cache

    async def close(self) -> None:
        await self._stack.aclose()

    async def record_accesses(self) -> None:
        await self.service.record_accesses(link_ms=self._settings.link_ttl // _MILLISECOND)

    async def pieces(self, name: str, span: Span) -> AsyncGenerator[Piece, None]:
        blob = await self.service.blob(name)
        async for piece in self.service.read(blob, span):
            yield piece

    async def tidy(self, repository: str) -> None:
        """Do what a server does in the background: settle what is new, and keep the limits."""
        await self.record_accesses()
        if not self.has_grown:
            return
        await self.maintenance.settle()
        is_due = await asyncio.to_thread(self._is_sweep_due)
        if is_due or await self.maintenance.is_over_limit([repository]):
            await self.maintenance.sweep()

    def _is_sweep_due(self) -> bool:
        """Say whether the limits were last applied so long ago, and note that they are now."""
        mark = self._settings.catalog.with_name(_SWEPT)
        with suppress(OSError):
            age_seconds = now_ms() / 1000 - mark.stat().st_mtime
            if age_seconds < self._settings.sweep_every.total_seconds():
                return False
        mark.touch(mode=0o600)
        return True


class _Loop:
    """An event loop in a thread of its own."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = Thread(target=self._loop.run_forever, name="runcache-embedded", daemon=True)
        self._thread.start()

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Return what `work` returns, which any thread may ask for."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()

    def close(self) -> None:
        """End what still runs, and the thread."""
        asyncio.run_coroutine_threadsafe(_end_others(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


async def _end_others() -> None:
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)
    await asyncio.get_running_loop().shutdown_asyncgens()
    await asyncio.get_running_loop().shutdown_default_executor()


async def _once(body: memoryview) -> AsyncIterator[memoryview]:
    yield body


async def _next(pieces: AsyncGenerator[Piece, None]) -> Piece | None:
    return await anext(pieces, None)


async def _closed(pieces: AsyncGenerator[Piece, None]) -> None:
    await pieces.aclose()


def _boot_id() -> str | None:
    """Return what is another text after each start of the machine, `None` where nothing tells."""
    try:
        return _BOOT_ID.read_text("ascii").strip()
    except OSError:
        return None
