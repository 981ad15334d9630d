"""What a server does besides answering: a task each, owned by one group and ended with it."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Final

import structlog

from runcache.config import Settings
from runcache.errors import CacheError
from runcache.maintenance import ForgetReport, Maintenance
from runcache.model import Entry
from runcache.records import entry_name
from runcache.server.metrics import Metrics
from runcache.server.transfers import Transfers
from runcache.service import CacheService, Observer, Records

RECORD_EVERY_SECONDS: Final = 0.5
STALL_LOOK_EVERY_SECONDS: Final = 5
RETRY_AFTER_SECONDS: Final = 10
# What clients say is looked into one by one, and a whole entry not again at once.
REPORTS_AT_MOST: Final = 100
VERIFIED_FOR_SECONDS: Final = 600
# A doomed blob that is being read is kept for another lease, long before the former one ends.
LEASE: Final = timedelta(minutes=5)
LEASE_EVERY_SECONDS: Final = 60

_MILLISECOND: Final = timedelta(milliseconds=1)
_BOOT_ID: Final = Path("/proc/sys/kernel/random/boot_id")
_log = structlog.get_logger("runcache.background")


class Background(Observer):
    """The tasks of one process. Hears of new entries, to settle them and to keep the limits."""

    def __init__(
        self,
        maintenance: Maintenance,
        records: Records,
        transfers: Transfers,
        metrics: Metrics,
        settings: Settings,
    ) -> None:
        self._maintenance = maintenance
        self._records = records
        self._transfers = transfers
        self._metrics = metrics
        self._settings = settings
        self._sweep_every: timedelta | None = None
        self._unsettled = asyncio.Event()
        self._settled = asyncio.Event()
        self._grown = asyncio.Event()
        # Repositories that have grown, and what has other limits: and whose doing that was.
        self._causes: dict[str, str] = {}
        self._has_other_limits = False
        self._reported = asyncio.Event()
        self._reported_entries: dict[int, None] = {}
        self._verified_at: dict[int, float] = {}

    def saved(self, entry: Entry) -> None:
        """See `Observer.saved`."""
        self._unsettled.set()
        self._causes[entry.repository] = entry_name(entry.id)
        self._grown.set()

    def limits_changed(self, subject: str, *, by: str) -> None:
        """See `Observer.limits_changed`."""
        _log.info("limits.changed", subject=subject, by=by)
        self._causes[subject] = by
        self._has_other_limits = True
        self._grown.set()

    def deleted(self, entries: Sequence[Entry], *, by: str) -> None:
        """See `Observer.deleted`."""
        _log.info("entries.deleted", entries=len(entries), by=by)

    def damaged(self, blob: str) -> None:
        """See `Observer.damaged`."""
        _log.error("entry.damaged", blob=blob)

    def damage_reported(self, entry: Entry, reason: str) -> None:
        """See `Observer.damage_reported`."""
        # A client's own words: nothing in them may play tricks on a terminal.
        said = "".join(filter(str.isprintable, reason))
        _log.error(
            "entry.damage_reported", entry=entry.id, repository=entry.repository, reason=said
        )
        if len(self._reported_entries) < REPORTS_AT_MOST:
            self._reported_entries[entry.id] = None
            self._reported.set()

    @asynccontextmanager
    async def running(self, service: CacheService) -> AsyncIterator[None]:
        """Recover from an unclean stop, then run the tasks until the end of the block."""
        boot_id = await asyncio.to_thread(_boot_id)
        lost = await self._maintenance.recover(boot_id)
        if lost:
            _log.error("entries.lost", count=lost, reason="the machine stopped uncleanly")
        self._unsettled.set()
        sweep_seconds = self._settings.sweep_every.total_seconds()
        tasks = [
            asyncio.create_task(task)
            for task in (
                _repeat(RECORD_EVERY_SECONDS, partial(self._record_accesses, service)),
                _repeat(RECORD_EVERY_SECONDS, self._write_records),
                _repeat(LEASE_EVERY_SECONDS, partial(self._keep_what_is_in_use, service)),
                _repeat(LEASE_EVERY_SECONDS, self._prune_doomed),
                _repeat(LEASE_EVERY_SECONDS, self._maintenance.set_clock),
                _repeat(LEASE_EVERY_SECONDS, self._look_for_unsettled),
                _repeat(STALL_LOOK_EVERY_SECONDS, self._end_stalled),
                _repeat(sweep_seconds, partial(self._sweep, service), at_once=True),
                _whenever(self._unsettled, self._settle),
                _whenever(self._settled, self._compose),
                _whenever(self._reported, self._verify),
                _whenever(self._grown, partial(self._keep_limits, service)),
            )
        ]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            with suppress(CacheError):
                await self._record_accesses(service)
            with suppress(CacheError):
                await self._write_records()

    async def _record_accesses(self, service: CacheService) -> None:
        await service.record_accesses(link_ms=self._settings.link_ttl // _MILLISECOND)

    async def _write_records(self) -> None:
        self._metrics.unrecorded(await self._records.write())

    async def _keep_what_is_in_use(self, service: CacheService) -> None:
        written = service.uploads_in_flight(within_seconds=LEASE_EVERY_SECONDS)
        await self._maintenance.keep(service.blobs_being_read(), written=written, lease=LEASE)
        if service.direct is not None:
            # What the store sends nobody here sees: it has as long as a link works.
            led_to = service.direct.blobs_led_to()
            await self._maintenance.keep(led_to, lease=self._settings.link_ttl)

    async def _prune_doomed(self) -> None:
        await self._maintenance.delete_doomed()

    async def _look_for_unsettled(self) -> None:
        # Another replica may have died before it was done with what it committed.
        self._unsettled.set()

    async def _end_stalled(self) -> None:
        ended = self._transfers.end_stalled()
        if ended:
            _log.warning("transfers.stalled", count=ended)

    async def _settle(self) -> None:
        damaged = await self._maintenance.settle()
        if damaged:
            _log.error("entries.damaged", count=damaged, reason="bytes differ from their digest")
        self._settled.set()

    async def _compose(self) -> None:
        report = await self._maintenance.compose()
        if report is None:
            return
        if report.blob_count:
            _log.info("composed", blobs=report.blob_count, size_bytes=report.size_bytes)
        for blob, reason in report.failures.items():
            _log.warning("compose.failed", blob=blob, error=reason)

    async def _verify(self) -> None:
        now = time.monotonic()
        self._verified_at = {
            entry: at for entry, at in self._verified_at.items() if now - at < VERIFIED_FOR_SECONDS
        }
        while self._reported_entries:
            entry_id = next(iter(self._reported_entries))
            if entry_id not in self._verified_at:
                damaged = await self._maintenance.verify(entry_id)
                self._verified_at[entry_id] = time.monotonic()
                for blob in damaged:
                    self.damaged(blob)
                    self._metrics.damaged(blob)
                _log.info("entry.verified", entry=entry_id, damaged=len(damaged))
            # Not before: what failed is tried again.
            del self._reported_entries[entry_id]

    async def _keep_limits(self, service: CacheService) -> None:
        causes, self._causes = self._causes, {}
        has_other_limits, self._has_other_limits = self._has_other_limits, False
        try:
            if has_other_limits or await self._maintenance.is_over_limit(causes):
                await self._record_accesses(service)
                # A sweep that runs already may be past this, and would not look again.
                self._tell_forgotten(await self._maintenance.forget(causes=causes))
        except CacheError:
            self._causes = causes | self._causes
            self._has_other_limits |= has_other_limits
            raise

    async def _sweep(self, service: CacheService) -> None:
        # The order of last accesses decides: it must be known to the last one.
        await self._record_accesses(service)
        done = await self._maintenance.sweep(every=self._sweep_every)
        # What other replicas did counts from now on: this one may have come with other limits.
        self._sweep_every = self._settings.sweep_every
        if done is None:
            return
        await self._records.trim()
        forgotten, pruned = done
        self._tell_forgotten(forgotten)
        _log.info(
            "pruned",
            blobs=pruned.blob_count,
            size_bytes=pruned.size_bytes,
            expired_uploads=pruned.expired_upload_count,
            orphans=pruned.orphan_count,
        )

    def _tell_forgotten(self, forgotten: ForgetReport) -> None:
        for reason, count in forgotten.by_reason.items():
            self._metrics.evicted(reason, count)
        _log.info("forgotten", entries=forgotten.entry_count, size_bytes=forgotten.size_bytes)


async def _repeat(
    seconds: float, work: Callable[[], Awaitable[None]], *, at_once: bool = False
) -> None:
    attempts = _Attempts(work)
    if at_once:
        await attempts.make()
    while True:
        await asyncio.sleep(seconds)
        await attempts.make()


async def _whenever(event: asyncio.Event, work: Callable[[], Awaitable[None]]) -> None:
    attempts = _Attempts(work)
    while True:
        await event.wait()
        event.clear()
        while not await attempts.make():
            with suppress(TimeoutError):
                await asyncio.wait_for(event.wait(), RETRY_AFTER_SECONDS)
            event.clear()


class _Attempts:
    """Attempts at one task: told of when they begin to fail, and when they no longer do."""

    def __init__(self, work: Callable[[], Awaitable[None]]) -> None:
        self._work = work
        self._name = getattr(work, "func", work).__name__.strip("_")
        self._is_failing = False

    async def make(self) -> bool:
        """Attempt it once, and say whether it worked."""
        try:
            await self._work()
        except CacheError as exc:
            if not self._is_failing:
                _log.warning("background.failed", task=self._name, error=str(exc))
        except Exception:  # noqa: BLE001  -- a task that ended would never do its work again
            if not self._is_failing:
                _log.exception("background.crashed", task=self._name)
        else:
            if self._is_failing:
                _log.info("background.recovered", task=self._name)
            self._is_failing = False
            return True
        self._is_failing = True
        return False


def _boot_id() -> str:
    return _BOOT_ID.read_text().strip()
