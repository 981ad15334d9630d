"""How events come to be, and which of them go first."""

import asyncio
from collections import Counter
from collections.abc import Sequence

import pytest

from runcache.catalog.catalog import Catalog
from runcache.catalog.event_days import DAY_MS
from runcache.locations import CatalogLocation
from runcache.records import EventKind, Removal
from tests.catalog.facts import MAIN, NOW, REPOSITORY, query, save, save_snapshot
from tests.catalog.happened import EVICTED, fill, lookup, told, write


@pytest.mark.parametrize("count", [1, 2, 3, 255, 256, 257, 1000])
async def test_any_number_is_written_at_once(catalog: Catalog, count: int) -> None:
    await write(catalog, *(lookup(f"word-{'x' * number}") for number in range(count)))

    events = await catalog.events.newest(None, limit=2000)

    assert [len(event.key) for event in events] == [5 + n for n in reversed(range(count))]


async def test_a_download_is_told_with_its_entry(catalog: Catalog) -> None:
    entry, blob = await save(catalog, "npm-1", size_bytes=30)
    await save_snapshot(catalog, "snapshot", 20)
    packs = query_packs(await catalog.blobs.committed(limit=10))

    await write(catalog, restored=[blob, *packs, "none"])

    event, *_ = await catalog.events.newest(None, limit=10)
    assert (event.kind, event.key, event.entry_id) == (EventKind.RESTORED, "npm-1", entry.id)
    assert (event.ref, event.size_bytes, event.by) == (MAIN, 30, None)
    assert [kind for kind, _ in await told(catalog, kinds=[EventKind.RESTORED])] == [event.kind]


def query_packs(blobs: Sequence[object]) -> list[str]:
    """Return the names of the packs: in these catalogs they have 20 bytes."""
    return [blob.name for blob in blobs if blob.size_bytes == 20]  # type: ignore[attr-defined]


async def test_changes_are_told_by_those_who_make_them(catalog: Catalog) -> None:
    first, _ = await save(catalog, "first", size_bytes=10)
    second, _ = await save(catalog, "second", size_bytes=20)
    third, blob = await save(catalog, "third", size_bytes=30)
    await catalog.entries.forget([first.id], EVICTED, now_ms=NOW, link_ms=0)
    await catalog.entries.delete(
        REPOSITORY,
        [second.id],
        Removal(EventKind.DELETED, by="token 1f0c8a3b5d7e"),
        now_ms=NOW,
        link_ms=0,
    )
    await catalog.entries.forget_holders(blob, now_ms=NOW)

    damaged, deleted, evicted, *saved = await catalog.events.newest(None, limit=10)

    assert [event.kind for event in saved] == [EventKind.SAVED] * 3
    assert saved[0].by == f"job {MAIN}"
    assert (damaged.kind, damaged.entry_id) == (EventKind.DAMAGED, third.id)
    assert (deleted.kind, deleted.by) == (EventKind.DELETED, "token 1f0c8a3b5d7e")
    assert (evicted.kind, evicted.reason, evicted.limit, evicted.by, evicted.size_bytes) == (
        EventKind.EVICTED,
        "repo_limit",
        1000,
        "entry 17",
        10,
    )


async def test_what_is_not_there_is_not_told_to_be_gone(catalog: Catalog) -> None:
    await catalog.entries.forget([1, 2], EVICTED, now_ms=NOW, link_ms=0)

    assert await told(catalog) == []


class TestTrimming:
    async def test_the_oldest_lookups_go_before_changes(self, catalog: Catalog) -> None:
        for number in range(5):
            await save(catalog, f"saved-{number}")
            await write(catalog, *(lookup(f"miss-{number}") for _ in range(6)))

        await catalog.event_log.trim(before_ms=0, kept=20)

        kinds = Counter(kind for kind, _ in await told(catalog))
        assert kinds == {EventKind.SAVED: 5, EventKind.MISS: 13}
        assert (EventKind.MISS, "miss-0") not in await told(catalog)

    async def test_changes_are_at_most_half(self, catalog: Catalog) -> None:
        for number in range(20):
            await save(catalog, f"saved-{number}")
        await write(catalog, *(lookup(f"miss-{number}") for number in range(8)))

        await catalog.event_log.trim(before_ms=0, kept=20)

        kept = await told(catalog)
        assert Counter(kind for kind, _ in kept) == {EventKind.SAVED: 10, EventKind.MISS: 8}
        assert kept[-1] == (EventKind.SAVED, "saved-10")

    async def test_many_go_in_several_steps(
        self, catalog: Catalog, location: CatalogLocation
    ) -> None:
        await save(catalog, "saved")
        await asyncio.to_thread(fill, location, 12_000)

        await catalog.event_log.trim(before_ms=0, kept=1000)

        assert query(location, "SELECT count(*), min(id) FROM events") == [(1000, 1)]

    async def test_what_is_old_goes(self, catalog: Catalog) -> None:
        await save(catalog, "old", now_ms=NOW - 2)
        await write(catalog, lookup("old", at=NOW - 1), lookup("new", at=NOW))
        await save(catalog, "new", now_ms=NOW)

        await catalog.event_log.trim(before_ms=NOW, kept=100)

        assert {key for _, key in await told(catalog)} == {"new"}

    async def test_there_may_be_nothing(self, catalog: Catalog) -> None:
        await catalog.event_log.trim(before_ms=0, kept=10)

        assert await told(catalog) == []

    async def test_ids_are_never_given_twice(self, catalog: Catalog) -> None:
        await write(catalog, lookup("old", at=NOW - 1))
        await catalog.event_log.trim(before_ms=NOW, kept=100)

        await write(catalog, lookup("new"))

        (event,) = await catalog.events.newest(None, limit=10)
        assert event.id == 2

    async def test_old_days_go(self, catalog: Catalog) -> None:
        await write(catalog, *(lookup(at=NOW - days * DAY_MS) for days in range(5)))

        await catalog.event_days.trim(before_ms=NOW - 2 * DAY_MS)

        days = await catalog.event_days.daily(None, days=5, now_ms=NOW)
        assert [day.misses for day in days] == [0, 0, 1, 1, 1]
