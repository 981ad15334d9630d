"""Verifying bytes: those that are new, those that somebody doubts, and all of them."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field

from blake3 import blake3

from runcache.catalog.blobs import CommittedBlob
from runcache.catalog.catalog import Catalog
from runcache.catalog.entries import BATCH
from runcache.errors import BlobMissing
from runcache.maintenance.debris import Debris
from runcache.maintenance.subsets import EVERYTHING, Subset
from runcache.model import Span
from runcache.store.blobs import BlobStore, Hasher


@dataclass(frozen=True, slots=True)
class Problem:
    """Something that `check` found."""

    kind: str
    subject: str
    detail: str
    is_repaired: bool = False


@dataclass(slots=True)
class CheckReport:
    """What `check` looked at, what it read of that, and what is wrong."""

    entry_count: int = 0
    blob_count: int = 0
    size_bytes: int = 0
    read_count: int = 0
    read_bytes: int = 0
    problems: list[Problem] = field(default_factory=list)


class Checking:
    """Reads blobs and compares them with what the catalog knows of them."""

    def __init__(
        self, catalog: Catalog, store: BlobStore, debris: Debris, *, now: Callable[[], int]
    ) -> None:
        self._catalog = catalog
        self._store = store
        self._debris = debris
        self._now = now

    async def settle(self) -> int:
        """Hash and sync what was committed since; return how many blobs were damaged."""
        damaged = 0
        last_id = 0
        while blobs := await self._catalog.blobs.unsettled(after_id=last_id, limit=BATCH):
            last_id = blobs[-1].id
            for blob in blobs:
                damaged += not await self._settle(blob)
        return damaged

    async def verify(self, entry_id: int) -> list[str]:
        """Read an entry, and return the names of its blobs that are damaged.

        These are dropped with all entries that have them. What has no digest yet is only counted.
        """
        damaged: list[str] = []
        for blob in await self._catalog.blobs.of_entry(entry_id):
            if await self._defect(blob, read_data=True) is not None:
                await self._catalog.entries.forget_holders(blob.name, now_ms=self._now())
                damaged.append(blob.name)
        return damaged

    async def check(
        self, *, read_data: bool = False, subset: Subset = EVERYTHING, repair: bool = False
    ) -> CheckReport:
        """Verify that the bytes of each entry are there, with `read_data` also that they are right.

        Read are the blobs of `subset` only. What several entries share is looked at once. `repair`
        forgets damaged entries, removes what nothing refers to, and corrects counts.
        """
        report = CheckReport(entry_count=await self._catalog.entries.count())
        is_chosen = subset.chooser(*await self._catalog.blobs.committed_totals())
        last_id = 0
        while page := await self._catalog.blobs.committed(after_id=last_id, limit=BATCH):
            last_id = page[-1].id
            for blob in page:
                await self._check_blob(
                    blob, report, read_data=read_data and is_chosen(blob.name), repair=repair
                )
        for name in await self._catalog.repositories.miscounted(repair=repair):
            detail = "its counts differ from its entries"
            report.problems.append(Problem("miscounted", name, detail, is_repaired=repair))
        async for orphan in self._debris.orphans():
            if repair:
                await self._store.delete(orphan)
            report.problems.append(_orphan(orphan, is_repaired=repair))
        return report

    async def _settle(self, blob: CommittedBlob) -> bool:
        hasher = hashlib.sha256()
        try:
            await self._feed(blob, hasher)
        except BlobMissing:
            is_right = False
        else:
            is_right = blob.sha256 in {None, hasher.digest()}
        if not is_right:
            # An entry that was forgotten in between has lost its bytes rightly.
            return not await self._catalog.entries.forget_holders(blob.name, now_ms=self._now())
        if blob.sha256 is None:
            await self._catalog.blobs.record_digest(blob.id, hasher.digest())
        await self._debris.delete(blob.name, is_committed=True)
        await self._store.sync(blob.name)
        await self._catalog.blobs.record_durable(blob.id, now_ms=self._now())
        return True

    async def _feed(self, blob: CommittedBlob, hasher: Hasher) -> None:
        async for parts in self._catalog.blobs.parts(blob.name, Span(0, blob.size_bytes)):
            await self._store.feed(blob.name, parts, hasher)

    async def _check_blob(
        self, blob: CommittedBlob, report: CheckReport, *, read_data: bool, repair: bool
    ) -> None:
        report.blob_count += 1
        report.size_bytes += blob.size_bytes
        if read_data:
            report.read_count += 1
            report.read_bytes += blob.size_bytes
        # What a request was still writing when its entry was settled, and then was killed.
        for part in await self._debris.of(blob.name, is_committed=True):
            if repair:
                await self._store.delete_parts(blob.name, [part])
            report.problems.append(_orphan(f"{blob.name}/{part}", is_repaired=repair))
        detail = await self._defect(blob, read_data=read_data)
        if detail is None:
            return
        holders = await self._catalog.blobs.holders(blob.name)
        if repair:
            await self._catalog.entries.forget_holders(blob.name, now_ms=self._now())
        for holder in holders:
            problem = Problem("damaged", holder, detail, is_repaired=repair)
            # An entry of many blobs may have lost several.
            if problem not in report.problems:
                report.problems.append(problem)

    async def _defect(self, blob: CommittedBlob, *, read_data: bool) -> str | None:
        try:
            if read_data:
                return await self._changed(blob)
            async for parts in self._catalog.blobs.parts(blob.name, Span(0, blob.size_bytes)):
                if await self._store.first_incomplete({blob.name: parts}) is not None:
                    return "bytes are missing"
        except BlobMissing:
            return "bytes are missing"
        return None

    async def _changed(self, blob: CommittedBlob) -> str | None:
        # Where there are both, the one that takes a quarter of the time.
        hasher = hashlib.sha256() if blob.blake3 is None else blake3()
        await self._feed(blob, hasher)
        expected = blob.blake3 or blob.sha256
        return None if expected in {None, hasher.digest()} else "its bytes have changed"


def _orphan(subject: str, *, is_repaired: bool) -> Problem:
    return Problem("orphan", subject, "no row of the catalog names it", is_repaired=is_repaired)
