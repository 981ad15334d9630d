"""The embedded catalog: one SQLite file in WAL mode, that several processes may use at once.

One thread reads and one writes, each with a connection of its own that it keeps: a lookup then
costs one statement (6 900 to 11 100 a second, where `aiosqlite` gives 1 480), and never waits for a
writer. A third one is for lists and sums, which may take long.
"""

import asyncio
import fcntl
import os
import sqlite3
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from functools import partial
from pathlib import Path
from typing import Final, TypeVar

from sqlalchemy import Connection, create_engine, event
from sqlalchemy.engine import URL, Engine
from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.pool import NullPool

from runcache.catalog.connections import Duplicate
from runcache.catalog.migrate import upgrade
from runcache.catalog.turns import turn
from runcache.errors import CatalogUnavailable
from runcache.threads import WorkerThreads

T = TypeVar("T")

BUSY_SECONDS: Final = 10
_ASK_EVERY_SECONDS: Final = 0.1
_DUPLICATE: Final = frozenset({"SQLITE_CONSTRAINT_UNIQUE", "SQLITE_CONSTRAINT_PRIMARYKEY"})


class SqliteConnections:
    """The threads and their connections (`Connections` is the contract)."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._reader = WorkerThreads("catalog-read")
        self._long_reader = WorkerThreads("catalog-long-read")
        self._writer = WorkerThreads("catalog-write")
        self._read_connection: Connection | None = None
        self._long_read_connection: Connection | None = None
        self._write_connection: Connection | None = None

    @classmethod
    async def open(cls, path: Path) -> "SqliteConnections":
        """Open both connections, after the schema was brought up to date."""
        self = cls(path)
        try:
            await self._writer.run(self._open_writer)
            await self._reader.run(self._open_reader)
        except BaseException:
            await self.close()
            raise
        return self

    async def close(self) -> None:
        """Close both connections and end their threads."""
        await self._reader.run(partial(_close, self._read_connection))
        await self._long_reader.run(partial(_close, self._long_read_connection))
        await self._writer.run(partial(_close, self._write_connection))
        self._reader.end()
        self._long_reader.end()
        self._writer.end()

    async def look_up(self, work: Callable[[Connection], T]) -> T:
        """See `Connections.look_up`; the file answers as soon as it can.

        There is no transaction around it: at each step of a statement the thread lets go of the
        interpreter, and waits for it again, which takes longer than the step.
        """
        return await self._reader.run(partial(self._look_up, work))

    async def read(self, work: Callable[[Connection], T]) -> T:
        """See `Connections.read`."""
        assert self._read_connection is not None  # noqa: S101  -- open() has run
        return await self._reader.run(partial(_read, self._read_connection, work))

    async def read_long(self, work: Callable[[Connection], T]) -> T:
        """See `Connections.read_long`; what never reads long never opens a third connection."""
        return await self._long_reader.run(partial(self._read_long, work))

    async def write(self, work: Callable[[Connection], T]) -> T:
        """See `Connections.write`."""
        return await self._writer.run(partial(self._write, work))

    @asynccontextmanager
    async def exclusively(self, name: str, *, wait: bool = False) -> AsyncIterator[bool]:
        """See `Connections.exclusively`; a file beside the catalog is locked."""
        # A thread that waits would keep this process from ending.
        while (  # noqa: ASYNC110  -- no other process says that it is done
            lock := await asyncio.to_thread(self._lock_file, name)
        ) is None and wait:
            await asyncio.sleep(_ASK_EVERY_SECONDS)
        try:
            yield lock is not None
        finally:
            if lock is not None:
                await asyncio.to_thread(os.close, lock)

    def _look_up(self, work: Callable[[Connection], T]) -> T:
        assert self._read_connection is not None  # noqa: S101  -- open() has run
        with _sqlite_errors():
            return work(self._read_connection)

    def _read_long(self, work: Callable[[Connection], T]) -> T:
        if self._long_read_connection is None:
            with _sqlite_errors():
                self._long_read_connection = _engine(self._path).connect()
        return _read(self._long_read_connection, work)

    def _write(self, work: Callable[[Connection], T]) -> T:
        assert self._write_connection is not None  # noqa: S101  -- open() has run
        lock = self._lock_path("write")
        with (
            _sqlite_errors(),
            turn(lock, within_seconds=BUSY_SECONDS),
            self._write_connection.begin(),
        ):
            return work(self._write_connection)

    def _open_writer(self) -> None:
        with _sqlite_errors():
            self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._write_connection = _writing(_engine(self._path)).connect()
            upgrade(self._write_connection)

    def _open_reader(self) -> None:
        with _sqlite_errors():
            self._read_connection = _engine(self._path).connect()

    def _lock_file(self, name: str) -> int | None:
        lock = os.open(self._lock_path(name), os.O_CREAT | os.O_RDWR, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(lock)
            return None
        return lock

    def _lock_path(self, name: str) -> Path:
        return self._path.with_suffix(f".{name}-lock")


def _engine(path: Path) -> Engine:
    engine = create_engine(
        URL.create("sqlite", database=str(path)),
        poolclass=NullPool,
        connect_args={"timeout": BUSY_SECONDS, "check_same_thread": False},
    )

    @event.listens_for(engine, "connect")
    def prepare(connection: sqlite3.Connection, _record: object) -> None:
        # Transactions begin where we say so, not where the driver guesses.
        connection.isolation_level = None
        for pragma in (
            "journal_mode = WAL",
            # A commit does not wait for the disk. After a power failure the last ones may be
            # missing, never torn.
            "synchronous = NORMAL",
            "foreign_keys = ON",
            "cache_size = -65536",
            "mmap_size = 1073741824",
        ):
            connection.execute(f"PRAGMA {pragma}")

    return engine


def _writing(engine: Engine) -> Engine:
    @event.listens_for(engine, "begin")
    def begin_transaction(connection: Connection) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE")

    return engine


def _read(connection: Connection, work: Callable[[Connection], T]) -> T:
    # At the driver, since SQLAlchemy's own begin and commit take longer than a lookup.
    execute = connection.connection.execute
    with _sqlite_errors():
        execute("BEGIN")
        try:
            return work(connection)
        finally:
            execute("COMMIT")


def _close(connection: Connection | None) -> None:
    if connection is not None:
        connection.close()
        connection.engine.dispose()


@contextmanager
def _sqlite_errors() -> Iterator[None]:
    try:
        yield
    except IntegrityError as exc:
        if getattr(exc.orig, "sqlite_errorname", "") in _DUPLICATE:
            raise Duplicate from exc
        message = f"the catalog contradicts itself: {exc.orig}"
        raise CatalogUnavailable(message) from exc
    except (DBAPIError, sqlite3.Error, OSError) as exc:
        cause = exc.orig if isinstance(exc, DBAPIError) else exc
        message = f"the catalog cannot be used: {cause}"
        raise CatalogUnavailable(message) from exc
