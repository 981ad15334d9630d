"""The catalog: every fact the server keeps, and every statement about it, a named method each.

`entries`, `uploads`, `blobs` and `tokens` have the statements of their tables, `snapshots` those of
uploads that become snapshots; this class holds them together.
"""

import secrets
from contextlib import AbstractAsyncContextManager

from sqlalchemy import Connection, delete, select

from runcache.catalog.blobs import Blobs
from runcache.catalog.connections import Connections
from runcache.catalog.entries import Entries
from runcache.catalog.repositories import Repositories
from runcache.catalog.snapshots import Snapshots
from runcache.catalog.tables import FACTS
from runcache.catalog.tokens import Tokens
from runcache.catalog.uploads import Uploads


class Catalog:
    """Facts about repositories, entries, uploads, blobs and API tokens.

    Every method is one transaction and may be called concurrently. All of them raise
    `CatalogUnavailable` when the engine fails.
    """

    def __init__(self, connections: Connections) -> None:
        self._connections = connections
        self.repositories = Repositories(connections)
        self.entries = Entries(connections, self.repositories)
        self.uploads = Uploads(connections, self.repositories)
        self.snapshots = Snapshots(connections, self.repositories)
        self.blobs = Blobs(connections)
        self.tokens = Tokens(connections)

    def exclusively(self, name: str, *, wait: bool = False) -> AbstractAsyncContextManager[bool]:
        """See `Connections.exclusively`."""
        return self._connections.exclusively(name, wait=wait)

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

    async def exchange_fact(self, name: str, value: str) -> str | None:
        """Record that `name` is now `value`, and return what it was."""

        def work(connection: Connection) -> str | None:
            former = connection.scalar(select(FACTS.c.value).where(FACTS.c.name == name))
            if former != value:
                connection.execute(delete(FACTS).where(FACTS.c.name == name))
                connection.execute(FACTS.insert().values(name=name, value=value))
            return former

        return await self._connections.write(work)
