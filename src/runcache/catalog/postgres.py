"""The shared catalog: a PostgreSQL database that any number of replicas use at once.

Everything runs in the event loop: SQLAlchemy gives work a synchronous connection in a greenlet.
What the driver does between transactions is said to it directly, as SQLAlchemy's own way takes
longer than a lookup.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, Final, TypeVar

import asyncpg
from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.pool import NullPool

from runcache.catalog.leases import Leases, fenced
from runcache.catalog.migrate import is_current, upgrade
from runcache.catalog.postgres_engine import LOOKUP_PLANS, engine_for, postgres_errors
from runcache.errors import CatalogUnavailable
from runcache.locations import PostgresDatabase

T = TypeVar("T")

LOOKUP_SECONDS: Final = 1
STATEMENT_SECONDS: Final = 10

_LOOKUPS_AT_ONCE: Final = 4
_READS_AT_ONCE: Final = 3
_LONG_READS_AT_ONCE: Final = 2

_AUTOCOMMIT: Final = None
_SNAPSHOT: Final = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"
# Alone among all writers. With SERIALIZABLE instead, 24 savers on two replicas got 0.56 of these
# saves a second into one repository and 0.83 into twelve, after 160 and 180 retries a second.
_ALONE: Final = "BEGIN; SELECT pg_advisory_xact_lock(7310577365315)"


class PostgresConnections:
    """Two pools of connections (`Connections` is the contract): for lookups, and for all else."""

    def __init__(self, database: PostgresDatabase) -> None:
        self._lookups = engine_for(
            database,
            size=_LOOKUPS_AT_ONCE,
            seconds=LOOKUP_SECONDS,
            **LOOKUP_PLANS,
        )
        self._engine = engine_for(
            database, size=_READS_AT_ONCE + _LONG_READS_AT_ONCE + 1, seconds=STATEMENT_SECONDS
        )
        self._reading = asyncio.Semaphore(_READS_AT_ONCE)
        self._reading_long = asyncio.Semaphore(_LONG_READS_AT_ONCE)
        self._writing = asyncio.Semaphore(1)
        self._writes: set[asyncio.Task[Any]] = set()
        self._leases = Leases(self._write)

    @classmethod
    async def open(cls, database: PostgresDatabase) -> "PostgresConnections":
        """Open a connection, and bring the schema up to date.

        Raises:
            CatalogUnavailable: the database cannot be used, or a newer runcache has written it.
        """
        self = cls(database)
        try:
            if not await self.read(_is_ready):
                # Alembic reads files: not in the loop.
                await asyncio.to_thread(asyncio.run, _migrate(database))
        except BaseException:
            await self.close()
            raise
        return self

    async def close(self) -> None:
        """Wait for what is being written, and close all connections."""
        await asyncio.gather(*self._writes, return_exceptions=True)
        await self._lookups.dispose()
        await self._engine.dispose()

    async def look_up(self, work: Callable[[Connection], T]) -> T:
        """See `Connections.look_up`."""
        return await _run(self._lookups, _AUTOCOMMIT, work)

    async def read(self, work: Callable[[Connection], T]) -> T:
        """See `Connections.read`."""
        async with _turn(self._reading):
            return await _run(self._engine, _SNAPSHOT, work)

    async def read_long(self, work: Callable[[Connection], T]) -> T:
        """See `Connections.read_long`."""
        async with _turn(self._reading_long):
            return await _run(self._engine, _SNAPSHOT, work)

    async def write(self, work: Callable[[Connection], T]) -> T:
        """See `Connections.write`."""
        return await self._write(fenced(work))

    def exclusively(self, name: str, *, wait: bool = False) -> AbstractAsyncContextManager[bool]:
        """See `Connections.exclusively`; it is a row that its holder renews (`catalog/leases.py`).

        Raises:
            CatalogUnavailable: also when the lease could not be kept: what ran has been cancelled.
        """
        return self._leases.exclusively(name, wait=wait)

    async def _write(self, work: Callable[[Connection], T]) -> T:
        # Done all the same if nobody waits for it any more.
        task = asyncio.create_task(self._write_alone(work))
        self._writes.add(task)
        task.add_done_callback(self._writes.discard)
        return await asyncio.shield(task)

    async def _write_alone(self, work: Callable[[Connection], T]) -> T:
        # More than one of this process would only wait for each other in the database.
        async with _turn(self._writing):
            return await _run(self._engine, _ALONE, work)


async def _run(engine: AsyncEngine, begin: str | None, work: Callable[[Connection], T]) -> T:
    """Run work in a transaction, or if it has no beginning, each statement of it in its own."""
    with postgres_errors():
        async with engine.connect() as connection:
            driver: Any = (await connection.get_raw_connection()).driver_connection
            try:
                if begin is _AUTOCOMMIT:
                    return await connection.run_sync(work)
                await driver.execute(begin)
                try:
                    result = await connection.run_sync(work)
                except (Exception, asyncio.CancelledError) as exc:
                    if not _is_in_doubt(exc):
                        await driver.execute("ROLLBACK")
                    raise
                await driver.execute("COMMIT")
            except BaseException as exc:
                if _is_in_doubt(exc):
                    # At once: to say goodbye would wait for an answer.
                    driver.terminate()
                    await connection.invalidate()
                raise
            else:
                return result


def _is_in_doubt(exc: BaseException) -> bool:
    """Say whether the connection may be in the middle of something after this."""
    return isinstance(
        exc, OSError | TimeoutError | asyncio.CancelledError | asyncpg.InterfaceError
    ) or (isinstance(exc, DBAPIError) and exc.connection_invalidated)


@asynccontextmanager
async def _turn(semaphore: asyncio.Semaphore) -> AsyncIterator[None]:
    try:
        async with asyncio.timeout(STATEMENT_SECONDS):
            await semaphore.acquire()
    except TimeoutError as exc:
        message = f"the catalog cannot be used: it was busy for {STATEMENT_SECONDS} s"
        raise CatalogUnavailable(message) from exc
    try:
        yield
    finally:
        semaphore.release()


def _is_ready(connection: Connection) -> bool:
    encoding = connection.exec_driver_sql("SHOW server_encoding").scalar()
    if encoding != "UTF8":
        message = (
            f"the catalog cannot be used: its database has the encoding `{encoding}`:"
            " make one with `ENCODING 'UTF8' TEMPLATE template0`"
        )
        raise CatalogUnavailable(message)
    return is_current(connection)


async def _migrate(database: PostgresDatabase) -> None:
    async def connect() -> "asyncpg.Connection[asyncpg.Record]":
        return await asyncpg.connect(database.url)

    engine = create_async_engine("postgresql+asyncpg://", async_creator=connect, poolclass=NullPool)
    with postgres_errors():
        async with engine.connect() as connection:
            await connection.run_sync(upgrade)
