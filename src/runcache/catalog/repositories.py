"""Statements about repositories and what they use."""

from typing import Final

from sqlalchemy import Connection, func, insert, select, update

from runcache.catalog.connections import Connections
from runcache.catalog.tables import BLOBS, ENTRIES, ENTRY_BLOBS, REPOSITORIES
from runcache.model import Usage

_KNOWN_AT_MOST: Final = 10_000


class Repositories:
    """Repositories by name, `owner/name` in lower case: made at need, never removed."""

    def __init__(self, connections: Connections) -> None:
        self._connections = connections
        self._known: dict[str, int] = {}

    async def usage(self, name: str) -> Usage:
        """Return what a repository keeps: zeros for one that never saved anything."""
        columns = (REPOSITORIES.c.entry_count, REPOSITORIES.c.size_bytes)
        row = await self._connections.read(
            lambda c: c.execute(select(*columns).where(REPOSITORIES.c.name == name)).one_or_none()
        )
        return Usage(name, *(row or (0, 0)))

    async def over(self, limit_bytes: int) -> list[Usage]:
        """Return the repositories that keep more than `limit_bytes`."""
        columns = (REPOSITORIES.c.name, REPOSITORIES.c.entry_count, REPOSITORIES.c.size_bytes)
        rows = await self._connections.read(
            lambda c: c.execute(
                select(*columns).where(REPOSITORIES.c.size_bytes > limit_bytes)
            ).all()
        )
        return [Usage(*row) for row in rows]

    async def total_bytes(self) -> int:
        """Return the unique bytes of all repositories together."""
        total = await self._connections.read(
            lambda c: c.scalar(select(func.sum(REPOSITORIES.c.size_bytes)))
        )
        return int(total or 0)

    async def miscounted(self, *, repair: bool) -> list[str]:
        """Name the repositories whose counts differ from their entries; `repair` corrects them."""
        entry_count = (
            select(func.count())
            .where(ENTRIES.c.repository_id == REPOSITORIES.c.id)
            .scalar_subquery()
        )
        held = select(ENTRY_BLOBS.c.blob_id).where(ENTRY_BLOBS.c.blob_id == BLOBS.c.id).exists()
        size_bytes = func.coalesce(
            select(func.sum(BLOBS.c.size_bytes))
            .where(BLOBS.c.repository_id == REPOSITORIES.c.id, held)
            .scalar_subquery(),
            0,
        )
        differs = (REPOSITORIES.c.entry_count != entry_count) | (
            REPOSITORIES.c.size_bytes != size_bytes
        )

        def find(connection: Connection) -> list[str]:
            return list(connection.scalars(select(REPOSITORIES.c.name).where(differs)))

        def correct(connection: Connection) -> list[str]:
            names = find(connection)
            connection.execute(
                update(REPOSITORIES)
                .where(differs)
                .values(entry_count=entry_count, size_bytes=size_bytes)
            )
            return names

        return await (self._connections.write(correct) if repair else self._connections.read(find))

    def id_of(self, connection: Connection, name: str) -> int | None:
        """Return the id of a repository within a transaction, or `None`."""
        known = self._known.get(name)
        if known is not None:
            return known
        found = connection.scalar(select(REPOSITORIES.c.id).where(REPOSITORIES.c.name == name))
        if found is not None:
            self._remember(name, found)
        return found

    def ensure(self, connection: Connection, name: str) -> int:
        """Return the id of a repository within a writing transaction, made if it is new."""
        found = self.id_of(connection, name)
        if found is not None:
            return found
        made: int = connection.execute(
            insert(REPOSITORIES).values(name=name).returning(REPOSITORIES.c.id)
        ).scalar_one()
        return made

    def _remember(self, name: str, repository_id: int) -> None:
        if len(self._known) >= _KNOWN_AT_MOST:
            self._known.clear()
        self._known[name] = repository_id
