"""Statements that read a whole catalog for a backup, a page at a time."""

from collections import defaultdict
from collections.abc import AsyncIterator, Sequence
from typing import Any, Final

from sqlalchemy import Connection, Row, Select, func, select, tuple_

from runcache.catalog.connections import Connections
from runcache.catalog.exported import (
    ExportedBlob,
    ExportedDay,
    ExportedEntry,
    ExportedEvent,
    ExportedLimit,
    ExportedOrigin,
    ExportedToken,
    Record,
)
from runcache.catalog.tables import (
    API_TOKENS,
    BLOBS,
    ENTRIES,
    ENTRY_BLOBS,
    EVENT_DAYS,
    EVENTS,
    LIMITS,
    ORIGINS,
    REPOSITORIES,
)

# An entry may have 4 097 blobs.
_ENTRIES_PAGE: Final = 50
_RECORDS_PAGE: Final = 1000

_ORIGIN: Final = ExportedOrigin.__struct_fields__
_BLOB: Final = ("name", "size_bytes", "created_at", "upload_id", "number", "sha256", "blake3")
_ENTRY: Final = (
    "id",
    "scope",
    "key",
    "version",
    "size_bytes",
    "created_at",
    "last_accessed_at",
    "is_snapshot",
)
_EVENT: Final = tuple(name for name in ExportedEvent.__struct_fields__ if name != "repository")
_DAY: Final = tuple(name for name in ExportedDay.__struct_fields__ if name != "repository")


class Exports:
    """Reads what a backup holds. Each page is consistent in itself."""

    def __init__(self, connections: Connections) -> None:
        self._connections = connections

    async def entries(self) -> AsyncIterator[list[ExportedEntry]]:
        """Yield the entries that can be restored, the newest first, in lists of bounded size.

        No two of them have the same key in the same place, whatever is saved and forgotten
        meanwhile: an entry that takes the place of another has the larger id, and comes before it.
        """
        before: int | None = None
        while page := await self._entries(before):
            yield page
            before = page[-1].id

    async def has_entry(self, entry_id: int) -> bool:
        """Say whether an entry is still there."""
        statement = select(ENTRIES.c.id).where(ENTRIES.c.id == entry_id)
        return await self._connections.read(lambda c: c.scalar(statement)) is not None

    async def records(self) -> AsyncIterator[Sequence[Record]]:
        """Yield everything else, in lists of bounded size, events in the order of time."""
        tokens = await self._all(select(API_TOKENS))
        yield [ExportedToken(**row._mapping) for row in tokens]  # noqa: SLF001  -- as a mapping, it is public
        limits = await self._all(select(LIMITS))
        yield [ExportedLimit(**row._mapping) for row in limits]  # noqa: SLF001  -- as above
        last_id, end_id = 0, await self._last_event()
        while events := await self._events(last_id, end_id):
            yield [_event(row) for row in events]
            last_id = events[-1].id
        place: tuple[int, int, str] | None = None
        while days := await self._days(place):
            yield [_day(row) for row in days]
            place = (days[-1].repository_id, days[-1].day, days[-1].family)

    async def _entries(self, before: int | None) -> list[ExportedEntry]:
        statement = (
            select(
                *(ENTRIES.c[name] for name in _ENTRY),
                REPOSITORIES.c.name.label("repository"),
                ORIGINS.c.entry_id.label("origin"),
                *(ORIGINS.c[name] for name in _ORIGIN),
            )
            .join(REPOSITORIES, REPOSITORIES.c.id == ENTRIES.c.repository_id)
            .outerjoin(ORIGINS, ORIGINS.c.entry_id == ENTRIES.c.id)
            .where(ENTRIES.c.is_suspect.is_(False))
            .order_by(ENTRIES.c.id.desc())
            .limit(_ENTRIES_PAGE)
        )
        if before is not None:
            statement = statement.where(ENTRIES.c.id < before)

        def work(connection: Connection) -> list[ExportedEntry]:
            rows = connection.execute(statement).all()
            blobs = _blobs_of(connection, [row.id for row in rows])
            return [_entry(row, blobs[row.id]) for row in rows]

        return await self._connections.read_long(work)

    async def _last_event(self) -> int:
        last = await self._connections.read_long(lambda c: c.scalar(select(func.max(EVENTS.c.id))))
        return last or 0

    async def _events(self, last_id: int, end_id: int) -> Sequence[Row[Any]]:
        return await self._all(
            select(EVENTS, REPOSITORIES.c.name.label("repository"))
            .join(REPOSITORIES, REPOSITORIES.c.id == EVENTS.c.repository_id)
            .where(EVENTS.c.id > last_id, EVENTS.c.id <= end_id)
            .order_by(EVENTS.c.id)
            .limit(_RECORDS_PAGE)
        )

    async def _days(self, place: tuple[int, int, str] | None) -> Sequence[Row[Any]]:
        order = (EVENT_DAYS.c.repository_id, EVENT_DAYS.c.day, EVENT_DAYS.c.family)
        statement = (
            select(EVENT_DAYS, REPOSITORIES.c.name.label("repository"))
            .join(REPOSITORIES, REPOSITORIES.c.id == EVENT_DAYS.c.repository_id)
            .order_by(*order)
            .limit(_RECORDS_PAGE)
        )
        if place is not None:
            statement = statement.where(tuple_(*order) > tuple_(*place))
        return await self._all(statement)

    async def _all(self, statement: Select[Any]) -> Sequence[Row[Any]]:
        return await self._connections.read_long(lambda c: c.execute(statement).all())


def _blobs_of(connection: Connection, entry_ids: list[int]) -> dict[int, list[ExportedBlob]]:
    statement = (
        select(ENTRY_BLOBS.c.entry_id, *(BLOBS.c[name] for name in _BLOB))
        .join(BLOBS, BLOBS.c.id == ENTRY_BLOBS.c.blob_id)
        .where(ENTRY_BLOBS.c.entry_id.in_(entry_ids))
        .order_by(ENTRY_BLOBS.c.entry_id, ENTRY_BLOBS.c.position)
    )
    blobs: defaultdict[int, list[ExportedBlob]] = defaultdict(list)
    for entry_id, *columns, sha256, blake3 in connection.execute(statement):
        fields = dict(zip(_BLOB, (*columns, _hex(sha256), _hex(blake3)), strict=True))
        blobs[entry_id].append(ExportedBlob(**fields))
    return blobs


def _entry(row: Row[*tuple[Any, ...]], blobs: list[ExportedBlob]) -> ExportedEntry:
    origin = None
    if row.origin is not None:
        origin = ExportedOrigin(**{name: getattr(row, name) for name in _ORIGIN})
    columns = {name: getattr(row, name) for name in _ENTRY}
    return ExportedEntry(repository=row.repository, origin=origin, blobs=tuple(blobs), **columns)


def _event(row: Row[Any]) -> ExportedEvent:
    columns = {name: getattr(row, name) for name in _EVENT}
    return ExportedEvent(repository=row.repository, **columns)


def _day(row: Row[Any]) -> ExportedDay:
    columns = {name: getattr(row, name) for name in _DAY}
    return ExportedDay(repository=row.repository, **columns)


def _hex(digest: bytes | None) -> str | None:
    return None if digest is None else digest.hex()
