"""Copying everything from one store to another, while servers use the first."""

import json
from collections.abc import Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Final

from runcache.catalog.blobs import StoredBlob
from runcache.catalog.catalog import Catalog
from runcache.errors import BlobMissing, InvalidSettings
from runcache.maintenance.reading import buffers
from runcache.maintenance.several import several
from runcache.model import Part
from runcache.progress import Progress
from runcache.store.blobs import BlobStore

_BLOBS_AT_ONCE: Final = 64
# Each pass is shorter than the one before; jobs that never pause must not keep it going for ever.
_PASSES_AT_MOST: Final = 10
# The fact that names what is being copied and was not verified yet.
_UNVERIFIED: Final = "copying"


@dataclass(slots=True)
class CopyReport:
    """What was, or would be, copied; `damaged` names entries whose bytes are missing or wrong."""

    blob_count: int = 0
    size_bytes: int = 0
    present_count: int = 0
    pass_count: int = 0
    damaged: list[str] = field(default_factory=list)


class Copying:
    """Copies every blob that the catalog knows: those of entries, of uploads, and doomed ones.

    A blob that is whole in the target was verified there, or the catalog names it as one that is
    still to be: what was interrupted goes on without reading anything twice.
    """

    def __init__(
        self, catalog: Catalog, source: BlobStore, target: BlobStore, *, progress: Progress
    ) -> None:
        self._catalog = catalog
        self._source = source
        self._target = target
        self._progress = progress
        self._report = CopyReport()
        self._damaged: set[str] = set()

    async def run(self) -> CopyReport:
        """Copy what is missing in the target, and then what has come meanwhile, until nothing has.

        Raises:
            InvalidSettings: one of the stores belongs to another catalog, or another process is at
                it.
        """
        async with self._catalog.exclusively("copy") as is_mine:
            if not is_mine:
                raise InvalidSettings(
                    "another process is copying this store", hint="let it end, and repeat this"
                )
            return await self._run()

    async def _run(self) -> CopyReport:
        identity = await self._catalog.identity()
        for store, name in ((self._source, "source"), (self._target, "target")):
            if not await store.claim(identity):
                raise InvalidSettings(
                    f"the {name} belongs to another catalog",
                    hint="name the store of this catalog, and an empty one to copy it to",
                )
        await self._begin_anew()
        self._progress.phase("copying")
        while self._report.pass_count < _PASSES_AT_MOST:
            before = self._report.blob_count
            await self._pass()
            if self._report.blob_count == before:
                break
        return self._report

    async def foresee(self) -> CopyReport:
        """Say what would be copied now, and change nothing."""
        await self._pass(is_dry_run=True)
        return self._report

    async def _begin_anew(self) -> None:
        """Remove from the target what was being copied when a run before this one was ended."""
        for name in json.loads(await self._catalog.fact(_UNVERIFIED) or "[]"):
            await self._target.delete(name)

    async def _pass(self, *, is_dry_run: bool = False) -> None:
        self._report.pass_count += 1
        last_id = 0
        while blobs := await self._catalog.blobs.stored(after_id=last_id, limit=_BLOBS_AT_ONCE):
            last_id = blobs[-1].id
            parts = await several(lambda blob: self._catalog.blobs.all_parts(blob.name), blobs)
            found = [
                (blob, of_blob)
                for blob, of_blob in zip(blobs, parts, strict=True)
                if blob.name not in self._damaged
            ]
            are_there = await several(self._is_there, found)
            missing = [
                blob for blob, is_there in zip(found, are_there, strict=True) if not is_there
            ]
            if self._report.pass_count == 1:
                self._report.present_count += len(found) - len(missing)
            if is_dry_run:
                for _, of_blob in missing:
                    self._count(of_blob)
            elif missing:
                await self._copy_all(missing)

    async def _is_there(self, found: tuple[StoredBlob, Sequence[Part]]) -> bool:
        blob, parts = found
        return await self._target.first_incomplete({blob.name: parts}) is None

    async def _copy_all(self, missing: Sequence[tuple[StoredBlob, Sequence[Part]]]) -> None:
        names = json.dumps([blob.name for blob, _ in missing])
        await self._catalog.exchange_fact(_UNVERIFIED, names)
        await several(self._copy, missing)
        await self._catalog.exchange_fact(_UNVERIFIED, "[]")

    async def _copy(self, found: tuple[StoredBlob, Sequence[Part]]) -> None:
        """Copy a blob, and read it back."""
        blob, parts = found
        # Parts of it may be there: of an upload that has grown, or torn.
        await self._target.delete(blob.name)
        read, written = sha256(), sha256()
        try:
            for part in parts:
                async with self._target.receive(blob.name, part.name) as incoming:
                    async with aclosing(buffers(self._source, blob.name, part)) as pieces:
                        async for data in pieces:
                            read.update(data)
                            await incoming.write(data)
                            self._progress.advance(size_bytes=len(data))
                    await incoming.hand_over()
        except BlobMissing:
            await self._leave_out(blob)
            return
        await self._target.feed(blob.name, parts, written)
        if written.digest() != read.digest() or blob.sha256 not in {None, read.digest()}:
            await self._leave_out(blob)
            return
        await self._target.sync(blob.name)
        self._progress.advance(files=1)
        self._count(parts)

    def _count(self, parts: Sequence[Part]) -> None:
        self._report.blob_count += 1
        self._report.size_bytes += sum(part.size_bytes for part in parts)

    async def _leave_out(self, blob: StoredBlob) -> None:
        await self._target.delete(blob.name)
        # What no entry has, or has any more, may have lost its bytes rightly.
        for holder in await self._catalog.blobs.holders(blob.name):
            self._damaged.add(blob.name)
            if holder not in self._report.damaged:
                self._report.damaged.append(holder)
