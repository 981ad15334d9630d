"""Statements about repositories and what they use."""

from collections.abc import Collection
from typing import Final

from sqlalchemy import ColumnElement, Connection, func, insert, or_, select, update

from runcache.catalog import tallies
from runcache.catalog.connections import Connections
from runcache.catalog.tables import BLOBS, ENTRIES, ENTRY_BLOBS, REPOSITORIES
from runcache.model import Usage

_KNOWN_AT_MOST: Final = 10_000
_USAGE: Final = (REPOSITORIES.c.name, REPOSITORIES.c.entry_count, REPOSITORIES.c.size_bytes)


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

    async def owner_usage(self, owner: str) -> Usage:
        """Return what the repositories of `owner` keep together."""
        statement = select(
            func.coalesce(func.sum(REPOSITORIES.c.entry_count), 0),
            func.coalesce(func.sum(REPOSITORIES.c.size_bytes), 0),
        ).where(_owned_by(owner))
        row = await self._connections.read(lambda c: c.execute(statement).one())
        return Usage(owner, *map(int, row))

    async def usages(
        self,
        *,
        owners: Collection[str] | None,
        repositories: Collection[str] | None,
        limit: int,
        offset: int,
    ) -> tuple[list[Usage], int]:
        """Return what repositories keep, the largest first, and how many there are.

        Counted are those named and those of `owners`; all that there are if both are `None`.
        """
        chosen = select(*_USAGE)
        if owners is not None or repositories is not None:
            named = REPOSITORIES.c.name.in_(repositories or ())
            chosen = chosen.where(or_(named, *map(_owned_by, owners or ())))
        counted = select(func.count()).select_from(chosen.subquery())
        order = (REPOSITORIES.c.size_bytes.desc(), REPOSITORIES.c.name)
        page = chosen.order_by(*order).limit(limit).offset(offset)

        def work(connection: Connection) -> tuple[list[Usage], int]:
            rows = connection.execute(page).all()
            total_count = connection.scalars(counted).one()
            return [Usage(*row) for row in rows], total_count

        return await self._connections.read(work)

    async def names_of(self, owner: str) -> list[str]:
        """Name the repositories of `owner`."""
        statement = select(REPOSITORIES.c.name).where(_owned_by(owner))
        return await self._connections.read(lambda c: list(c.scalars(statement)))

    async def over(self, limit_bytes: int) -> list[Usage]:
        """Return the repositories that keep more than `limit_bytes`."""
        statement = select(*_USAGE).where(REPOSITORIES.c.size_bytes > limit_bytes)
        rows = await self._connections.read(lambda c: c.execute(statement).all())
        return [Usage(*row) for row in rows]

    async def unused(self, before_ms: int) -> list[str]:
        """Name the repositories with entries whose last access lies before then."""
        statement = (
            select(REPOSITORIES.c.name)
            .join(ENTRIES, ENTRIES.c.repository_id == REPOSITORIES.c.id)
            .where(ENTRIES.c.last_accessed_at < before_ms)
            .distinct()
        )
        return await self._connections.read_long(lambda c: list(c.scalars(statement)))

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
            names = connection.scalars(select(REPOSITORIES.c.name).where(differs))
            return sorted({*names, *tallies.miscounted(connection)})

        def correct(connection: Connection) -> list[str]:
            names = find(connection)
            connection.execute(
                update(REPOSITORIES)
                .where(differs)
                .values(entry_count=entry_count, size_bytes=size_bytes)
            )
            if names:
                tallies.count_anew(connection)
            return names

        run = self._connections.write if repair else self._connections.read_long
        return await run(correct if repair else find)

    def id_of(self, connection: Connection, name: str) -> int | None:
        """Return the id of a repository within a transaction, or `None`."""
        known = self._known.get(name)
        if known is not None:
            return known
        found = _id_of(connection, name)
        if found is not None:
            self._remember(name, found)
        return found

    def ensure(self, connection: Connection, name: str) -> int:
        """Return the id of a repository within a writing transaction, made if it is new."""
        # Not remembered: this transaction may have made it, and may be rolled back.
        found = self._known.get(name) or _id_of(connection, name)
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


def _id_of(connection: Connection, name: str) -> int | None:
    return connection.scalar(select(REPOSITORIES.c.id).where(REPOSITORIES.c.name == name))


def _owned_by(owner: str) -> ColumnElement[bool]:
    # Behind the slash comes the nought: a range of the index.
    return (REPOSITORIES.c.name > f"{owner}/") & (REPOSITORIES.c.name < f"{owner}0")
