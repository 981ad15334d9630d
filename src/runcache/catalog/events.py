"""Questions about events: what happened to entries, and to lookups.

How they come to be is said in `event_log.py`.
"""

from collections.abc import Collection, Sequence
from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, Row, Select, func, select
from sqlalchemy.sql.elements import TextClause

from runcache.catalog.connections import Connections
from runcache.catalog.lookup import prefix_end
from runcache.catalog.repositories import Repositories
from runcache.catalog.tables import EVENTS, IS_CHANGE, REPOSITORIES
from runcache.records import CHANGES, REMOVALS, Event, EventKind

# How many rows one question looks at at first, and at the most before others get their turn.
_FIRST_SCANNED: Final = 500
SCANNED_AT_ONCE: Final = 20_000
ALIKE_AT_ONCE: Final = 500
_REMOVAL_KINDS: Final = [kind.value for kind in REMOVALS]


class Events:
    """What happened, newest first."""

    def __init__(self, connections: Connections, repositories: Repositories) -> None:
        self._connections = connections
        self._repositories = repositories

    async def newest(
        self,
        repositories: Collection[str] | None,
        *,
        kinds: Collection[EventKind] | None = None,
        ref: str | None = None,
        prefix: str = "",
        entry_id: int | None = None,
        since_ms: int | None = None,
        before_id: int | None = None,
        limit: int,
    ) -> list[Event]:
        """See `service.records.Records.events`."""
        ids = None if repositories is None else await self._ids_of(repositories)
        if ids is not None and not ids:
            return []
        wanted = _conditions(ids, kinds, ref=ref, prefix=prefix, entry_id=entry_id)
        if since_ms is not None:
            wanted.append(EVENTS.c.at >= since_ms)
        walked = _walked(ids, kinds, entry_id)
        found: list[Event] = []
        scanned = _FIRST_SCANNED
        while len(found) < limit:
            left = limit - len(found)
            end, page = await self._page(walked, wanted, before_id, scanned=scanned, limit=left)
            found += page
            if end is None or (since_ms is not None and end[1] < since_ms):
                break
            before_id = end[0]
            scanned = min(scanned * 4, SCANNED_AT_ONCE)
        return found

    async def removals(
        self, repository: str, key: str, *, refs: Collection[str] | None = None, limit: int = 1
    ) -> list[Event]:
        """Return the newest events of entries under exactly `key` that are gone."""
        statement = (
            _selected()
            .where(
                REPOSITORIES.c.name == repository,
                EVENTS.c.key == key,
                IS_CHANGE,
                EVENTS.c.kind.in_(_REMOVAL_KINDS),
                *(() if refs is None else (EVENTS.c.ref.in_(list(refs)),)),
            )
            .order_by(EVENTS.c.id.desc())
            .limit(limit)
        )
        rows = await self._connections.read(lambda c: c.execute(statement).all())
        return [_event_of(row) for row in rows]

    async def removals_alike(
        self, repository: str, keys: Sequence[str], *, refs: Collection[str] | None
    ) -> list[Event]:
        """Return events of entries that are gone, and whose keys begin with one of `keys`.

        Of each key the first changes in the order of the index are looked at, and of exactly the
        first key the newest ones.
        """

        def work(connection: Connection) -> list[Event]:
            repository_id = self._repositories.id_of(connection, repository)
            if repository_id is None:
                return []
            changes = select(EVENTS.c.id).where(EVENTS.c.repository_id == repository_id, IS_CHANGE)
            pages = [changes.where(EVENTS.c.key == keys[0]).order_by(EVENTS.c.id.desc())]
            for key in keys:
                end = prefix_end(key)
                below = () if end is None else (EVENTS.c.key < end,)
                alike = changes.where(EVENTS.c.key >= key, *below)
                pages.append(alike.order_by(EVENTS.c.key, EVENTS.c.id))
            found: dict[int, Row[Any]] = {}
            for page in pages:
                gone = _selected().where(
                    EVENTS.c.id.in_(page.limit(ALIKE_AT_ONCE)),
                    EVENTS.c.kind.in_(_REMOVAL_KINDS),
                    *(() if refs is None else (EVENTS.c.ref.in_(list(refs)),)),
                )
                found |= {row.id: row for row in connection.execute(gone)}
            return [_event_of(row) for row in found.values()]

        return await self._connections.read(work)

    async def _ids_of(self, repositories: Collection[str]) -> list[int]:
        def work(connection: Connection) -> list[int]:
            found = (self._repositories.id_of(connection, name) for name in repositories)
            return [repository_id for repository_id in found if repository_id is not None]

        return await self._connections.read(work)

    async def _page(
        self,
        walked: Sequence[ColumnElement[bool] | TextClause],
        wanted: Sequence[ColumnElement[bool] | TextClause],
        before_id: int | None,
        *,
        scanned: int,
        limit: int,
    ) -> tuple[tuple[int, int] | None, list[Event]]:
        """Return a page of what is `wanted` among the next rows of those that are `walked`.

        With it come id and time of the last row that was looked at, if there are more.
        """
        before = () if before_id is None else (EVENTS.c.id < before_id,)
        boundary = (
            select(EVENTS.c.id, EVENTS.c.at)
            .where(*walked, *before)
            .order_by(EVENTS.c.id.desc())
            .offset(scanned - 1)
            .limit(1)
        )

        def work(connection: Connection) -> tuple[tuple[int, int] | None, list[Event]]:
            end = connection.execute(boundary).one_or_none()
            from_id = () if end is None else (EVENTS.c.id >= end.id,)
            chosen = (
                select(EVENTS.c.id)
                .where(*walked, *wanted, *before, *from_id)
                .order_by(EVENTS.c.id.desc())
                .limit(limit)
            )
            rows = connection.execute(
                _selected().where(EVENTS.c.id.in_(chosen)).order_by(EVENTS.c.id.desc())
            )
            page = [_event_of(row) for row in rows]
            return (None if end is None else (end.id, end.at)), page

        return await self._connections.read_long(work)


def _selected() -> Select[Any]:
    return select(EVENTS, REPOSITORIES.c.name.label("repository")).join(
        REPOSITORIES, REPOSITORIES.c.id == EVENTS.c.repository_id
    )


def _conditions(
    ids: Sequence[int] | None,
    kinds: Collection[EventKind] | None,
    *,
    ref: str | None,
    prefix: str,
    entry_id: int | None,
) -> list[ColumnElement[bool] | TextClause]:
    wanted: list[ColumnElement[bool] | TextClause] = []
    if ids is not None:
        # The sum keeps the engine from another index than the one that is walked.
        wanted.append((EVENTS.c.repository_id + 0).in_(ids))
    if kinds is not None:
        wanted.append(EVENTS.c.kind.in_([kind.value for kind in kinds]))
    if ref is not None:
        wanted.append(EVENTS.c.ref == ref)
    if prefix:
        wanted.append(func.substr(EVENTS.c.key, 1, len(prefix)) == prefix)
    if entry_id is not None:
        wanted.append(EVENTS.c.entry_id == entry_id)
    return wanted


def _walked(
    ids: Sequence[int] | None, kinds: Collection[EventKind] | None, entry_id: int | None
) -> list[ColumnElement[bool] | TextClause]:
    """Return the conditions of the index that is walked, which the other ones thin out."""
    if entry_id is not None:
        return [EVENTS.c.entry_id == entry_id]
    if kinds is not None and set(kinds) <= set(CHANGES):
        return [IS_CHANGE]
    if ids is not None and len(ids) == 1:
        return [EVENTS.c.repository_id == ids[0]]
    return []


def _event_of(row: Row[Any]) -> Event:
    return Event(
        id=row.id,
        at=row.at,
        kind=EventKind(row.kind),
        repository=row.repository,
        ref=row.ref,
        key=row.key,
        version=row.version,
        entry_id=row.entry_id,
        size_bytes=row.size_bytes,
        reason=row.reason,
        limit=row.limit,
        by=row.by,
        restore_keys=tuple(row.restore_keys.split(",")) if row.restore_keys else (),
    )
