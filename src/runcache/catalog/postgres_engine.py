"""Connections to PostgreSQL: how they are made and replaced, and what their errors mean."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import asyncpg
from sqlalchemy import event
from sqlalchemy.exc import (
    DBAPIError,
    DisconnectionError,
    EmulatedDBAPIException,
    SQLAlchemyError,
)
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from runcache.catalog.connections import Duplicate
from runcache.errors import CatalogUnavailable, InvalidKey
from runcache.locations import PostgresDatabase

# A transaction that says nothing for so long is that of a replica that froze or was cut off: what
# it keeps from others is theirs again before they give up.
SILENT_SECONDS: Final = 5

PLANS: Final = {
    # What it costs to compile a statement, no statement here ever earns.
    "jit": "off",
}
"""What the server is told of how to plan statements."""

LOOKUP_PLANS: Final = {
    # Once, not each time: the same plan is the best whatever is asked.
    "plan_cache_mode": "force_generic_plan",
    # A plan that was made while tables were small is kept for a while when they have grown.
    "enable_seqscan": "off",
    # The newest of a scope are read in order, not sorted out of all of them.
    "enable_bitmapscan": "off",
    "enable_incremental_sort": "off",
    "enable_sort": "off",
}
"""What it is told besides of how to plan lookups."""

_UNIQUE: Final = "23505"
_TOO_LARGE_FOR_INDEX: Final = "54000"


def engine_for(
    database: PostgresDatabase, *, size: int, seconds: int, **settings: str
) -> AsyncEngine:
    """Return an engine of up to `size` connections, whose statements take at most `seconds`.

    It begins no transactions. `settings` are those of the server for these connections.
    """

    async def connect() -> "asyncpg.Connection[asyncpg.Record]":
        return await asyncpg.connect(
            database.url,
            timeout=seconds,
            command_timeout=seconds,
            server_settings={
                "application_name": "runcache",
                "idle_in_transaction_session_timeout": f"{SILENT_SECONDS}s",
                "statement_timeout": f"{seconds}s",
                **PLANS,
                **settings,
            },
        )

    engine = create_async_engine(
        "postgresql+asyncpg://",
        async_creator=connect,
        isolation_level="AUTOCOMMIT",
        pool_size=size,
        max_overflow=0,
        pool_timeout=seconds,
    )

    @event.listens_for(engine.sync_engine, "checkout")
    def is_alive(connection: Any, *_: object) -> None:  # noqa: ANN401  -- SQLAlchemy's own
        # It has noticed if the server has gone away meanwhile: then the pool makes another one.
        if connection.driver_connection.is_closed():
            raise DisconnectionError

    return engine


@contextmanager
def postgres_errors() -> Iterator[None]:
    """Turn what driver and server raise into errors of ours.

    Raises:
        Duplicate: a unique constraint stopped a statement.
        InvalidKey: a key is too long for an index, together with what is beside it.
        CatalogUnavailable: all else.
    """
    try:
        yield
    except (DBAPIError, EmulatedDBAPIException, asyncpg.PostgresError) as exc:
        cause = exc.orig if isinstance(exc, DBAPIError) else exc
        state = getattr(cause, "sqlstate", None)
        if state == _UNIQUE:
            raise Duplicate from exc
        if state == _TOO_LARGE_FOR_INDEX:
            raise InvalidKey("with its ref and version it is too long for PostgreSQL") from exc
        message = f"the catalog cannot be used: {_said(cause)}"
        raise CatalogUnavailable(message) from exc
    except (SQLAlchemyError, asyncpg.InterfaceError, OSError) as exc:
        message = f"the catalog cannot be used: {_said(exc)}"
        raise CatalogUnavailable(message) from exc


def _said(exc: BaseException | None) -> str:
    # SQLAlchemy's own texts go on with the statement and its parameters.
    text = str(exc).partition("\n")[0].removeprefix(f"{type(exc)}: ")
    return text or type(exc).__name__
