"""How the bytes of uploads are received: within the limits, and into parts of the store."""

import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from blake3 import blake3

from runcache.catalog.catalog import Catalog
from runcache.catalog.parts import NewPart
from runcache.catalog.reserving import NewUpload
from runcache.errors import (
    CacheError,
    DigestMismatch,
    Draining,
    SizeMismatch,
    StoreFull,
    UploadTooLarge,
)
from runcache.model import Grant, Inputs, Key, Upload, Version
from runcache.store import layout
from runcache.store.blobs import BlobStore, IncomingPart, KernelBytes

_MILLISECOND: Final = timedelta(milliseconds=1)
_ACTIVE_AT_MOST: Final = 10_000
_LOOK_AT_SPACE_EVERY_BYTES: Final = 64 * 1024**2

# The body of an upload, as it comes.
Body = AsyncIterator[bytes | memoryview | KernelBytes]


def now_ms() -> int:
    """Return the time in milliseconds since 1970 (UTC)."""
    return time.time_ns() // 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class UploadLimits:
    """What an upload may take: time, bytes (or any number), and what must be left on the disk."""

    upload_ttl: timedelta = timedelta(hours=24)
    entry_limit_bytes: int | None = None
    min_free_bytes: int = 512 * 1024**2


class Receiver:
    """Receives bodies, and knows which uploads are going on in this process."""

    def __init__(
        self,
        catalog: Catalog,
        store: BlobStore,
        limits: UploadLimits,
        now: Callable[[], int],
    ) -> None:
        self.limits = limits
        self._catalog = catalog
        self._store = store
        self._now = now
        self._is_draining = False
        self._is_leaving = False
        self._active: dict[str, float] = {}

    @property
    def is_leaving(self) -> bool:
        """Whether no new uploads are taken, or none will be soon."""
        return self._is_leaving

    def leave(self) -> None:
        """Say from now on that no uploads will be taken soon."""
        self._is_leaving = True

    def drain(self) -> None:
        """Take no new uploads from now on."""
        self._is_leaving = self._is_draining = True

    async def begin(
        self,
        grant: Grant,
        key: str,
        version: str,
        *,
        is_snapshot: bool = False,
        inputs: Inputs | None = None,
    ) -> NewUpload:
        """Return what is to be reserved for a job, if new uploads are taken.

        Raises:
            InvalidKey, InvalidVersion: they are not what they must be.
            WriteDenied: the grant has no writable scope.
            Draining, StoreFull: no uploads are taken now.
        """
        wanted, of_version, scope = Key(key), Version(version), grant.writable_scope
        if self._is_draining:
            raise Draining
        await self.require_space(0)
        now = self._now()
        return NewUpload(
            repository=grant.repository,
            scope=scope,
            key=wanted.text,
            version=of_version.text,
            job=grant.job,
            blob=layout.new_blob_name(),
            created_at=now,
            expires_at=now + self.limits.upload_ttl // _MILLISECOND,
            is_snapshot=is_snapshot,
            event=grant.event,
            run=grant.run,
            inputs=inputs or Inputs(),
        )

    async def require_space(self, announced_bytes: int) -> None:
        """Make sure that so many bytes fit.

        Raises:
            StoreFull: they do not.
        """
        free_bytes = await self._store.free_bytes()
        if free_bytes is None:
            return
        if free_bytes - announced_bytes < self.limits.min_free_bytes:
            raise StoreFull

    def require_size(self, size_bytes: int) -> None:
        """Make sure that an entry may have so many bytes.

        Raises:
            UploadTooLarge: it may not.
        """
        limit_bytes = self.limits.entry_limit_bytes
        if limit_bytes is not None and size_bytes > limit_bytes:
            raise UploadTooLarge(limit_bytes)

    def note_active(self, upload: Upload) -> None:
        """Note that the job of an upload was heard of now."""
        self._active.pop(upload.blob, None)
        self._active[upload.blob] = time.monotonic()
        if len(self._active) > _ACTIVE_AT_MOST:
            # The one that was heard of longest ago, since each goes to the end when it is.
            del self._active[next(iter(self._active))]

    def note_ended(self, upload: Upload) -> None:
        """Note that an upload goes on no longer."""
        self._active.pop(upload.blob, None)

    def uploads_in_flight(self, *, within_seconds: float) -> list[str]:
        """Name the own blobs of uploads that were heard of within the last `within_seconds`."""
        oldest = time.monotonic() - within_seconds
        return [blob for blob, at in self._active.items() if at >= oldest]

    @asynccontextmanager
    async def received(
        self,
        upload: Upload,
        blob: str,
        body: Body,
        announced_bytes: int | None,
        *,
        block_id: str = "",
        expected_blake3: bytes | None = None,
    ) -> AsyncIterator[NewPart]:
        """Store a body; the block makes it a part of one of the upload's blobs, or refuses it.

        Raises:
            SizeMismatch, DigestMismatch: it is not what was announced.
            UploadTooLarge: it exceeds `entry_limit`.
            StoreFull: there is no room for it; the upload is void then, and its key free.
        """
        self.require_size(announced_bytes or 0)
        name = layout.new_part_name()
        hasher = None if expected_blake3 is None else blake3()
        try:
            await self.require_space(announced_bytes or 0)
            async with self._store.receive(blob, name, hasher=hasher) as part:
                await self._write(upload, part, body, announced_bytes)
                if hasher is not None and hasher.digest() != expected_blake3:
                    raise DigestMismatch
                # From here on a row decides: a request that is cut off now leaves a block or
                # debris.
                await part.hand_over()
                try:
                    yield NewPart(block_id, name, part.size_bytes)
                except CacheError:
                    await self._store.delete_parts(blob, [name])
                    raise
        except StoreFull:
            # The job has lost this upload anyhow: another one shall not have to wait for its end.
            await self._catalog.uploads.void(upload, now_ms=self._now())
            self.note_ended(upload)
            raise

    async def _write(
        self, upload: Upload, part: IncomingPart, body: Body, announced_bytes: int | None
    ) -> None:
        looked_at_bytes = 0
        async for data in body:
            self.note_active(upload)
            await part.write(data)
            self.require_size(part.size_bytes)
            if announced_bytes is not None and part.size_bytes > announced_bytes:
                break
            if part.size_bytes - looked_at_bytes >= _LOOK_AT_SPACE_EVERY_BYTES:
                # Others fill the disk too, and not every body says how long it is.
                looked_at_bytes = part.size_bytes
                await self.require_space(0)
        if announced_bytes is not None and part.size_bytes != announced_bytes:
            raise SizeMismatch(announced_bytes=announced_bytes, received_bytes=part.size_bytes)
