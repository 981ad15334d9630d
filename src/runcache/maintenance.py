"""Looking after what is kept: forget entries, prune bytes, settle new blobs, check everything.

Each of them makes a plan in bounded steps and applies it, or with `dry_run` only counts what it
would do. All may run at any time, several at once and in several processes.
"""

import hashlib
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Final

from blake3 import blake3

from runcache import retention
from runcache.catalog.blobs import CommittedBlob
from runcache.catalog.catalog import Catalog
from runcache.catalog.entries import BATCH
from runcache.errors import BlobMissing, InvalidSettings
from runcache.model import Span
from runcache.retention import Forgotten, Limits, Reason, References
from runcache.store.blobs import BlobStore, Hasher

_MILLISECOND: Final = timedelta(milliseconds=1)


@dataclass(slots=True)
class ForgetReport:
    """What was, or would be, forgotten."""

    entry_count: int = 0
    size_bytes: int = 0
    by_reason: Counter[Reason] = field(default_factory=Counter)
    # Only of a dry run, which meets the same entries again.
    planned: set[int] = field(default_factory=set)

    def add(self, plan: Sequence[Forgotten]) -> None:
        """Count the entries of a plan."""
        self.entry_count += len(plan)
        self.size_bytes += sum(forgotten.freed_bytes for forgotten in plan)
        self.by_reason.update(forgotten.reason for forgotten in plan)


@dataclass(slots=True)
class PruneReport:
    """What was, or would be, removed from the store."""

    blob_count: int = 0
    size_bytes: int = 0
    expired_upload_count: int = 0
    orphan_count: int = 0


@dataclass(frozen=True, slots=True)
class Problem:
    """Something that `check` found."""

    kind: str
    subject: str
    detail: str
    is_repaired: bool = False


@dataclass(slots=True)
class CheckReport:
    """What `check` looked at, and what is wrong."""

    entry_count: int = 0
    size_bytes: int = 0
    problems: list[Problem] = field(default_factory=list)


class Maintenance:
    """The acts behind `runcache forget`, `prune` and `check`, and behind the server's sweeps."""

    def __init__(
        self, catalog: Catalog, store: BlobStore, limits: Limits, *, now: Callable[[], int]
    ) -> None:
        self._catalog = catalog
        self._store = store
        self._limits = limits
        self._now = now

    async def claim_store(self) -> None:
        """Make sure that the store is this catalog's: to another one, all of it would be debris.

        Raises:
            InvalidSettings: it is another catalog's.
        """
        if not await self._store.claim(await self._catalog.identity()):
            raise InvalidSettings(
                "the store belongs to another catalog",
                hint="name the catalog of this store, or an empty folder as `store`",
            )

    async def sweep(self) -> tuple[ForgetReport, PruneReport] | None:
        """Forget and prune, unless another process is at it: then return `None`."""
        async with self._catalog.exclusively("sweep") as is_mine:
            return (await self.forget(), await self.prune()) if is_mine else None

    async def is_over_limit(self, repositories: Iterable[str]) -> bool:
        """Say whether one of these repositories, or all there are together, keep too much."""
        for repository in repositories:
            usage = await self._catalog.repositories.usage(repository)
            if usage.size_bytes > self._limits.repo_limit_bytes:
                return True
        limit_bytes = self._limits.total_limit_bytes
        if limit_bytes is None:
            return False
        return await self._catalog.repositories.total_bytes() > limit_bytes

    async def keep(
        self, read: Sequence[str], *, written: Sequence[str] = (), lease: timedelta
    ) -> None:
        """Keep blobs that are being read, even if doomed, and uploads that are being written."""
        if read:
            await self._catalog.blobs.hold(read, until=self._now() + lease // _MILLISECOND)
        if written:
            await self._catalog.uploads.note_active(written, now_ms=self._now())

    async def forget(self, *, dry_run: bool = False) -> ForgetReport:
        """Forget what the limits do not keep: unused entries, then the least recently used ones."""
        # Two at once would each free what is too much, and so twice as much as they should.
        async with self._catalog.exclusively("forget", wait=True):
            return await self._forget(dry_run=dry_run)

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

    async def recover(self, boot_id: str) -> int:
        """After a start: distrust what a power failure may have torn, and return how much was lost.

        A killed process loses nothing, since what it wrote is in the page cache. Only when the
        machine was started anew (`boot_id`), bytes without a proof of durability are misses until
        `settle` has verified them; those without a digest, and all unfinished uploads, are dropped.
        """
        former = await self._catalog.exchange_fact("boot_id", boot_id)
        if former in (None, boot_id):
            return 0
        lost = await self._catalog.entries.suspect_all_unproven(now_ms=self._now())
        while uploads := await self._catalog.uploads.after(0, limit=BATCH):
            for upload in uploads:
                await self._catalog.uploads.void(upload, now_ms=self._now())
        return lost

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

    async def check(self, *, read_data: bool = False, repair: bool = False) -> CheckReport:
        """Verify that the bytes of each entry are there, with `read_data` also that they are right.

        What several entries share is looked at once. `repair` forgets damaged entries, removes what
        nothing refers to, and corrects counts.
        """
        report = CheckReport(entry_count=await self._catalog.entries.count())
        last_id = 0
        while page := await self._catalog.blobs.committed(after_id=last_id, limit=BATCH):
            last_id = page[-1].id
            for blob in page:
                await self._check_blob(blob, report, read_data=read_data, repair=repair)
        for name in await self._catalog.repositories.miscounted(repair=repair):
            detail = "its counts differ from its entries"
            report.problems.append(Problem("miscounted", name, detail, is_repaired=repair))
        async for orphan in self._orphans():
            if repair:
                await self._store.delete(orphan)
            report.problems.append(_orphan(orphan, is_repaired=repair))
        return report

    async def _forget(self, *, dry_run: bool) -> ForgetReport:
        report = ForgetReport()
        await self._forget_unused(report, dry_run=dry_run)
        limit_bytes = self._limits.repo_limit_bytes
        for usage in await self._catalog.repositories.over(limit_bytes):
            await self._shrink(
                report,
                usage.repository,
                excess_bytes=usage.size_bytes - limit_bytes,
                oversized_bytes=limit_bytes,
                reason=Reason.REPO_LIMIT,
                dry_run=dry_run,
            )
        await self._forget_for_all(report, dry_run=dry_run)
        return report

    async def _forget_unused(self, report: ForgetReport, *, dry_run: bool) -> None:
        before_ms = retention.unused_before(self._now(), self._limits.unused_for)
        # What was applied the next page knows by itself.
        references = References()
        skip = 0
        while entries := await self._catalog.entries.least_recently_used(
            None, accessed_before=before_ms, skip=skip
        ):
            plan = retention.unused(
                entries, before_ms=before_ms, references=references if dry_run else References()
            )
            await self._apply(plan, report, dry_run=dry_run)
            skip += len(entries) if dry_run else 0

    async def _forget_for_all(self, report: ForgetReport, *, dry_run: bool) -> None:
        used_bytes = await self._catalog.repositories.total_bytes()
        used_bytes -= report.size_bytes if dry_run else 0
        limit_bytes = self._limits.total_limit_bytes
        if limit_bytes is not None and used_bytes > limit_bytes:
            await self._shrink(
                report,
                None,
                excess_bytes=used_bytes - limit_bytes,
                oversized_bytes=limit_bytes,
                reason=Reason.TOTAL_LIMIT,
                dry_run=dry_run,
            )
        free_bytes = await self._store.free_bytes() + await self._catalog.blobs.doomed_bytes()
        free_bytes += report.size_bytes if dry_run else 0
        if free_bytes < self._limits.min_free_bytes:
            await self._shrink(
                report,
                None,
                excess_bytes=self._limits.min_free_bytes - free_bytes,
                oversized_bytes=None,
                reason=Reason.MIN_FREE,
                dry_run=dry_run,
            )

    async def _shrink(
        self,
        report: ForgetReport,
        repository: str | None,
        *,
        excess_bytes: int,
        oversized_bytes: int | None,
        reason: Reason,
        dry_run: bool,
    ) -> None:
        """Forget entries, a page at a time, until `excess_bytes` are freed."""
        references = References()
        skip = 0
        while excess_bytes > 0:
            entries = await self._catalog.entries.least_recently_used(
                repository, oversized_bytes=oversized_bytes, skip=skip
            )
            if not entries:
                return
            plan = retention.over_limit(
                (entry for entry in entries if entry.entry_id not in report.planned),
                excess_bytes=excess_bytes,
                oversized_bytes=oversized_bytes,
                reason=reason,
                references=references if dry_run else References(),
            )
            excess_bytes -= sum(forgotten.freed_bytes for forgotten in plan)
            await self._apply(plan, report, dry_run=dry_run)
            skip += len(entries) if dry_run else 0

    async def _apply(
        self, plan: Sequence[Forgotten], report: ForgetReport, *, dry_run: bool
    ) -> None:
        report.add(plan)
        ids = [forgotten.entry_id for forgotten in plan]
        if dry_run:
            report.planned.update(ids)
            return
        link_ms = self._limits.link_ttl // _MILLISECOND
        await self._catalog.entries.forget(ids, now_ms=self._now(), link_ms=link_ms)

    async def _void_expired(self, report: PruneReport, *, dry_run: bool) -> None:
        last_id = 0
        while uploads := await self._catalog.uploads.expired(now_ms=self._now(), after_id=last_id):
            last_id = uploads[-1].id
            report.expired_upload_count += len(uploads)
            if not dry_run:
                for upload in uploads:
                    await self._catalog.uploads.void(upload, now_ms=self._now())

    async def _delete_orphans(self, report: PruneReport, *, dry_run: bool) -> None:
        async for orphan in self._orphans():
            report.orphan_count += 1
            if not dry_run:
                await self._store.delete(orphan)

    async def _orphans(self) -> AsyncIterator[str]:
        # A blob has its row before its first byte: what has none now was left behind.
        async for names in self._store.names():
            for start in range(0, len(names), BATCH):
                batch = names[start : start + BATCH]
                known = await self._catalog.blobs.known(batch)
                for name in batch:
                    if name not in known:
                        yield name

    async def _tidy_uploads(self) -> None:
        last_id = 0
        while blobs := await self._catalog.blobs.in_the_making(after_id=last_id, limit=BATCH):
            last_id = blobs[-1][0]
            for _, name in blobs:
                await self._delete_debris(name)

    async def _debris(self, blob: str) -> list[str]:
        """Name the files of a blob that are no parts of it and that nobody is writing."""
        # In this order: what was finished before the first look has its row by the second.
        unclaimed = await self._store.unclaimed(blob)
        known = await self._catalog.blobs.part_names(blob)
        return [name for name in unclaimed if name not in known]

    async def _delete_debris(self, blob: str) -> None:
        await self._store.delete_parts(blob, await self._debris(blob))

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
        await self._delete_debris(blob.name)
        await self._store.sync(blob.name)
        await self._catalog.blobs.record_durable(blob.id, now_ms=self._now())
        return True

    async def _feed(self, blob: CommittedBlob, hasher: Hasher) -> None:
        async for parts in self._catalog.blobs.parts(blob.name, Span(0, blob.size_bytes)):
            await self._store.feed(blob.name, parts, hasher)

    async def _check_blob(
        self, blob: CommittedBlob, report: CheckReport, *, read_data: bool, repair: bool
    ) -> None:
        report.size_bytes += blob.size_bytes
        # What a request was still writing when its entry was settled, and then was killed.
        for part in await self._debris(blob.name):
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
