"""Forgetting what the limits do not keep: planned in bounded steps, and applied or only counted.

First each repository is brought within its own limits, then all of them together. Within a
repository what nobody has used for too long goes first, and then, while it is too large, what alone
exceeds the limit and what was used longest ago.
"""

from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Final

from runcache import retention
from runcache.catalog.catalog import Catalog
from runcache.records import EventKind, Removal
from runcache.retention import (
    Cascade,
    EntryUse,
    EvictionPreview,
    Forgotten,
    Limits,
    Reason,
    References,
)
from runcache.store.blobs import BlobStore

SHOWN: Final = 100
_MILLISECOND: Final = timedelta(milliseconds=1)


@dataclass(slots=True)
class ForgetReport:
    """What was, or would be, forgotten."""

    entry_count: int = 0
    size_bytes: int = 0
    by_reason: Counter[Reason] = field(default_factory=Counter)
    # Only of a dry run, which meets the same entries again; in the order in which they go.
    planned: dict[int, None] = field(default_factory=dict)

    def add(self, plan: Sequence[Forgotten]) -> None:
        """Count the entries of a plan."""
        self.entry_count += len(plan)
        self.size_bytes += sum(forgotten.freed_bytes for forgotten in plan)
        self.by_reason.update(forgotten.reason for forgotten in plan)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Excess:
    """Bytes that must go from a repository, or from all, and those that go before the others.

    What is not accessed since `accessed_from` is left alone.
    """

    repository: str | None
    size_bytes: int
    reason: Reason
    limit_bytes: int
    by: str | None
    oversized_bytes: int | None
    accessed_from: int | None = None


class Forgetting:
    """Keeps the limits of repositories, and those of all together."""

    def __init__(
        self, catalog: Catalog, store: BlobStore, limits: Limits, *, now: Callable[[], int]
    ) -> None:
        self._catalog = catalog
        self._store = store
        self._limits = limits
        self._now = now

    async def is_over_limit(self, repositories: Iterable[str]) -> bool:
        """Say whether one of these repositories, or all there are together, keep too much."""
        cascade = await self._cascade()
        for repository in repositories:
            usage = await self._catalog.repositories.usage(repository)
            if usage.size_bytes > cascade.size_bytes_of(repository):
                return True
        limit_bytes = self._limits.total_limit_bytes
        if limit_bytes is None:
            return False
        return await self._catalog.repositories.total_bytes() > limit_bytes

    async def forget(
        self, *, dry_run: bool = False, causes: Mapping[str, str] | None = None
    ) -> ForgetReport:
        """Forget what the limits do not keep.

        `causes` say by whose doing repositories, or those of owners, are too large now: as
        `Event.by` has it, for the records.
        """
        # Two at once would each free what is too much, and so twice as much as they should.
        async with self._catalog.exclusively("forget", wait=True):
            report = ForgetReport()
            cascade = await self._cascade()
            for repository in await self._concerned(cascade):
                known = causes or {}
                by = known.get(repository) or known.get(repository.partition("/")[0])
                await self._keep_to(cascade, repository, report, by=by, dry_run=dry_run)
            newest = list(causes.values())[-1] if causes else None
            await self._forget_for_all(report, by=newest, dry_run=dry_run)
            return report

    async def would_forget(self, subject: str, cascade: Cascade) -> EvictionPreview:
        """Return what these limits would forget of a repository, or of those of an owner."""
        report = ForgetReport()
        for repository in await self._concerned(cascade):
            if subject in {repository, repository.partition("/")[0]}:
                await self._keep_to(cascade, repository, report, dry_run=True)
        shown = list(report.planned)[:SHOWN]
        entries = await self._catalog.listing.by_ids(shown)
        return EvictionPreview(report.entry_count, report.size_bytes, tuple(entries))

    async def _cascade(self) -> Cascade:
        return Cascade(self._limits.of_each_repository(), await self._catalog.limits.all())

    async def _concerned(self, cascade: Cascade) -> list[str]:
        """Name the repositories that may have something to forget."""
        large = await self._catalog.repositories.over(cascade.least_size_bytes)
        names = {usage.repository for usage in large}
        before_ms = retention.unused_before(self._now(), self._limits.unused_for)
        names.update(await self._catalog.repositories.unused(before_ms))
        for subject in cascade.with_shorter_lives():
            names.update(
                [subject] if "/" in subject else await self._catalog.repositories.names_of(subject)
            )
        return sorted(names)

    async def _keep_to(
        self,
        cascade: Cascade,
        repository: str,
        report: ForgetReport,
        *,
        by: str | None = None,
        dry_run: bool,
    ) -> None:
        unused_for = cascade.unused_for_of(repository)
        before_ms = retention.unused_before(self._now(), unused_for)
        references = References()
        unused_bytes = 0
        async for entries in self._pages(
            repository, accessed_before=before_ms, is_applied=not dry_run
        ):
            plan = retention.unused(
                entries, before_ms=before_ms, references=references if dry_run else References()
            )
            unused_bytes += sum(forgotten.freed_bytes for forgotten in plan)
            await self._apply(plan, report, limit=unused_for // _MILLISECOND, dry_run=dry_run)
        usage = await self._catalog.repositories.usage(repository)
        limit_bytes = cascade.size_bytes_of(repository)
        kept_bytes = usage.size_bytes - (unused_bytes if dry_run else 0)
        excess = _Excess(
            repository=repository,
            size_bytes=kept_bytes - limit_bytes,
            oversized_bytes=limit_bytes,
            reason=Reason.REPO_LIMIT,
            limit_bytes=limit_bytes,
            by=by,
            accessed_from=before_ms,
        )
        await self._shrink(excess, report, references, dry_run=dry_run)

    async def _forget_for_all(self, report: ForgetReport, *, by: str | None, dry_run: bool) -> None:
        used_bytes = await self._catalog.repositories.total_bytes()
        used_bytes -= report.size_bytes if dry_run else 0
        limit_bytes = self._limits.total_limit_bytes
        if limit_bytes is not None:
            excess = _Excess(
                repository=None,
                size_bytes=used_bytes - limit_bytes,
                oversized_bytes=limit_bytes,
                reason=Reason.TOTAL_LIMIT,
                limit_bytes=limit_bytes,
                by=by,
            )
            await self._shrink(excess, report, References(), dry_run=dry_run)
        free_bytes = await self._store.free_bytes()
        if free_bytes is None:
            return
        free_bytes += await self._catalog.blobs.doomed_bytes()
        free_bytes += report.size_bytes if dry_run else 0
        excess = _Excess(
            repository=None,
            size_bytes=self._limits.min_free_bytes - free_bytes,
            oversized_bytes=None,
            reason=Reason.MIN_FREE,
            limit_bytes=self._limits.min_free_bytes,
            by=by,
        )
        await self._shrink(excess, report, References(), dry_run=dry_run)

    async def _shrink(
        self, excess: _Excess, report: ForgetReport, references: References, *, dry_run: bool
    ) -> None:
        """Forget entries, a page at a time, until so many bytes are freed."""
        left_bytes = excess.size_bytes
        # All that are too large to fit come before all others.
        for is_oversized in (True, False) if excess.oversized_bytes is not None else (None,):
            if left_bytes <= 0:
                return
            async for entries in self._pages(
                excess.repository,
                accessed_from=excess.accessed_from,
                larger_than=excess.oversized_bytes if is_oversized else None,
                at_most=excess.oversized_bytes if is_oversized is False else None,
                is_applied=not dry_run,
            ):
                plan = retention.over_limit(
                    (entry for entry in entries if entry.entry_id not in report.planned),
                    excess_bytes=left_bytes,
                    oversized_bytes=excess.oversized_bytes,
                    reason=excess.reason,
                    references=references if dry_run else References(),
                )
                left_bytes -= sum(forgotten.freed_bytes for forgotten in plan)
                await self._apply(
                    plan, report, limit=excess.limit_bytes, by=excess.by, dry_run=dry_run
                )
                if left_bytes <= 0:
                    return

    async def _pages(
        self,
        repository: str | None,
        *,
        accessed_from: int | None = None,
        accessed_before: int | None = None,
        larger_than: int | None = None,
        at_most: int | None = None,
        is_applied: bool,
    ) -> AsyncIterator[Sequence[EntryUse]]:
        """Yield the least recently used entries, page after page, until there are no more.

        What is applied as it is planned is gone from the next page, which begins at the front
        again: there may be what has come, or was not accessed, in between.
        """
        behind: EntryUse | None = None
        while entries := await self._catalog.entries.least_recently_used(
            repository,
            accessed_from=accessed_from,
            accessed_before=accessed_before,
            larger_than=larger_than,
            at_most=at_most,
            behind=None if is_applied else behind,
        ):
            yield entries
            behind = entries[-1]

    async def _apply(
        self,
        plan: Sequence[Forgotten],
        report: ForgetReport,
        *,
        limit: int,
        by: str | None = None,
        dry_run: bool,
    ) -> None:
        report.add(plan)
        ids = [forgotten.entry_id for forgotten in plan]
        if dry_run:
            report.planned.update(dict.fromkeys(ids))
            return
        link_ms = self._limits.link_ttl // _MILLISECOND
        for reason in dict.fromkeys(forgotten.reason for forgotten in plan):
            removal = Removal(EventKind.EVICTED, reason.value, limit, by)
            of_reason = [gone.entry_id for gone in plan if gone.reason is reason]
            await self._catalog.entries.forget(
                of_reason, removal, now_ms=self._now(), link_ms=link_ms
            )
