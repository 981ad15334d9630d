"""Copying a cache into the folder of a backup, while it is in use."""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field

from msgspec.structs import replace

from runcache import __version__
from runcache.catalog.catalog import Catalog
from runcache.catalog.exported import ExportedBlob, ExportedEntry, Record
from runcache.errors import BlobMissing
from runcache.maintenance.backup_folder import BackupFolder, mark_of
from runcache.maintenance.backup_list import FORMAT, Header, ListDraft
from runcache.maintenance.drafts import Draft
from runcache.maintenance.reading import buffers
from runcache.maintenance.several import several
from runcache.model import Span
from runcache.progress import Progress
from runcache.store.blobs import BlobStore


@dataclass(slots=True)
class BackupReport:
    """What a backup holds, and what of that is new.

    `damaged` names entries that are not in it, since their bytes are missing or wrong.
    """

    entry_count: int = 0
    size_bytes: int = 0
    copied_blob_count: int = 0
    copied_bytes: int = 0
    removed_blob_count: int = 0
    damaged: list[str] = field(default_factory=list)


class BackingUp:
    """Copies each blob of each entry, and then lists the entry: it is whole in the backup."""

    def __init__(
        self,
        catalog: Catalog,
        store: BlobStore,
        folder: BackupFolder,
        *,
        progress: Progress,
        now: Callable[[], int],
    ) -> None:
        self._catalog = catalog
        self._store = store
        self._folder = folder
        self._progress = progress
        self._now = now
        self._mark = 0
        self._report = BackupReport()

    async def run(self, signing_key: str | None = None) -> BackupReport:
        """Make the folder the backup of now, with the secret of the server if it is given.

        Raises:
            InvalidBackup: the folder holds something else than backups of this catalog.
            FileUnwritable: it cannot be written, or another backup is writing to it.
        """
        catalog_id = await self._catalog.identity()
        lock = self._folder.locked(catalog_id)
        await asyncio.to_thread(lock.__enter__)
        try:
            return await self._run(catalog_id, signing_key)
        finally:
            await asyncio.to_thread(lock.__exit__, None, None, None)

    async def _run(self, catalog_id: str, signing_key: str | None) -> BackupReport:
        started_at = self._now()
        self._mark = mark_of(started_at)
        self._progress.phase("copying")
        draft = await asyncio.to_thread(self._folder.list_draft)
        try:
            header = Header(
                format=FORMAT, catalog=catalog_id, created_at=started_at, runcache=__version__
            )
            await asyncio.to_thread(draft.add, header)
            async for entries in self._catalog.exports.entries():
                await self._add(draft, entries)
            async for records in self._catalog.exports.records():
                await asyncio.to_thread(_add_all, draft, records)
            await asyncio.to_thread(self._folder.publish, draft)
        finally:
            await asyncio.to_thread(draft.file.drop)
        await asyncio.to_thread(self._folder.write_key, signing_key)
        self._report.removed_blob_count = await asyncio.to_thread(
            self._folder.remove_unmarked, self._mark
        )
        return self._report

    async def _add(self, draft: ListDraft, entries: Sequence[ExportedEntry]) -> None:
        """Copy what is not there yet of these entries, then list those that are whole."""
        blobs = {blob.name: blob for entry in entries for blob in entry.blobs}
        copies = dict(zip(blobs, await several(self._copy, blobs.values()), strict=True))
        for entry in entries:
            digests = [copies[blob.name] for blob in entry.blobs]
            if None not in digests:
                copied = zip(entry.blobs, digests, strict=True)
                whole = tuple(replace(blob, sha256=digest) for blob, digest in copied)
                await asyncio.to_thread(draft.add, replace(entry, blobs=whole))
                self._report.entry_count += 1
                self._report.size_bytes += entry.size_bytes
            # What was forgotten in between has lost its bytes rightly.
            elif await self._catalog.exports.has_entry(entry.id):
                self._report.damaged.append(f"{entry.repository} {entry.scope} {entry.key}")

    async def _copy(self, blob: ExportedBlob) -> str | None:
        """Return the digest of a blob whose bytes are in the backup, `None` if they cannot be."""
        known = blob.sha256
        if known is not None and await asyncio.to_thread(
            self._folder.mark, known, blob.size_bytes, self._mark
        ):
            return known
        draft = await asyncio.to_thread(self._folder.draft)
        try:
            await self._fill(draft, blob)
            if draft.size_bytes != blob.size_bytes or known not in {None, draft.digest}:
                return None
            # It is there if it was saved twice, or before the server had taken its digest.
            if not await asyncio.to_thread(
                self._folder.mark, draft.digest, draft.size_bytes, self._mark
            ):
                await asyncio.to_thread(self._folder.keep, draft, self._mark)
                self._report.copied_blob_count += 1
                self._report.copied_bytes += blob.size_bytes
        except BlobMissing:
            return None
        finally:
            await asyncio.to_thread(draft.drop)
        self._progress.advance(files=1)
        return draft.digest

    async def _fill(self, draft: Draft, blob: ExportedBlob) -> None:
        async for parts in self._catalog.blobs.parts(blob.name, Span(0, blob.size_bytes)):
            for part in parts:
                async with aclosing(buffers(self._store, blob.name, part)) as pieces:
                    async for data in pieces:
                        await asyncio.to_thread(draft.write, data)
                        self._progress.advance(size_bytes=len(data))


def _add_all(draft: ListDraft, records: Sequence[Record]) -> None:
    for record in records:
        draft.add(record)
