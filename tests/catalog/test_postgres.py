"""The shared engine: its time-outs, what it refuses, and connections that come and go."""

import asyncio
import random
import time
from collections.abc import AsyncIterator
from typing import Final
from urllib.parse import urlsplit

import asyncpg
import pytest
from sqlalchemy import Connection, text
from sqlalchemy.dialects import postgresql

from runcache.catalog.catalog import Catalog
from runcache.catalog.lookup import walked
from runcache.catalog.opening import open_catalog
from runcache.catalog.postgres import LOOKUP_SECONDS, PostgresConnections
from runcache.catalog.postgres_engine import LOOKUP_PLANS, PLANS
from runcache.errors import CatalogUnavailable, InvalidKey
from runcache.locations import PostgresDatabase, parse_catalog
from runcache.matching import keys_of, walk
from tests.catalog.facts import MAIN, VERSION, add_fact, known_facts, query, reserve, save
from tests.engines.postgres import PASSWORD, Postgres

DIALECT: Final = postgresql.asyncpg.dialect()  # type: ignore[no-untyped-call]
# And waits until they have ended.
END_ALL_OTHERS: Final = """
SELECT count(pg_terminate_backend(pid, 30000)) FROM pg_stat_activity
WHERE datname = current_database() AND pid <> pg_backend_pid()
"""


@pytest.fixture
def location(postgres_url: str) -> PostgresDatabase:
    location = parse_catalog(postgres_url)
    assert isinstance(location, PostgresDatabase)
    return location


@pytest.fixture
async def connections(location: PostgresDatabase) -> AsyncIterator[PostgresConnections]:
    connections = await PostgresConnections.open(location)
    yield connections
    await connections.close()


async def test_a_reader_sees_one_state_and_never_waits_for_a_writer(
    connections: PostgresConnections, location: PostgresDatabase
) -> None:
    writer = await asyncpg.connect(location.url)
    await writer.execute("BEGIN; INSERT INTO facts VALUES ('theirs', '')")

    while_it_writes = await asyncio.wait_for(known_facts(connections), 30)
    await writer.execute("COMMIT")
    await writer.close()

    assert while_it_writes == set()
    assert await known_facts(connections) == {"theirs"}


async def test_work_that_reads_cannot_write(connections: PostgresConnections) -> None:
    for read in (connections.read, connections.read_long):
        with pytest.raises(CatalogUnavailable, match="read-only"):
            await read(lambda c: add_fact(c, "one"))


async def test_a_lookup_ends_soon_whatever_the_engine_does(
    connections: PostgresConnections,
) -> None:
    begin = time.monotonic()

    with pytest.raises(CatalogUnavailable):
        await connections.look_up(lambda c: c.execute(text("SELECT pg_sleep(60)")))

    assert time.monotonic() - begin < LOOKUP_SECONDS + 20
    assert await connections.look_up(lambda c: c.scalar(text("SELECT 1"))) == 1


async def test_connections_that_the_server_has_ended_are_replaced(
    connections: PostgresConnections, location: PostgresDatabase
) -> None:
    await connections.look_up(lambda c: c.execute(text("SELECT 1")))
    await asyncio.gather(*(known_facts(connections) for _ in range(3)))
    ((ended,),) = await asyncio.to_thread(query, location, END_ALL_OTHERS)

    assert await connections.look_up(lambda c: c.scalar(text("SELECT 1"))) == 1
    await connections.write(lambda c: add_fact(c, "one"))
    assert await known_facts(connections) == {"one"}
    assert isinstance(ended, int)
    assert ended > 1


async def test_a_writer_that_was_cut_off_in_the_middle_has_done_nothing(
    connections: PostgresConnections, location: PostgresDatabase
) -> None:
    def work(connection: Connection) -> None:
        add_fact(connection, "half")
        query(location, END_ALL_OTHERS)
        add_fact(connection, "whole")

    with pytest.raises(CatalogUnavailable):
        await connections.write(work)

    assert await known_facts(connections) == set()


async def test_what_is_too_long_for_an_index_is_refused(location: PostgresDatabase) -> None:
    chance = random.Random(7)
    long = "".join(chr(chance.randrange(0x4E00, 0x9000)) for _ in range(512))

    async with open_catalog(location) as catalog:
        with pytest.raises(InvalidKey, match="too long"):
            await reserve(catalog, long, scope=f"refs/heads/{long}", version=long)
        await reserve(catalog, long, scope="refs/heads/main")


async def test_a_lookup_reads_no_table_but_through_an_index(location: PostgresDatabase) -> None:
    statement, _ = walked(walk([MAIN], keys_of("key-", ["k"])), [VERSION])
    asked = statement.statement.compile(dialect=DIALECT)
    connection = await asyncpg.connect(location.url, server_settings={**PLANS, **LOOKUP_PLANS})
    await connection.execute(f"PREPARE lookup AS {asked}")
    nothing = ", ".join(["NULL"] * len(asked.params))

    rows = await connection.fetch(f"EXPLAIN (ANALYZE) EXECUTE lookup({nothing})")

    await connection.close()
    plan = [row[0] for row in rows]
    assert not [step for step in plan if "Seq Scan" in step]
    # The newest of a scope come in order, and are not sorted out of all of it.
    assert [step for step in plan if "Index Scan Backward using ix_entries_newest" in step]


@pytest.mark.parametrize(
    ("part", "other", "said"),
    [
        (PASSWORD, "wrong", "password authentication failed"),
        ("/test", "/absent", "does not exist"),
        ("127.0.0.1", "127.0.0.2", "onnect"),
    ],
)
async def test_what_cannot_be_used_is_said_without_the_password(
    location: PostgresDatabase, part: str, other: str, said: str
) -> None:
    wrong = parse_catalog(location.url.replace(part, other))

    with pytest.raises(CatalogUnavailable, match=said) as refusal:
        async with open_catalog(wrong):
            pass

    assert PASSWORD not in str(refusal.value)


async def test_a_database_of_another_encoding_is_refused(postgres: Postgres) -> None:
    with postgres.database(is_empty=True, options="ENCODING 'LATIN1' LOCALE 'C'") as url:
        opening = open_catalog(parse_catalog(url))
        with pytest.raises(CatalogUnavailable, match="ENCODING 'UTF8'"):
            await opening.__aenter__()


async def test_a_catalog_needs_few_connections(
    connections: PostgresConnections, location: PostgresDatabase
) -> None:
    catalog = Catalog(connections)

    await asyncio.gather(*(save(catalog, f"key-{number}") for number in range(20)))
    await asyncio.gather(*(catalog.entries.count() for _ in range(50)))
    await asyncio.gather(*(catalog.tokens.find("") for _ in range(50)))

    name = urlsplit(location.url).path[1:]
    ((count,),) = query(location, "SELECT count(*) FROM pg_stat_activity WHERE datname = ?", name)
    # One of them asks.
    assert isinstance(count, int)
    assert count <= 11
