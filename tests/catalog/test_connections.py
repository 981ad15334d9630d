"""What every engine does: transactions, and several catalogs of one database at once."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from sqlalchemy import Connection, text

from runcache.catalog.catalog import Catalog
from runcache.catalog.connections import Connections, Duplicate
from runcache.catalog.opening import open_catalog
from runcache.catalog.postgres import PostgresConnections
from runcache.catalog.sqlite import SqliteConnections
from runcache.errors import CatalogUnavailable, EntryExists
from runcache.locations import CatalogLocation, PostgresDatabase
from runcache.retention import LimitValues
from tests.catalog.facts import (
    NOW,
    REPOSITORY,
    add_fact,
    known_facts,
    query,
    reserve,
    save,
    save_snapshot,
)


@pytest.fixture
async def connections(location: CatalogLocation) -> AsyncIterator[Connections]:
    opened = (
        await PostgresConnections.open(location)
        if isinstance(location, PostgresDatabase)
        else await SqliteConnections.open(location.path)
    )
    yield opened
    await opened.close()


async def test_work_that_fails_leaves_nothing(connections: Connections) -> None:
    def work(connection: Connection) -> None:
        add_fact(connection, "one")
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await connections.write(work)
    await connections.write(lambda c: add_fact(c, "two"))

    assert await known_facts(connections) == {"two"}


async def test_work_that_nobody_waits_for_any_more_is_done_all_the_same(
    connections: Connections,
) -> None:
    writing = asyncio.ensure_future(connections.write(lambda c: add_fact(c, "one")))
    await asyncio.sleep(0)

    writing.cancel()
    await connections.write(lambda c: add_fact(c, "two"))

    assert await known_facts(connections) == {"one", "two"}


async def test_what_the_engine_says_becomes_an_error_of_ours(
    connections: Connections,
) -> None:
    with pytest.raises(CatalogUnavailable, match="absent"):
        await connections.read(lambda c: c.execute(text("SELECT * FROM absent")))
    with pytest.raises(Duplicate):
        await connections.write(lambda c: [add_fact(c, name) for name in ("one", "one")])

    assert await known_facts(connections) == set()


async def test_two_catalogs_of_one_database_write_and_read_at_once(
    catalog: Catalog, location: CatalogLocation
) -> None:
    async with open_catalog(location) as other:
        both = (catalog, other)
        saved = await asyncio.gather(
            *(save(both[number % 2], f"key-{number}") for number in range(60))
        )
        found = [
            await both[(number + 1) % 2].entries.get(entry.id)
            for number, (entry, _) in enumerate(saved)
        ]

    assert found == [entry for entry, _ in saved]
    assert len({entry.id for entry, _ in saved}) == 60


async def test_of_many_on_two_catalogs_one_gets_the_key(
    catalog: Catalog, location: CatalogLocation
) -> None:
    async with open_catalog(location) as other:
        outcomes = await asyncio.gather(
            *(reserve((catalog, other)[number % 2], "key") for number in range(24)),
            return_exceptions=True,
        )

    assert sum(isinstance(outcome, EntryExists) for outcome in outcomes) == 23


async def test_a_fact_is_exchanged_for_what_it_was(catalog: Catalog) -> None:
    assert await catalog.exchange_fact("boot_id", "one") is None
    assert await catalog.exchange_fact("boot_id", "two") == "one"
    assert await catalog.exchange_fact("boot_id", "two") == "two"


async def test_readers_of_an_idle_catalog_see_what_another_process_wrote(
    catalog: Catalog, location: CatalogLocation
) -> None:
    query(location, "INSERT INTO repositories (name) VALUES ('octo/theirs')")

    usage = await catalog.repositories.usage("octo/theirs")

    assert (usage.entry_count, usage.size_bytes) == (0, 0)


async def test_a_catalog_keeps_its_name(catalog: Catalog, location: CatalogLocation) -> None:
    name = await catalog.identity()

    async with open_catalog(location) as again:
        assert await again.identity() == name


async def test_whatever_comes_at_once_on_two_catalogs_nothing_fails_and_all_is_counted(
    catalog: Catalog, location: CatalogLocation
) -> None:
    old = [(await save_snapshot(catalog, f"old-{number}", 1, 2)).id for number in range(6)]
    async with open_catalog(location) as other:
        both = (catalog, other)

        async def work(number: int) -> None:
            mine, theirs = both[number % 2], both[(number + 1) % 2]
            await save(mine, f"new-{number}", repository=f"octo/{number % 3}")
            await theirs.entries.forget(old[number % 5 :][:2], now_ms=NOW, link_ms=0)
            await mine.limits.set("octo", LimitValues(size_bytes=number + 1), by="me", now_ms=NOW)
            await theirs.exchange_fact("boot_id", str(number % 2))

        await asyncio.gather(*map(work, range(24)))
        names = await asyncio.gather(*(each.identity() for each in both * 4))

    assert len(set(names)) == 1
    assert await catalog.repositories.miscounted(repair=False) == []
    assert await catalog.entries.count() == 24
    assert (await catalog.repositories.usage(REPOSITORY)).entry_count == 0
    assert list(await catalog.limits.all()) == ["octo"]
