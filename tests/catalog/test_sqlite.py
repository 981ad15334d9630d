"""The embedded engine: transactions, threads, and other processes on the same file."""

import asyncio
import sqlite3
import subprocess
import sys
import threading
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path
from typing import Final

import pytest
from sqlalchemy import Connection, insert, select, text

from runcache.catalog.catalog import Catalog
from runcache.catalog.connections import Duplicate
from runcache.catalog.sqlite import SqliteConnections, open_catalog
from runcache.catalog.tables import FACTS
from runcache.errors import CatalogUnavailable, EntryExists
from tests.catalog.facts import query, reserve, save

HOLDER: Final = """
import asyncio, sys
from pathlib import Path
from runcache.catalog.sqlite import open_catalog

async def main():
    async with open_catalog(Path(sys.argv[1])) as catalog, catalog.exclusively("sweep") as is_mine:
        print(is_mine, flush=True)
        await asyncio.sleep(60)

asyncio.run(main())
"""


@pytest.fixture
async def connections(file: Path) -> AsyncIterator[SqliteConnections]:
    connections = await SqliteConnections.open(file)
    yield connections
    await connections.close()


def add_fact(connection: Connection, name: str) -> object:
    return connection.execute(insert(FACTS).values(name=name, value=""))


async def facts(connections: SqliteConnections) -> set[str]:
    return await connections.read(lambda c: set(c.scalars(select(FACTS.c.name))))


async def test_work_that_fails_leaves_nothing(connections: SqliteConnections) -> None:
    def work(connection: Connection) -> None:
        add_fact(connection, "one")
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await connections.write(work)
    await connections.write(lambda c: add_fact(c, "two"))

    assert await facts(connections) == {"two"}


async def test_work_that_nobody_waits_for_any_more_is_done_all_the_same(
    connections: SqliteConnections,
) -> None:
    writing = asyncio.ensure_future(connections.write(lambda c: add_fact(c, "one")))
    await asyncio.sleep(0)

    writing.cancel()
    await connections.write(lambda c: add_fact(c, "two"))

    assert await facts(connections) == {"one", "two"}


async def test_a_reader_sees_one_state_and_never_waits_for_a_writer(
    connections: SqliteConnections, file: Path
) -> None:
    with closing(sqlite3.connect(file, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        other.execute("INSERT INTO facts VALUES ('theirs', '')")

        while_it_writes = await asyncio.wait_for(facts(connections), 5)
        other.execute("COMMIT")

    assert while_it_writes == set()
    assert await facts(connections) == {"theirs"}


async def test_a_long_read_sees_one_state_and_lets_others_read(
    connections: SqliteConnections,
) -> None:
    has_begun, may_end = threading.Event(), threading.Event()

    def take_long(connection: Connection) -> list[int]:
        counted = text("SELECT count(*) FROM facts")
        before = connection.scalars(counted).one()
        has_begun.set()
        may_end.wait(timeout=60)
        return [before, connection.scalars(counted).one()]

    long_read = asyncio.create_task(connections.read_long(take_long))
    await asyncio.to_thread(has_begun.wait, 60)
    await connections.write(lambda c: add_fact(c, "one"))
    meanwhile = await facts(connections)
    may_end.set()

    assert meanwhile == {"one"}
    assert await long_read == [0, 0]


async def test_what_the_engine_says_becomes_an_error_of_ours(
    connections: SqliteConnections,
) -> None:
    with pytest.raises(CatalogUnavailable, match="no such table"):
        await connections.read(lambda c: c.execute(text("SELECT * FROM absent")))
    with pytest.raises(Duplicate):
        await connections.write(lambda c: [add_fact(c, name) for name in ("one", "one")])

    assert await facts(connections) == set()


@pytest.mark.parametrize("name", ["text", "folder", "text/catalog.sqlite3"])
def test_what_is_no_catalog_cannot_be_opened(tmp_path: Path, name: str) -> None:
    (tmp_path / "text").write_bytes(b"not a database at all" * 100)
    (tmp_path / "folder").mkdir()

    async def open_it() -> None:
        async with open_catalog(tmp_path / name):
            pass

    with pytest.raises(CatalogUnavailable, match="cannot be used"):
        asyncio.run(open_it())


async def test_two_catalogs_on_one_file_write_and_read_at_once(
    catalog: Catalog, file: Path
) -> None:
    async with open_catalog(file) as other:
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


async def test_of_many_on_two_catalogs_one_gets_the_key(catalog: Catalog, file: Path) -> None:
    async with open_catalog(file) as other:
        outcomes = await asyncio.gather(
            *(reserve((catalog, other)[number % 2], "key") for number in range(24)),
            return_exceptions=True,
        )

    assert sum(isinstance(outcome, EntryExists) for outcome in outcomes) == 23


async def test_one_holder_at_a_time(catalog: Catalog, file: Path) -> None:
    async with open_catalog(file) as other:
        async with catalog.exclusively("sweep") as is_mine:
            async with other.exclusively("sweep") as is_theirs:
                pass
            async with other.exclusively("something else") as is_another:
                pass
        async with other.exclusively("sweep") as is_theirs_now:
            pass

    assert (is_mine, is_theirs, is_another, is_theirs_now) == (True, False, True, True)


async def test_what_a_killed_holder_held_is_free(catalog: Catalog, file: Path) -> None:
    holder = await asyncio.create_subprocess_exec(
        sys.executable, "-c", HOLDER, str(file), stdout=subprocess.PIPE
    )
    assert holder.stdout is not None
    held = await holder.stdout.readline()

    async with catalog.exclusively("sweep") as while_it_lives:
        pass
    holder.kill()
    await holder.communicate()
    async with catalog.exclusively("sweep") as after_its_death:
        pass

    assert held == b"True\n"
    assert (while_it_lives, after_its_death) == (False, True)


async def test_a_fact_is_exchanged_for_what_it_was(catalog: Catalog) -> None:
    assert await catalog.exchange_fact("boot_id", "one") is None
    assert await catalog.exchange_fact("boot_id", "two") == "one"
    assert await catalog.exchange_fact("boot_id", "two") == "two"


async def test_a_catalog_keeps_its_name(catalog: Catalog, file: Path) -> None:
    name = await catalog.identity()

    async with open_catalog(file) as again:
        assert await again.identity() == name
    async with open_catalog(file.with_name("other.sqlite3")) as other:
        assert await other.identity() != name


async def test_readers_of_an_idle_catalog_see_what_another_process_wrote(
    catalog: Catalog, file: Path
) -> None:
    query(file, "INSERT INTO repositories (name) VALUES ('octo/theirs')")

    usage = await catalog.repositories.usage("octo/theirs")

    assert (usage.entry_count, usage.size_bytes) == (0, 0)
