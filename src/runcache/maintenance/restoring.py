"""Filling an empty cache from the folder of a backup."""

import asyncio
from collections.abc import AsyncIterator, Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Final

from runcache.catalog.catalog import Catalog
from runcache.catalog.exported import ExportedBlob, ExportedEntry
from runcache.errors import InvalidSettings
from runcache.maintenance.backup_folder import BackupFolder
from runcache.maintenance.backup_list import BackupList, End, Header, Line
from runcache.maintenance.several import several
from runcache.progress import Progress
from runcache.store import layout
from runcache.store.blobs import BlobStore

# Lines and blobs; an entry may have 4 097 of these.
_AT_ONCE: Final = 1000
_READ_AT_MOST: Final = 100_000


@dataclass(slots=True)
class RestoreReport:
    """What came back, or would; `damaged` names entries of which bytes are missing or wrong."""

    entry_count: int = 0
    size_bytes: int = 0
    damaged: list[str] = field(default_factory=list)

    def take_whole(
        self, entries: Iterable[ExportedEntry], whole: Collection[str]
    ) -> list[ExportedEntry]:
        """Return the entries whose blobs are all among `whole`; note them, and the others."""
        taken = []
        for entry in entries:
            if all(blob.name in whole for blob in entry.blobs):
                self.entry_count += 1
                self.size_bytes += entry.size_bytes
                taken.append(entry)
            else:
                self.damaged.append(f"{entry.repository} {entry.scope} {entry.key}")
        return taken


class Restoring:
    """Brings back entry by entry: first the bytes of its blobs, verified, then the entry."""

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
        self._report = RestoreReport()

    async def run(self) -> RestoreReport:
        """Fill catalog and store. What was interrupted goes on with the same backup.

        Raises:
            InvalidBackup, BackupDamaged: there is no backup, or its list is not what was written.
                Nothing was changed.
            InvalidSettings: the catalog is not empty, or the store is another's.
        """
        end = await asyncio.to_thread(self._folder.list.verify)
        await self._begin(end.sha256)
        self._progress.phase("restoring")
        async for batch in _batches(self._folder.list):
            entries = _entries_of(batch)
            missing = await self._catalog.imports.missing_entries(entries)
            there = [entry for entry in entries if entry not in missing]
            self._report.take_whole(there, {blob.name for entry in there for blob in entry.blobs})
            for repository in sorted({entry.repository for entry in missing}):
                theirs = [entry for entry in missing if entry.repository == repository]
                await self._bring_back(repository, theirs)
            await self._catalog.imports.add_records(
                [line for line in batch if not isinstance(line, Header | ExportedEntry | End)]
            )
        await self._catalog.imports.finish(now_ms=self._now())
        return self._report

    async def _begin(self, source: str) -> None:
        if not await self._catalog.imports.may_begin(source):
            raise InvalidSettings(
                "the catalog is not empty", hint="restore into a new `--data`, or an empty database"
            )
        if not await self._store.claim(await self._catalog.identity()):
            raise InvalidSettings(
                "the store belongs to another catalog",
                hint="name an empty folder or bucket as `store`",
            )
        await self._catalog.imports.begin(source)

    async def _bring_back(self, repository: str, entries: Sequence[ExportedEntry]) -> None:
        named = {blob.name: blob for entry in entries for blob in entry.blobs}
        empty = await self._catalog.imports.reserve(repository, list(named.values()))
        there = named.keys() - {blob.name for blob in empty}
        received = await several(self._receive, empty)
        parts = {blob.name: part for blob, part in zip(empty, received, strict=True) if part}
        await self._catalog.imports.fill(parts, empty, now_ms=self._now())
        whole = there | parts.keys()
        await self._catalog.imports.add_entries(self._report.take_whole(entries, whole))

    async def _receive(self, blob: ExportedBlob) -> str | None:
        """Bring the bytes of a blob back, and name their part; `None` if they are wrong."""
        part_name = layout.new_part_name()
        # What a run before this one had begun.
        await self._store.delete(blob.name)
        async with self._store.receive(blob.name, part_name) as part:
            hasher = sha256()
            async for data in _bytes_of(self._folder, blob):
                await asyncio.to_thread(hasher.update, data)
                await part.write(data)
                self._progress.advance(size_bytes=len(data))
            if hasher.hexdigest() != blob.sha256 or part.size_bytes != blob.size_bytes:
                return None
            await part.hand_over()
        await self._store.sync(blob.name)
        self._progress.advance(files=1)
        return part_name


class Verifying:
    """Reads all of a backup, and changes nothing."""

    def __init__(self, folder: BackupFolder, *, progress: Progress) -> None:
        self._folder = folder
        self._progress = progress

    async def run(self) -> RestoreReport:
        """Return what `Restoring` would bring back.

        Raises:
            InvalidBackup, BackupDamaged: as `Restoring.run`.
        """
        await asyncio.to_thread(self._folder.list.verify)
        self._progress.phase("verifying")
        report = RestoreReport()
        read: dict[str, bool] = {}
        async for batch in _batches(self._folder.list):
            entries = _entries_of(batch)
            if len(read) > _READ_AT_MOST:
                read.clear()
            unread = {
                blob.name: blob
                for entry in entries
                for blob in entry.blobs
                if blob.name not in read
            }
            found = await several(self._is_whole, unread.values())
            read.update(zip(unread, found, strict=True))
            report.take_whole(entries, {name for name, is_whole in read.items() if is_whole})
        return report

    async def _is_whole(self, blob: ExportedBlob) -> bool:
        hasher = sha256()
        async for data in _bytes_of(self._folder, blob):
            await asyncio.to_thread(hasher.update, data)
            self._progress.advance(size_bytes=len(data))
        self._progress.advance(files=1)
        return hasher.hexdigest() == blob.sha256


async def _batches(lines: BackupList) -> AsyncIterator[list[Line]]:
    rest = iter(lines)
    while batch := await asyncio.to_thread(_next_batch, rest):
        yield batch


def _next_batch(rest: Iterator[Line]) -> list[Line]:
    batch: list[Line] = []
    weight = 0
    while weight < _AT_ONCE and (line := next(rest, None)) is not None:
        batch.append(line)
        weight += 1 + (len(line.blobs) if isinstance(line, ExportedEntry) else 0)
    return batch


def _entries_of(lines: Iterable[Line]) -> list[ExportedEntry]:
    return [line for line in lines if isinstance(line, ExportedEntry)]


async def _bytes_of(folder: BackupFolder, blob: ExportedBlob) -> AsyncIterator[bytes]:
    pieces = folder.read_blob(blob.sha256 or "")
    while data := await asyncio.to_thread(next, pieces, b""):
        yield data
