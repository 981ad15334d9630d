"""The catalog: every fact the server keeps, and every statement about it, a named method each.

`entries`, `uploads`, `blobs` and `tokens` have the statements of their tables, `snapshots` those of
uploads that become snapshots, `listing` those of lists of entries and `limits` those of the limits
that are set. `events`, `event_log`, `event_days` and `origins` have those of records, `near`
those about what is around a lookup, `exports` and `imports` those of backups; `promises` and
`copies` are about bytes that do not pass a server. This class holds them together.
"""

import secrets
import time
from contextlib import AbstractAsyncContextManager
from functools import cached_property
from typing import TYPE_CHECKING, Final

from sqlalchemy import BigInteger, Connection, cast, delete, extract, func, select

from runcache.catalog.blobs import Blobs
from runcache.catalog.connections import Connections
from runcache.catalog.entries import Entries
from runcache.catalog.event_days import EventDays
from runcache.catalog.event_log import EventLog
from runcache.catalog.events import Events
from runcache.catalog.limits import SetLimits
from runcache.catalog.origins import Origins
from runcache.catalog.repositories import Repositories
from runcache.catalog.snapshots import Snapshots
from runcache.catalog.tables import FACTS
from runcache.catalog.tokens import Tokens
from runcache.catalog.uploads import Uploads

if TYPE_CHECKING:
    from runcache.catalog.copies import Copies
    from runcache.catalog.exports import Exports
    from runcache.catalog.imports import Imports
    from runcache.catalog.listing import Listing
    from runcache.catalog.near import Near
    from runcache.catalog.promises import Promises

_ENGINE_TIME: Final = extract("epoch", func.clock_timestamp())


class Catalog:
    """Facts about repositories, entries, uploads, blobs and API tokens.

    Every method is one transaction and may be called concurrently. All of them raise
    `CatalogUnavailable` when the engine fails.
    """

    def __init__(self, connections: Connections) -> None:
        self._connections = connections
        self._ahead_ms = 0
        self.repositories = Repositories(connections)
        self.entries = Entries(connections, self.repositories)
        self.uploads = Uploads(connections, self.repositories)
        self.snapshots = Snapshots(connections, self.repositories)
        self.blobs = Blobs(connections)
        self.tokens = Tokens(connections)
        self.events = Events(connections, self.repositories)
        self.event_log = EventLog(connections, self.repositories)
        self.event_days = EventDays(connections)
        self.origins = Origins(connections)
        self.limits = SetLimits(connections)

    @cached_property
    def listing(self) -> "Listing":
        """The statements of lists of entries."""
        from runcache.catalog.listing import Listing  # noqa: PLC0415  -- no save or restore lists

        return Listing(self._connections, self.repositories)

    @cached_property
    def near(self) -> "Near":
        """The statements about what is around a lookup."""
        from runcache.catalog.near import Near  # noqa: PLC0415  -- as above

        return Near(self._connections, self.repositories)

    @cached_property
    def promises(self) -> "Promises":
        """The statements about what clients put into the store themselves."""
        from runcache.catalog.promises import Promises  # noqa: PLC0415  -- direct transfers alone

        return Promises(self._connections)

    @cached_property
    def copies(self) -> "Copies":
        """The statements about what the store composes."""
        from runcache.catalog.copies import Copies  # noqa: PLC0415  -- as above

        return Copies(self._connections)

    @cached_property
    def exports(self) -> "Exports":
        """The statements that read everything for a backup."""
        from runcache.catalog.exports import Exports  # noqa: PLC0415  -- as above

        return Exports(self._connections)

    @cached_property
    def imports(self) -> "Imports":
        """The statements that bring a backup back."""
        from runcache.catalog.imports import Imports  # noqa: PLC0415  -- as above

        return Imports(self._connections, self.repositories)

    def exclusively(self, name: str, *, wait: bool = False) -> AbstractAsyncContextManager[bool]:
        """See `Connections.exclusively`."""
        return self._connections.exclusively(name, wait=wait)

    def now_ms(self) -> int:
        """Return the time in milliseconds since 1970, by the clock that all replicas share.

        That of this machine, corrected as `set_clock` found it.
        """
        return time.time_ns() // 1_000_000 + self._ahead_ms

    async def set_clock(self) -> None:
        """Ask the engine what time it is; one in this process has no other clock."""

        def work(connection: Connection) -> int | None:
            if connection.dialect.name == "sqlite":
                return None
            return connection.scalar(select(cast(_ENGINE_TIME * 1000, BigInteger)))

        before = time.time_ns()
        engine_ms = await self._connections.read(work)
        if engine_ms is not None:
            # As if it had answered halfway.
            self._ahead_ms = engine_ms - (before + time.time_ns()) // 2_000_000

    async def identity(self) -> str:
        """Return what tells this catalog from all others: 32 hexadecimal characters."""

        def work(connection: Connection) -> str:
            known: str | None = connection.scalar(select(FACTS.c.value).where(FACTS.c.name == "id"))
            if known is not None:
                return known
            made = secrets.token_hex(16)
            connection.execute(FACTS.insert().values(name="id", value=made))
            return made

        return await self._connections.write(work)

    async def fact(self, name: str) -> str | None:
        """Return what was recorded under `name`."""
        statement = select(FACTS.c.value).where(FACTS.c.name == name)
        return await self._connections.read(lambda c: c.scalar(statement))

    async def exchange_fact(self, name: str, value: str) -> str | None:
        """Record that `name` is now `value`, and return what it was."""

        def work(connection: Connection) -> str | None:
            former = connection.scalar(select(FACTS.c.value).where(FACTS.c.name == name))
            if former != value:
                connection.execute(delete(FACTS).where(FACTS.c.name == name))
                connection.execute(FACTS.insert().values(name=name, value=value))
            return former

        return await self._connections.write(work)
