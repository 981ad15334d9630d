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
from sqlalchemy import Connection, text

from runcache.catalog.catalog import Catalog
from runcache.catalog.opening import open_catalog
from runcache.catalog.sqlite import SqliteConnections
from runcache.errors import CatalogUnavailable
from runcache.locations import SqliteFile
from tests.catalog.facts import add_fact, known_facts

HOLDER: Final = """
import asyncio, sys
from pathlib import Path
from runcache.catalog.opening import open_catalog
from runcache.locations import SqliteFile

async def main():
    file = SqliteFile(Path(sys.argv[1]))
    async with open_catalog(file) as catalog, catalog.exclusively("sweep") as is_mine:
        print(is_mine, flush=True)
        await asyncio.sleep(60)

asyncio.run(main())
"""


@pytest.fixture
def location(file: Path) -> SqliteFile:
    return SqliteFile(file)


@pytest.fixture
async def connections(file: Path) -> AsyncIterator[SqliteConnections]:
    connections = await SqliteConnections.open(file)
    yield connections
    await connections.close()


async def test_a_reader_sees_one_state_and_never_waits_for_a_writer(
    connections: SqliteConnections, file: Path
) -> None:
    with closing(sqlite3.connect(file, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        other.execute("INSERT INTO facts VALUES ('theirs', '')")

        while_it_writes = await asyncio.wait_for(known_facts(connections), 30)
        other.execute("COMMIT")

    assert while_it_writes == set()
    assert await known_facts(connections) == {"theirs"}


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
    meanwhile = await known_facts(connections)
    may_end.set()

    assert meanwhile == {"one"}
    assert await long_read == [0, 0]


@pytest.mark.parametrize("name", ["text", "folder", "text/catalog.sqlite3"])
def test_what_is_no_catalog_cannot_be_opened(tmp_path: Path, name: str) -> None:
    (tmp_path / "text").write_bytes(b"not a database at all" * 100)
    (tmp_path / "folder").mkdir()

    async def open_it() -> None:
        async with open_catalog(SqliteFile(tmp_path / name)):
            pass

    with pytest.raises(CatalogUnavailable, match="cannot be used"):
        asyncio.run(open_it())


async def test_one_holder_at_a_time(catalog: Catalog, file: Path) -> None:
    async with open_catalog(SqliteFile(file)) as other:
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


async def test_another_catalog_has_another_name(catalog: Catalog, file: Path) -> None:
    async with open_catalog(SqliteFile(file.with_name("other.sqlite3"))) as other:
        assert await other.identity() != await catalog.identity()
