"""Reclaiming bytes that nothing refers to."""

from collections.abc import Callable
from dataclasses import dataclass

from runcache.catalog.catalog import Catalog
from runcache.catalog.entries import BATCH
from runcache.maintenance.debris import Debris
from runcache.store.blobs import BlobStore


@dataclass(slots=True)
class PruneReport:
    """What was, or would be, removed from the store."""

    blob_count: int = 0
    size_bytes: int = 0
    expired_upload_count: int = 0
    orphan_count: int = 0


class Pruning:
    """Deletes what expired uploads, forgotten entries and killed writers have left."""

    def __init__(
        self, catalog: Catalog, store: BlobStore, debris: Debris, *, now: Callable[[], int]
    ) -> None:
        self._catalog = catalog
        self._store = store
        self._debris = debris
        self._now = now

    async def prune(self, *, dry_run: bool = False) -> PruneReport:
        """Void expired uploads, and delete the bytes that nothing refers to."""
        report = PruneReport()
        await self._void_expired(report, dry_run=dry_run)
        await self.delete_doomed(report, dry_run=dry_run)
        await self._delete_orphans(report, dry_run=dry_run)
        if not dry_run:
            await self._tidy_uploads()
        return report

    async def delete_doomed(self, report: PruneReport, *, dry_run: bool = False) -> None:
        """Delete doomed blobs that no link, transfer or upload keeps any more."""
        last_id = 0
        while doomed := await self._catalog.blobs.doomed(
            now_ms=self._now(), after_id=last_id, limit=BATCH
        ):
            last_id = doomed[-1].id
            for blob in doomed:
                if not dry_run:
                    await self._store.delete(blob.name)
                report.blob_count += 1
                report.size_bytes += blob.size_bytes
            if not dry_run:
                await self._catalog.blobs.remove([blob.id for blob in doomed])

    async def _void_expired(self, report: PruneReport, *, dry_run: bool) -> None:
        last_id = 0
        while uploads := await self._catalog.uploads.expired(now_ms=self._now(), after_id=last_id):
            last_id = uploads[-1].id
            report.expired_upload_count += len(uploads)
            if not dry_run:
                for upload in uploads:
                    await self._catalog.uploads.void(upload, now_ms=self._now())

    async def _delete_orphans(self, report: PruneReport, *, dry_run: bool) -> None:
        async for orphan in self._debris.orphans():
            report.orphan_count += 1
            if not dry_run:
                await self._store.delete(orphan)

    async def _tidy_uploads(self) -> None:
        last_id = 0
        while blobs := await self._catalog.blobs.in_the_making(after_id=last_id, limit=BATCH):
            last_id = blobs[-1][0]
            for _, name in blobs:
                await self._debris.delete(name, is_committed=False)
        await self._store.tidy()
