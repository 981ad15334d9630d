"""Statements about lists of entries: a page, how many there are, and sums over groups of them."""

from collections.abc import Sequence
from typing import Final

from sqlalchemy import ColumnElement, Connection, func, select

from runcache.catalog.connections import Connections
from runcache.catalog.entries import entry_of
from runcache.catalog.lookup import prefix_end
from runcache.catalog.repositories import Repositories
from runcache.catalog.selecting import Selected
from runcache.catalog.tables import ENTRIES, REPOSITORIES, TALLIES
from runcache.listing import FamilyUsage, Order, Position, RefUsage, Selection, Unreachable
from runcache.model import Entry

_PULL_REQUESTS: Final = "refs/pull/"


class Listing:
    """The entries of a repository, as people look at them."""

    def __init__(self, connections: Connections, repositories: Repositories) -> None:
        self._connections = connections
        self._repositories = repositories

    async def page(
        self,
        repository: str,
        selection: Selection,
        order: Order,
        *,
        behind: Position | None,
        offset: int,
        limit: int,
    ) -> tuple[list[Entry], int]:
        """Return entries in order, from behind a place or from `offset`, and how many fit."""

        def work(connection: Connection) -> tuple[list[Entry], int]:
            repository_id = self._repositories.id_of(connection, repository)
            if repository_id is None or not selection.may_fit:
                return [], 0
            selected = Selected(connection, repository_id, selection)
            count = selected.count()
            ids = selected.ids(order, count=count, behind=behind, offset=offset, limit=limit)
            return _by_ids(connection, ids), count

        return await self._connections.read_long(work)

    async def by_ids(self, entry_ids: Sequence[int]) -> list[Entry]:
        """Return entries in the order of their ids here, without those that are gone."""
        return await self._connections.read(lambda c: _by_ids(c, entry_ids))

    async def ids(self, repository: str, key: str, *, ref: str | None) -> list[int]:
        """Return the ids of the entries with exactly this key, of one ref or of all."""
        selection = Selection(key=key, ref=ref)

        def work(connection: Connection) -> list[int]:
            repository_id = self._repositories.id_of(connection, repository)
            if repository_id is None or not selection.may_fit:
                return []
            return Selected(connection, repository_id, selection).all_ids()

        return await self._connections.read(work)

    async def refs(self, repository: str) -> list[RefUsage]:
        """Return what each ref has, the largest first."""
        rows = await self._grouped(repository, TALLIES.c.scope)
        return [RefUsage(*row) for row in rows]

    async def families(self, repository: str) -> list[FamilyUsage]:
        """Return what each family of keys has, the largest first."""
        rows = await self._grouped(repository, TALLIES.c.family)
        return [FamilyUsage(*row) for row in rows]

    async def unreachable(self, repository: str, *, idle_before_ms: int) -> Unreachable:
        """Sum up the entries that most likely nobody restores any more."""
        is_idle = (
            (ENTRIES.c.scope >= _PULL_REQUESTS)
            & (ENTRIES.c.scope < prefix_end(_PULL_REQUESTS))
            & (ENTRIES.c.last_accessed_at < idle_before_ms)
        )
        newest = func.max(ENTRIES.c.created_at).over(
            partition_by=(ENTRIES.c.scope, ENTRIES.c.version, ENTRIES.c.family)
        )

        def work(connection: Connection) -> Unreachable:
            repository_id = self._repositories.id_of(connection, repository)
            entries = (
                select(
                    ENTRIES.c.size_bytes,
                    is_idle.label("is_idle"),
                    (ENTRIES.c.last_accessed_at < newest).label("is_superseded"),
                )
                .where(ENTRIES.c.repository_id == repository_id)
                .subquery()
            )
            counts = select(
                entries.c.is_idle, func.count(), func.sum(entries.c.size_bytes)
            ).group_by(entries.c.is_idle)
            found = {
                bool(is_idle): (count, int(size_bytes))
                for is_idle, count, size_bytes in connection.execute(
                    counts.where(entries.c.is_idle | entries.c.is_superseded)
                )
            }
            idle, superseded = found.get(True, (0, 0)), found.get(False, (0, 0))
            return Unreachable(
                idle_pull_request_count=idle[0],
                idle_pull_request_bytes=idle[1],
                superseded_count=superseded[0],
                superseded_bytes=superseded[1],
            )

        return await self._connections.read_long(work)

    async def _grouped(
        self, repository: str, column: ColumnElement[str]
    ) -> list[tuple[str, int, int]]:
        entry_count, size_bytes = func.sum(TALLIES.c.entry_count), func.sum(TALLIES.c.size_bytes)

        def work(connection: Connection) -> list[tuple[str, int, int]]:
            repository_id = self._repositories.id_of(connection, repository)
            rows = connection.execute(
                select(column, entry_count, size_bytes)
                .where(TALLIES.c.repository_id == repository_id)
                .group_by(column)
                .order_by(size_bytes.desc(), column)
            )
            return [(name, int(entries), int(total)) for name, entries, total in rows]

        return await self._connections.read_long(work)


def _by_ids(connection: Connection, entry_ids: Sequence[int]) -> list[Entry]:
    named = ENTRIES.join(REPOSITORIES, REPOSITORIES.c.id == ENTRIES.c.repository_id)
    chosen = select(ENTRIES, REPOSITORIES.c.name.label("repository")).select_from(named)
    rows = connection.execute(chosen.where(ENTRIES.c.id.in_(entry_ids)))
    found = {row.id: entry_of(row) for row in rows}
    return [found[entry_id] for entry_id in entry_ids if entry_id in found]
