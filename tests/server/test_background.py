"""What a server does by itself, seen from what it leaves behind."""

import asyncio
import hashlib
import sqlite3
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, closing
from datetime import timedelta
from pathlib import Path
from typing import Any, Final, TypeVar

from msgspec.structs import replace
from sqlalchemy import Connection
from structlog.testing import capture_logs

from runcache.catalog.connections import Connections
from runcache.errors import CatalogUnavailable
from runcache.retention import Limits, LimitValues
from runcache.server.background import RECORD_EVERY_SECONDS, REPORTS_AT_MOST, Background
from runcache.server.metrics import Metrics
from runcache.server.transfers import Transfers
from runcache.service import CacheService, Records, UploadLimits
from runcache.service.management import Management
from runcache.wire.native import DAMAGE_PATH
from tests.faults.native_job import NativeJob
from tests.faults.raw_job import RawJob
from tests.faults.raw_socket import eventually
from tests.in_process import VERSION, Cache, job, open_cache
from tests.server.serving import Served, serving, settings_in

T = TypeVar("T")

# Longer than any of it takes, for machines that are busy.
PATIENCE_SECONDS: Final = 10
KIB: Final = 1024


class Breakable:
    """The engine of a catalog that fails as long as the test wants it to."""

    def __init__(self) -> None:
        self.is_broken = False
        self._connections: Connections | None = None

    def around(self, connections: Connections) -> Connections:
        self._connections = connections
        return self

    @property
    def _working(self) -> Connections:
        assert self._connections is not None
        if self.is_broken:
            raise CatalogUnavailable("the catalog is broken")
        return self._connections

    async def look_up(self, work: Callable[[Connection], T]) -> T:
        return await self._working.look_up(work)

    async def read(self, work: Callable[[Connection], T]) -> T:
        return await self._working.read(work)

    async def read_long(self, work: Callable[[Connection], T]) -> T:
        return await self._working.read_long(work)

    async def write(self, work: Callable[[Connection], T]) -> T:
        return await self._working.write(work)

    def exclusively(self, name: str, *, wait: bool = False) -> AbstractAsyncContextManager[bool]:
        return self._working.exclusively(name, wait=wait)


def facts(folder: Path, statement: str) -> list[Any]:
    """Return what the catalog says, read (or changed) behind the back of the server."""
    with closing(sqlite3.connect(folder / "catalog.sqlite3")) as connection, connection:
        return connection.execute(statement).fetchall()


@asynccontextmanager
async def at_work(cache: Cache) -> AsyncIterator[tuple[CacheService, Background]]:
    """Run the tasks of a server besides a cache."""
    metrics = Metrics()
    settings = await asyncio.to_thread(settings_in, cache.folder, sweep_every="1d")
    records = Records(cache.catalog, now=cache.clock)
    background = Background(cache.maintenance, records, Transfers(metrics), metrics, settings)
    limits = UploadLimits(min_free_bytes=0)
    service = CacheService(
        cache.catalog, cache.store, limits, observers=[background], now=cache.clock
    )
    async with background.running(service):
        yield service, background


async def test_a_lookup_is_written_down_within_a_second(server: Served, tmp_path: Path) -> None:
    async with RawJob(server) as job:
        await job.save("key", b"data")
        before = facts(tmp_path, "SELECT last_accessed_at FROM entries")

        await job.find("key")

        await eventually(
            lambda: facts(tmp_path, "SELECT last_accessed_at FROM entries") > before,
            within_seconds=PATIENCE_SECONDS,
        )
    assert RECORD_EVERY_SECONDS < 1


async def test_what_was_looked_up_last_is_written_down_at_the_end(tmp_path: Path) -> None:
    async with serving(tmp_path) as server, RawJob(server) as job:
        await job.save("key", b"data")
        before = facts(tmp_path, "SELECT last_accessed_at FROM entries")
        await job.find("key")

    assert facts(tmp_path, "SELECT last_accessed_at FROM entries") > before


async def test_a_commit_is_settled(server: Served, tmp_path: Path) -> None:
    async with RawJob(server) as job:
        await job.save("whole", b"data")
        await job.save("in blocks", b"more data", blocks=3)

    settled = "SELECT sha256 FROM blobs WHERE durable_at IS NOT NULL"
    await eventually(lambda: len(facts(tmp_path, settled)) == 2, within_seconds=PATIENCE_SECONDS)
    digests = {hashlib.sha256(data).digest() for data in (b"data", b"more data")}
    assert {digest for (digest,) in facts(tmp_path, settled)} == digests


async def test_what_was_not_settled_is_after_a_start(tmp_path: Path) -> None:
    async with serving(tmp_path) as server, RawJob(server) as job:
        await job.save("key", b"data")
        settled = "SELECT sha256 FROM blobs WHERE durable_at IS NOT NULL"
        await eventually(lambda: facts(tmp_path, settled), within_seconds=PATIENCE_SECONDS)
    facts(tmp_path, "UPDATE blobs SET durable_at = NULL")

    async with serving(tmp_path) as server:
        await eventually(lambda: facts(tmp_path, settled), within_seconds=PATIENCE_SECONDS)


async def test_a_commit_over_the_limit_sweeps_at_once(tmp_path: Path) -> None:
    async with (
        serving(tmp_path, repo_limit="100KiB", sweep_every="1d") as server,
        RawJob(server) as job,
    ):
        await job.save("oldest", bytes(40 * KIB))
        await job.save("older", bytes(40 * KIB))
        await job.find("oldest")

        await job.save("newest", bytes(40 * KIB))

        await eventually(
            lambda: len(facts(tmp_path, "SELECT id FROM entries")) == 2,
            within_seconds=PATIENCE_SECONDS,
        )
        assert await job.download_link("older") is None
        assert await job.download_link("oldest") is not None
        assert await job.download_link("newest") is not None


async def test_a_limit_that_is_set_is_applied_at_once(tmp_path: Path) -> None:
    async with open_cache(tmp_path) as cache, at_work(cache) as (_, background):
        management = Management(
            cache.catalog, Limits(), cache.maintenance, observers=[background], now=cache.clock
        )
        for key in ("older", "newer"):
            await cache.save(key, bytes(40 * KIB))
            cache.clock.advance(timedelta(seconds=1))

        await management.set_limits("octo", LimitValues(50 * KIB), by="token 1f0c")

        await eventually(
            lambda: facts(tmp_path, "SELECT key FROM entries") == [("newer",)],
            within_seconds=PATIENCE_SECONDS,
        )


async def test_a_limit_that_cannot_be_applied_now_is_later(tmp_path: Path) -> None:
    engine = Breakable()
    async with (
        open_cache(tmp_path, wrapped_connections=engine.around) as cache,
        at_work(cache) as (_, background),
    ):
        await cache.save("key", bytes(40 * KIB))
        limits = LimitValues(KIB)
        await cache.catalog.limits.set("octo", limits, by="token 1f0c", now_ms=cache.clock())
        engine.is_broken = True
        with capture_logs() as logs:
            background.limits_changed("octo", by="token 1f0c")
            await eventually(
                lambda: any(log["event"] == "background.failed" for log in logs),
                within_seconds=PATIENCE_SECONDS,
            )
        engine.is_broken = False

        # What wakes it is something else.
        background.saved(await cache.save("other", grant=job(repository="other/one")))

        await eventually(
            lambda: facts(tmp_path, "SELECT key FROM entries") == [("other",)],
            within_seconds=PATIENCE_SECONDS,
        )


async def test_accesses_that_cannot_be_written_down_are_later(tmp_path: Path) -> None:
    engine = Breakable()
    async with open_cache(tmp_path, wrapped_connections=engine.around) as cache:
        entry = await cache.save("key")
        async with at_work(cache) as (service, _):
            cache.clock.advance(timedelta(minutes=1))
            with capture_logs() as logs:
                await service.find(cache.default, "key", (), VERSION)
                engine.is_broken = True
                await eventually(
                    lambda: any(log["event"] == "background.failed" for log in logs),
                    within_seconds=PATIENCE_SECONDS,
                )
                engine.is_broken = False

            await eventually(
                lambda: (
                    facts(tmp_path, "SELECT last_accessed_at FROM entries")
                    == [(entry.last_accessed_at + 60_000,)]
                ),
                within_seconds=PATIENCE_SECONDS,
            )


async def test_a_settling_that_fails_does_not_end_the_settling(tmp_path: Path) -> None:
    engine = Breakable()
    async with (
        open_cache(tmp_path, wrapped_connections=engine.around) as cache,
        at_work(cache) as (_, background),
    ):
        entry = await cache.save("key")
        engine.is_broken = True
        with capture_logs() as logs:
            background.saved(entry)
            await eventually(
                lambda: any(log["event"] == "background.failed" for log in logs),
                within_seconds=PATIENCE_SECONDS,
            )
        engine.is_broken = False

        background.saved(entry)

        await eventually(
            lambda: facts(tmp_path, "SELECT id FROM blobs WHERE durable_at IS NOT NULL"),
            within_seconds=PATIENCE_SECONDS,
        )


async def test_every_blob_of_a_snapshot_is_settled(server: Served, tmp_path: Path) -> None:
    async with NativeJob(server) as job:
        await job.save_snapshot("key", b"one", b"two")

    settled = "SELECT id FROM blobs WHERE durable_at IS NOT NULL"
    await eventually(lambda: len(facts(tmp_path, settled)) == 3, within_seconds=PATIENCE_SECONDS)


async def report(job: NativeJob, entry_id: int, reason: str = "a digest is wrong") -> None:
    path = DAMAGE_PATH.format(entry_id=entry_id)
    assert (await job.authorized("POST", path, json={"reason": reason})).status == 204


def change_a_byte(store: Path, size_bytes: int) -> None:
    """Change a part of this size, which must be the only one, and not its size."""
    (part,) = [path for path in store.glob("*/*/*") if path.stat().st_size == size_bytes]
    part.write_bytes(b"!" * size_bytes)


async def test_an_entry_that_is_reported_and_damaged_is_dropped(
    server: Served, tmp_path: Path
) -> None:
    async with NativeJob(server) as job:
        await job.save_snapshot("rotten", b"1234567")
        await job.save_snapshot("shares it", b"123", bases="auto", shared=["1-0"])
        await job.save_snapshot("whole", b"12345")
        settled = "SELECT id FROM blobs WHERE durable_at IS NULL"
        await eventually(lambda: not facts(tmp_path, settled), within_seconds=PATIENCE_SECONDS)
        await asyncio.to_thread(change_a_byte, server.settings.data / "blobs", 7)

        with capture_logs() as logs:
            await report(job, 1, "chunk 5\n\x1b[2J differs")
            await eventually(
                lambda: [log for log in logs if log["event"] == "entry.verified"],
                within_seconds=PATIENCE_SECONDS,
            )
        metrics = await job.request("GET", f"{server.url}metrics")

        assert [await job.snapshot(key) for key in ("rotten", "shares it", "whole")] == [
            None,
            None,
            [b"12345"],
        ]
    reported, damaged, verified = (log for log in logs if log["event"].startswith("entry."))
    assert (reported["event"], reported["log_level"]) == ("entry.damage_reported", "error")
    assert (reported["entry"], reported["reason"]) == (1, "chunk 5[2J differs")
    assert (damaged["event"], damaged["log_level"]) == ("entry.damaged", "error")
    assert (verified["entry"], verified["damaged"]) == (1, 1)
    assert "runcache_damaged_entries_total 1.0" in metrics.body


async def test_a_client_is_not_believed(server: Served) -> None:
    async with NativeJob(server) as job:
        await job.save_snapshot("key", b"pack")
        with capture_logs() as logs:
            for _ in range(3):
                await report(job, 1)
                await eventually(
                    lambda: [log for log in logs if log["event"] == "entry.verified"],
                    within_seconds=PATIENCE_SECONDS,
                )

        assert await job.snapshot("key") == [b"pack"]
    # It was whole a moment ago: it is not read again for each report.
    assert [log["damaged"] for log in logs if log["event"] == "entry.verified"] == [0]
    assert len([log for log in logs if log["event"] == "entry.damage_reported"]) == 3


async def test_reports_that_cannot_be_looked_into_now_are_later(tmp_path: Path) -> None:
    engine = Breakable()
    async with (
        open_cache(tmp_path, wrapped_connections=engine.around) as cache,
        at_work(cache) as (_, background),
    ):
        entry = await cache.save_snapshot("key", b"1234567")
        await cache.maintenance.settle()
        await asyncio.to_thread(change_a_byte, tmp_path / "blobs", 7)
        engine.is_broken = True
        with capture_logs() as logs:
            background.damage_reported(entry, "a digest is wrong")
            await eventually(
                lambda: any(log["event"] == "background.failed" for log in logs),
                within_seconds=PATIENCE_SECONDS,
            )
            engine.is_broken = False
            # A new one wakes the task before its time.
            background.damage_reported(entry, "a digest is wrong")
            await eventually(
                lambda: any(log["event"] == "entry.verified" for log in logs),
                within_seconds=PATIENCE_SECONDS,
            )

        assert await cache.snapshot("key") is None


async def test_of_a_flood_of_reports_only_so_many_are_kept(tmp_path: Path) -> None:
    async with open_cache(tmp_path) as cache, at_work(cache) as (_, background):
        entry = await cache.save("key")
        with capture_logs() as logs:
            for number in range(REPORTS_AT_MOST + 50):
                background.damage_reported(replace(entry, id=number), "?")
            await eventually(
                lambda: len([log for log in logs if log["event"] == "entry.verified"]),
                within_seconds=PATIENCE_SECONDS,
            )
            await asyncio.sleep(0)

    assert len([log for log in logs if log["event"] == "entry.verified"]) <= REPORTS_AT_MOST
