"""Opens the catalog at a location; what its engine needs is imported then."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from runcache.catalog.catalog import Catalog
from runcache.catalog.connections import Connections
from runcache.errors import CatalogUnavailable
from runcache.locations import CatalogLocation, PostgresDatabase


@asynccontextmanager
async def open_catalog(
    location: CatalogLocation, *, heard: Callable[[str | None], None] | None = None
) -> AsyncIterator[Catalog]:
    """Open the catalog there, made or brought up to date first, and close it on the way out.

    `heard` hears why the engine is taken for away from now on, or `None` when it is back.

    Raises:
        CatalogUnavailable: it cannot be opened, or a newer runcache has written it.
    """
    async with _opened(location, heard) as connections:
        catalog = Catalog(connections)
        await catalog.set_clock()
        yield catalog


@asynccontextmanager
async def _opened(
    location: CatalogLocation, heard: Callable[[str | None], None] | None
) -> AsyncIterator[Connections]:
    if isinstance(location, PostgresDatabase):
        async with _guarded(location, heard) as connections:
            yield connections
        return
    from runcache.catalog.sqlite import SqliteConnections  # noqa: PLC0415  -- see above

    file = await SqliteConnections.open(location.path)
    try:
        yield file
    finally:
        await file.close()


@asynccontextmanager
async def _guarded(
    database: PostgresDatabase, heard: Callable[[str | None], None] | None
) -> AsyncIterator[Connections]:
    from runcache.catalog.guarded import GuardedConnections  # noqa: PLC0415  -- see above
    from runcache.catalog.postgres import PostgresConnections  # noqa: PLC0415  -- see above
    from runcache.circuits import Circuit  # noqa: PLC0415  -- see above

    circuit = Circuit("catalog", CatalogUnavailable, heard=heard)
    try:
        connections = await PostgresConnections.open(database)
    except CatalogUnavailable as exc:
        if isinstance(exc.__cause__, OSError):
            exc.hint = f"does the database run, and is it `{database.shown}`?"
        raise
    try:
        yield GuardedConnections(connections, circuit)
    finally:
        await circuit.close()
        await connections.close()
