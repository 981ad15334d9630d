"""What a server does by itself, seen from what it leaves behind."""

import asyncio
import hashlib
import sqlite3
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, closing
from datetime import timedelta
from pathlib import Path
from typing import Any, Final, TypeVar

from sqlalchemy import Connection
from structlog.testing import capture_logs

from runcache.catalog.connections import Connections
from runcache.errors import CatalogUnavailable
from runcache.server.background import RECORD_EVERY_SECONDS, Background
from runcache.server.metrics import Metrics
from runcache.server.transfers import Transfers
from runcache.service import CacheService, UploadLimits
from tests.faults.raw_job import RawJob
from tests.faults.raw_socket import eventually
from tests.in_process import VERSION, Cache, open_cache
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

    async def read(self, work: Callable[[Connection], T]) -> T:
        return await self._working.read(work)

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
    background = Background(cache.maintenance, Transfers(metrics), metrics, settings)
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
