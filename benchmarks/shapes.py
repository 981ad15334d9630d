"""The ways to run it that are told apart by what they cost: alone, replicas, direct transfers."""

import asyncio
import os
import sqlite3
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

import asyncpg

from runcache.catalog.tables import METADATA
from runcache.testing.live_server import LiveServer
from tests.engines import postgres, seaweedfs

ShapeName = Literal["alone", "replica", "direct"]
SHAPES: Final[dict[ShapeName, str]] = {
    "alone": "SQLite and a folder",
    "replica": "PostgreSQL and S3",
    "direct": "the same, direct transfers",
}
PARTS: Final = ("server", "database", "store")
_TICKS_PER_SECOND: Final = os.sysconf("SC_CLK_TCK")
# Of `/proc/PID/stat`, behind the name: parent, then processor time, its own and of ended children.
_PARENT, _TIMES = 1, slice(11, 15)


@dataclass(frozen=True, slots=True)
class Shape:
    """A running server, and the processes of its engines, if it has some."""

    name: ShapeName
    server: LiveServer
    catalog: str
    database: int | None = None
    store: int | None = None

    def processor_seconds(self) -> dict[str, float]:
        """Return what each part has used so far, its children included."""
        numbers = (self.server.process.pid, self.database, self.store)
        parts = zip(PARTS, numbers, strict=True)
        return {part: _seconds_of(number) for part, number in parts if number is not None}

    def processes(self) -> list[int]:
        """Return the numbers of those that go on after an answer: a store, while it composes."""
        return [number for number in (self.server.process.pid, self.store) if number is not None]

    def catalog_size(self) -> tuple[int, int]:
        """Return the bytes of the catalog, and its rows."""
        if self.name == "alone":
            return _size_of_file(self.catalog)
        return asyncio.run(_size_of_database(self.catalog))


@contextmanager
def running(folder: Path) -> Iterator[list[Shape]]:
    """Run one server of each shape below `folder`; two of them share their engines."""
    with ExitStack() as stack:
        yield list(_shapes(folder, stack))


def _shapes(folder: Path, stack: ExitStack) -> Iterator[Shape]:
    data = folder / "alone"
    server = stack.enter_context(LiveServer(data, repo_limit="100GB"))
    yield Shape("alone", server, str(data / "catalog.sqlite3"))
    database = stack.enter_context(postgres.running())
    bucket_folder = folder / "bucket"
    bucket_folder.mkdir()
    weed = stack.enter_context(seaweedfs.running(bucket_folder))
    names: tuple[ShapeName, ...] = ("replica", "direct")
    for name in names:
        catalog = stack.enter_context(database.database())
        server = LiveServer(
            folder / name,
            environ=seaweedfs.ENVIRONMENT,
            catalog=catalog,
            store=weed.store_url(name),
            direct_transfers=str(name == "direct").lower(),
            repo_limit="100GB",
        )
        stack.enter_context(server)
        yield Shape(name, server, catalog, database.process.pid, weed.process.pid)


def _size_of_file(catalog: str) -> tuple[int, int]:
    with closing(sqlite3.connect(f"file:{catalog}?mode=ro", uri=True)) as connection:
        ((pages, page_bytes),) = connection.execute(
            "SELECT page_count, page_size FROM pragma_page_count, pragma_page_size"
        )
        counted = [connection.execute(query).fetchone()[0] for query in _counts()]
    return pages * page_bytes, sum(counted)


async def _size_of_database(url: str) -> tuple[int, int]:
    connection = await asyncpg.connect(url)
    try:
        size_bytes = await connection.fetchval("SELECT pg_database_size(current_database())")
        counted = [await connection.fetchval(query) for query in _counts()]
    finally:
        await connection.close()
    return size_bytes, sum(counted)


def _counts() -> Iterator[str]:
    for table in METADATA.sorted_tables:
        yield f"SELECT count(*) FROM {table.name}"  # noqa: S608  -- names of our own


def _seconds_of(process: int) -> float:
    """Return the processor time of a process, of those that it started, and of those that ended."""
    fields: dict[int, list[str]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            try:
                text = (entry / "stat").read_text()
            except (FileNotFoundError, ProcessLookupError):
                continue
            fields[int(entry.name)] = text.rpartition(")")[2].split()
    family, found = [process], 0.0
    while family:
        number = family.pop()
        found += sum(map(int, fields[number][_TIMES])) / _TICKS_PER_SECOND
        family += [child for child, of in fields.items() if int(of[_PARENT]) == number]
    return found
