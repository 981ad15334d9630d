"""What is noted of lookups, saves and downloads, and what a failing catalog makes of it."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from datetime import timedelta
from pathlib import Path
from typing import Final, TypeVar

import pytest
from msgspec.structs import replace
from sqlalchemy import Connection

from runcache.catalog.connections import Connections
from runcache.errors import CatalogUnavailable, ReadDenied
from runcache.maintenance import Maintenance
from runcache.model import Inputs, Key, Permission, Span
from runcache.records import Event, EventKind, HitRate
from runcache.retention import Limits
from runcache.service import Lookup, Records
from runcache.service.records import KEPT_FOR, NOTED_AT_MOST
from tests.in_process import MAIN, REPOSITORY, SNAPSHOT, VERSION, Cache, job, open_cache

T = TypeVar("T")

PULL: Final = "refs/pull/7/merge"
DAY: Final = timedelta(days=1)


@pytest.fixture
async def cache(tmp_path: Path) -> AsyncIterator[Cache]:
    async with open_cache(tmp_path, limits=Limits(repo_limit_bytes=100, min_free_bytes=0)) as cache:
        yield cache


async def events(cache: Cache, *kinds: EventKind) -> list[Event]:
    """Write down what was noted, and return the events, newest first."""
    await cache.records.write()
    return await cache.records.events(None, kinds=kinds or None, limit=1000)


async def test_a_hit_is_an_event_of_the_entry(cache: Cache) -> None:
    pull = replace(job(PULL, MAIN), event="pull_request", run="17")
    entry = await cache.save("npm-1", b"packages")

    await cache.find("npm-1", "npm-", grant=pull)

    (event,) = await events(cache, EventKind.HIT)
    assert event == Event(
        id=event.id,
        at=cache.clock(),
        kind=EventKind.HIT,
        repository=REPOSITORY,
        ref=MAIN,
        key="npm-1",
        version=VERSION,
        entry_id=entry.id,
        size_bytes=8,
        reason="exact",
        by=f"job {PULL}, pull_request, run 17",
        restore_keys=("npm-",),
    )


async def test_a_hit_that_is_not_exact_tells_what_was_asked_for(cache: Cache) -> None:
    await cache.save("npm-1")

    await cache.find("npm-2", "npm-")

    (event,) = await events(cache, EventKind.HIT)
    assert (event.key, event.reason) == ("npm-1", "restore_key")
    assert event.restore_keys == ("npm-2", "npm-")


async def test_a_miss_is_an_event_of_the_job(cache: Cache) -> None:
    await cache.find("npm-1", grant=job(PULL, MAIN))

    (event,) = await events(cache)
    assert (event.kind, event.ref, event.key) == (EventKind.MISS, PULL, "npm-1")
    assert (event.version, event.entry_id, event.reason) == (VERSION, None, None)


async def test_what_is_looked_up_while_records_are_written_waits_for_the_next_time(
    cache: Cache,
) -> None:
    await cache.find("before")

    writing = asyncio.create_task(cache.records.write())
    await asyncio.sleep(0)  # it has begun
    await cache.find("meanwhile")
    await writing

    [first] = await cache.records.events(None, limit=9)
    both = await events(cache)
    assert first.key == "before"
    assert [event.key for event in both] == ["meanwhile", "before"]


async def test_a_lookup_of_several_versions_is_one_event(cache: Cache) -> None:
    await cache.service.find_blobs(cache.default, "npm-1", (), [SNAPSHOT, VERSION])

    assert [event.version for event in await events(cache)] == [SNAPSHOT]


async def test_a_peek_and_a_refusal_are_no_events(cache: Cache) -> None:
    await cache.service.find_blobs(cache.default, "npm-1", (), [VERSION], peek=True)
    with pytest.raises(ReadDenied):
        await cache.find("npm-1", grant=job(permission=Permission.NONE))

    assert await events(cache) == []


async def test_a_save_is_an_event_with_the_job(cache: Cache) -> None:
    grant = replace(job(PULL), event="pull_request", run="17")

    archive = await cache.save("npm-1", b"packages", grant=grant)
    snapshot = await cache.save_snapshot("deps-1", b"pack", grant=grant)

    second, first = await events(cache, EventKind.SAVED)
    assert [second.entry_id, first.entry_id] == [snapshot.id, archive.id]
    assert {second.by, first.by} == {f"job {PULL}, pull_request, run 17"}
    assert (first.ref, first.size_bytes) == (PULL, 8)


async def test_the_origin_is_what_the_client_said(cache: Cache) -> None:
    inputs = Inputs(paths=("a", "b"), compression="gzip", system="macOS", cross_os=False)
    upload, _ = await cache.service.snapshots.reserve(cache.default, "deps-1", SNAPSHOT, (), inputs)
    await cache.write_manifest(upload)
    entry = await cache.service.snapshots.commit(cache.default, upload.id, [])

    origin = await cache.records.origin(entry.id)

    assert origin is not None
    assert (origin.paths, origin.compression, origin.system) == (("a", "b"), "gzip", "macOS")
    assert (origin.cross_os, origin.format, origin.ref) == (False, "snapshot", MAIN)
    assert await cache.records.origin(entry.id + 1) is None


class TestDownloads:
    async def test_one_from_the_beginning_is_an_event(self, cache: Cache) -> None:
        entry = await cache.save("npm-1", b"packages")
        hit = await cache.find("npm-1")
        assert hit is not None

        for span in (None, Span(0, 2), Span(0, 1), Span(1, 8), Span(0, 0)):
            await cache.read(hit.blob, span)

        assert [event.entry_id for event in await events(cache, EventKind.RESTORED)] == [
            entry.id,
            entry.id,
        ]

    async def test_that_of_a_snapshot_is_that_of_its_manifest(self, cache: Cache) -> None:
        entry = await cache.save_snapshot("deps-1", b"one", b"two")

        await cache.snapshot("deps-1")

        assert [event.entry_id for event in await events(cache, EventKind.RESTORED)] == [entry.id]


class TestEvictions:
    async def test_one_tells_by_which_limit_and_by_whose_save(self, cache: Cache) -> None:
        first = await cache.save("first", b"x" * 60)
        cache.clock.advance(timedelta(seconds=1))
        second = await cache.save("second", b"x" * 60)

        await cache.maintenance.forget(causes={REPOSITORY: f"entry {second.id}"})

        (event,) = await events(cache, EventKind.EVICTED)
        assert (event.entry_id, event.reason, event.limit) == (first.id, "repo_limit", 100)
        assert event.by == f"entry {second.id}"

    async def test_those_too_large_to_fit_and_the_others_are_told_apart(self, cache: Cache) -> None:
        await cache.save("small", b"x" * 60)
        await cache.save("large", b"x" * 101)
        await cache.save("other", b"x" * 60)

        await cache.maintenance.forget()

        reasons = {event.key: event.reason for event in await events(cache, EventKind.EVICTED)}
        assert reasons == {"large": "oversized", "small": "repo_limit"}

    async def test_what_nobody_used_is_told_with_the_time(self, cache: Cache) -> None:
        await cache.save("old")
        cache.clock.advance(8 * DAY)

        await cache.maintenance.forget(causes={REPOSITORY: "entry 17"})

        (event,) = await events(cache, EventKind.EVICTED)
        assert (event.reason, event.by) == ("unused_for", None)
        assert event.limit == 7 * DAY // timedelta(milliseconds=1)

    async def test_those_for_all_repositories_are_by_the_last_save(self, cache: Cache) -> None:
        limits = Limits(total_limit_bytes=100, min_free_bytes=0)
        maintenance = Maintenance(cache.catalog, cache.store, limits, now=cache.clock)
        await cache.save("first", b"x" * 60)
        await cache.save("second", b"x" * 60, grant=job(repository="octo/other"))

        await maintenance.forget(causes={REPOSITORY: "entry 1", "octo/other": "entry 2"})

        (event,) = await events(cache, EventKind.EVICTED)
        assert (event.key, event.reason, event.limit) == ("first", "total_limit", 100)
        assert event.by == "entry 2"

    async def test_a_dry_run_is_none(self, cache: Cache) -> None:
        await cache.save("large", b"x" * 101)

        await cache.maintenance.forget(dry_run=True)

        assert await events(cache, EventKind.EVICTED) == []


async def test_an_entry_whose_bytes_are_gone_is_told_to_be_damaged(cache: Cache) -> None:
    entry = await cache.save("npm-1")
    for part in (cache.folder / "blobs").glob("*/*/*"):
        await asyncio.to_thread(part.unlink)

    assert await cache.find("npm-1") is None

    miss, damaged, _ = await events(cache)
    assert (damaged.kind, damaged.entry_id) == (EventKind.DAMAGED, entry.id)
    assert miss.kind is EventKind.MISS


async def test_questions_are_answered_for_the_days_until_now(cache: Cache) -> None:
    await cache.save("npm-3f2a91c", b"packages")
    await cache.find("npm-3f2a91c")
    await cache.records.write()
    cache.clock.advance(7 * DAY)
    await cache.find("npm-d41d8cd")
    await cache.records.write()

    rates = [await cache.records.hit_rates([REPOSITORY], days=days) for days in (7, 8)]

    assert rates == [HitRate(0, 1), HitRate(1, 1)]
    assert [day.hits for day in await cache.records.daily(None, days=8)] == [1, *[0] * 7]
    (family,) = await cache.records.by_family(REPOSITORY, days=8)
    assert (family.family, family.hits, family.misses) == ("npm-<hash>", 1, 1)
    assert await cache.records.growth(None, days=8) == {REPOSITORY: 8}
    assert await cache.records.growth(None) == {REPOSITORY: 0}
    assert await cache.records.removals(REPOSITORY, "npm-3f2a91c") == []


async def test_what_is_older_than_ninety_days_is_trimmed(cache: Cache) -> None:
    await cache.find("old")
    await cache.records.write()
    cache.clock.advance(KEPT_FOR + DAY)
    await cache.find("new")
    await cache.records.write()

    await cache.records.trim()

    assert [event.key for event in await cache.records.events(None, limit=10)] == ["new"]
    assert sum(day.misses for day in await cache.records.daily(None, days=365)) == 1


class Broken:
    """The engine of a catalog that takes no writing while it is broken, or breaks off at once."""

    def __init__(self, connections: Connections) -> None:
        self._connections = connections
        self.is_broken = False

    async def look_up(self, work: Callable[[Connection], T]) -> T:
        return await self._connections.look_up(work)

    async def read(self, work: Callable[[Connection], T]) -> T:
        return await self._connections.read(work)

    async def read_long(self, work: Callable[[Connection], T]) -> T:
        return await self._connections.read_long(work)

    async def write(self, work: Callable[[Connection], T]) -> T:
        if not self.is_broken:
            return await self._connections.write(work)

        def torn(connection: Connection) -> T:
            work(connection)
            raise CatalogUnavailable("the catalog is broken")

        return await self._connections.write(torn)

    def exclusively(self, name: str, *, wait: bool = False) -> AbstractAsyncContextManager[bool]:
        return self._connections.exclusively(name, wait=wait)


class TestBrokenCatalog:
    @pytest.fixture
    async def broken(self, tmp_path: Path) -> AsyncIterator[tuple[Cache, Broken]]:
        engines: list[Broken] = []

        def breakable(connections: Connections) -> Connections:
            engines.append(Broken(connections))
            return engines[0]

        async with open_cache(tmp_path, wrapped_connections=breakable) as cache:
            yield cache, engines[0]

    async def test_lookups_are_kept_until_it_works_again(
        self, broken: tuple[Cache, Broken]
    ) -> None:
        cache, engine = broken
        await cache.find("first")
        engine.is_broken = True
        with pytest.raises(CatalogUnavailable):
            await cache.records.write()
        engine.is_broken = False
        await cache.find("second")

        told = await events(cache)

        assert [event.key for event in told] == ["second", "first"]
        assert (await cache.records.hit_rates(None)).misses == 2

    async def test_a_save_that_breaks_off_is_no_event(self, broken: tuple[Cache, Broken]) -> None:
        cache, engine = broken
        upload = await cache.reserve("npm-1")
        await cache.write_blocks(upload, [("a", b"data")])
        await cache.service.order_blocks(upload.blob, ["a"])
        engine.is_broken = True
        with pytest.raises(CatalogUnavailable):
            await cache.service.commit(cache.default, "npm-1", VERSION, 4)
        engine.is_broken = False

        assert await events(cache) == []
        await cache.service.commit(cache.default, "npm-1", VERSION, 4)
        assert [event.kind for event in await events(cache)] == [EventKind.SAVED]

    async def test_an_eviction_that_breaks_off_is_no_event(
        self, broken: tuple[Cache, Broken]
    ) -> None:
        cache, engine = broken
        await cache.save("npm-1")
        cache.clock.advance(8 * DAY)
        engine.is_broken = True
        with pytest.raises(CatalogUnavailable):
            await cache.maintenance.forget()
        engine.is_broken = False

        assert await events(cache, EventKind.EVICTED) == []
        assert (await cache.service.usage(REPOSITORY)).entry_count == 1


async def test_what_was_written_down_is_there_after_a_crash_and_changes_always_are(
    tmp_path: Path,
) -> None:
    async with open_cache(tmp_path) as cache:
        await cache.find("written")
        await cache.records.write()
        await cache.save("saved")
        await cache.find("noted only")

    async with open_cache(tmp_path) as again:
        told = await events(again)

    assert [(event.kind, event.key) for event in told] == [
        (EventKind.SAVED, "saved"),
        (EventKind.MISS, "written"),
    ]


class TestBurst:
    def noted(self, records: Records, count: int, *, start: int = 0) -> None:
        for number in range(start, start + count):
            records.missed(Lookup(job(), (Key(f"key-{number}"),), [VERSION]))

    async def test_the_oldest_lookups_are_dropped_and_counted(self, cache: Cache) -> None:
        await cache.save("saved")
        self.noted(cache.records, NOTED_AT_MOST + 17)
        for _ in range(NOTED_AT_MOST + 3):
            cache.records.restored("blob")

        dropped = [await cache.records.write(), await cache.records.write()]

        assert dropped == [20, 0]
        newest, *_ = await cache.records.events(None, limit=10)
        assert newest.key == f"key-{NOTED_AT_MOST + 16}"
        assert (await cache.records.hit_rates(None)).misses == NOTED_AT_MOST
        assert [event.key for event in await events(cache, EventKind.SAVED)] == ["saved"]

    async def test_a_catalog_that_stays_broken_fills_no_memory(self, tmp_path: Path) -> None:
        engines: list[Broken] = []

        def breakable(connections: Connections) -> Connections:
            engines.append(Broken(connections))
            return engines[0]

        async with open_cache(tmp_path, wrapped_connections=breakable) as cache:
            engines[0].is_broken = True
            for attempt in range(2):
                self.noted(cache.records, NOTED_AT_MOST // 2 + 5, start=attempt * NOTED_AT_MOST)
                with pytest.raises(CatalogUnavailable):
                    await cache.records.write()
            engines[0].is_broken = False

            assert await cache.records.write() == 10
            assert (await cache.records.hit_rates(None)).misses == NOTED_AT_MOST
