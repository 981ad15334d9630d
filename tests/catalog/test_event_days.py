"""Sums of events by day, which are those of the events."""

import asyncio
import itertools
import random
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import date, timedelta
from typing import Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runcache.catalog.catalog import Catalog
from runcache.catalog.event_days import DAY_MS
from runcache.catalog.opening import open_catalog
from runcache.locations import CatalogLocation
from runcache.records import LOOKUPS, OTHERS, Day, Event, EventKind, FamilyRate, HitRate, family_of
from tests.catalog.facts import NOW, REPOSITORY, query, save
from tests.catalog.happened import EVICTED, OTHER, lookup, write

TODAY: Final = date(1970, 1, 1) + timedelta(days=NOW // DAY_MS)
# What happened, how many days ago, and to which of four.
Happened = tuple[EventKind, int, int]

_numbers = itertools.count(1)


async def test_days_are_told_in_order_and_also_when_nothing_happened(catalog: Catalog) -> None:
    await write(catalog, lookup(is_hit=True), lookup(at=NOW - 2 * DAY_MS))
    _, blob = await save(catalog, "npm-1", size_bytes=30)
    await write(catalog, restored=[blob])

    days = await catalog.event_days.daily([REPOSITORY], days=3, now_ms=NOW)

    assert days == [
        Day(date=TODAY - timedelta(days=2), misses=1),
        Day(date=TODAY - timedelta(days=1)),
        Day(date=TODAY, hits=1, restored=1, saved_bytes=30),
    ]
    assert await catalog.event_days.daily([OTHER], days=1, now_ms=NOW) == [Day(date=TODAY)]


async def test_rates_are_those_of_the_repositories_and_days(catalog: Catalog) -> None:
    await write(
        catalog,
        lookup(is_hit=True),
        lookup(repository=OTHER),
        lookup(at=NOW - 7 * DAY_MS),
    )

    rates = [
        await catalog.event_days.hit_rates(names, days=days, now_ms=NOW)
        for names, days in ((None, 7), ([REPOSITORY], 7), ([REPOSITORY], 8), (["no/such"], 7))
    ]

    assert rates == [HitRate(1, 1), HitRate(1, 0), HitRate(1, 1), HitRate(0, 0)]


async def test_families_are_told_by_how_often_they_are_looked_up(catalog: Catalog) -> None:
    await write(
        catalog,
        lookup("pip-3f2a91c", is_hit=True),
        lookup("npm-3f2a91c", is_hit=True),
        lookup("npm-d41d8cd"),
    )
    await save(catalog, "saved-only")

    rates = await catalog.event_days.by_family(REPOSITORY, days=7, now_ms=NOW)

    assert rates == [FamilyRate("npm-<hash>", 1, 1), FamilyRate("pip-<hash>", 1, 0)]


async def test_growth_is_what_was_saved_less_what_is_gone(catalog: Catalog) -> None:
    entry, _ = await save(catalog, "a", size_bytes=100)
    await save(catalog, "b", size_bytes=10)
    await save(catalog, "c", size_bytes=1, repository=OTHER)
    await catalog.entries.forget([entry.id], EVICTED, now_ms=NOW, link_ms=0)

    growth = await catalog.event_days.growth(None, days=7, now_ms=NOW)

    assert growth == {REPOSITORY: 10, OTHER: 1}
    assert await catalog.event_days.growth([OTHER], days=7, now_ms=NOW) == {OTHER: 1}


async def test_made_up_families_do_not_fill_the_catalog(
    catalog: Catalog, location: CatalogLocation
) -> None:
    letters = random.Random(17)
    keys = ["".join(letters.choices("ghijkl", k=9)) for _ in range(700)]
    await write(catalog, *(lookup(key) for key in keys))

    rates = await catalog.event_days.by_family(REPOSITORY, days=1, now_ms=NOW)

    assert sum(rate.misses for rate in rates) == 700
    assert rates[0].family == OTHERS
    assert query(location, "SELECT count(*) FROM event_days") == [(501,)]


def test_the_sums_of_days_are_those_of_the_events(
    runner: asyncio.Runner, open_file: Catalog, examples: settings
) -> None:
    @examples
    @given(
        st.lists(
            st.tuples(
                st.sampled_from([*LOOKUPS[:2], EventKind.SAVED, EventKind.EVICTED]),
                st.integers(0, 3),
                st.integers(0, 3),
            ),
            max_size=20,
        )
    )
    def check(happened: list[Happened]) -> None:
        repository = f"octo/{next(_numbers)}"

        runner.run(make_happen(open_file, repository, happened))

        events, days, rates = runner.run(told_of(open_file, repository))
        assert len(events) == sum(1 + (kind is EventKind.EVICTED) for kind, _, _ in happened)
        assert days == [
            replace(
                sums_by_hand([event for event in events if event.at // DAY_MS == day]),
                date=date(1970, 1, 1) + timedelta(days=day),
            )
            for day in range(NOW // DAY_MS - 3, NOW // DAY_MS + 1)
        ]
        assert {rate.family: rate.hits + rate.misses for rate in rates} == Counter(
            family_of(event.key) for event in events if event.kind in LOOKUPS
        )

    check()


@pytest.fixture(scope="module")
def runner() -> Iterator[asyncio.Runner]:
    with asyncio.Runner() as runner:
        yield runner


@pytest.fixture(scope="module")
def open_file(runner: asyncio.Runner, shared_location: CatalogLocation) -> Iterator[Catalog]:
    """Return one catalog for all examples, each of which has a repository of its own."""
    opened = open_catalog(shared_location)
    yield runner.run(opened.__aenter__())
    runner.run(opened.__aexit__(None, None, None))


async def make_happen(catalog: Catalog, repository: str, happened: Sequence[Happened]) -> None:
    for number, (kind, days_ago, what) in enumerate(happened):
        at, key = NOW - days_ago * DAY_MS, f"{'wxyz'[what]}-1{number:06x}"
        if kind in LOOKUPS:
            is_hit = kind is EventKind.HIT
            await write(catalog, lookup(key, is_hit=is_hit, at=at, repository=repository))
            continue
        entry, _ = await save(catalog, key, size_bytes=what + 1, repository=repository, now_ms=at)
        if kind is EventKind.EVICTED:
            await catalog.entries.forget([entry.id], EVICTED, now_ms=at, link_ms=0)


async def told_of(
    catalog: Catalog, repository: str
) -> tuple[list[Event], list[Day], list[FamilyRate]]:
    return (
        await catalog.events.newest([repository], limit=1000),
        await catalog.event_days.daily([repository], days=4, now_ms=NOW),
        await catalog.event_days.by_family(repository, days=4, now_ms=NOW),
    )


def sums_by_hand(events: Sequence[Event]) -> Day:
    def count(kind: EventKind) -> int:
        return sum(event.kind is kind for event in events)

    def size_bytes(kind: EventKind) -> int:
        return sum(event.size_bytes or 0 for event in events if event.kind is kind)

    return Day(
        date=TODAY,
        hits=count(EventKind.HIT),
        misses=count(EventKind.MISS),
        restored=count(EventKind.RESTORED),
        saved_bytes=size_bytes(EventKind.SAVED),
        evicted_bytes=size_bytes(EventKind.EVICTED),
        deleted_bytes=size_bytes(EventKind.DELETED),
    )
