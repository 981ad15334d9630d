"""How the event log is written, and kept within bounds.

Changes (saved, evicted, deleted, damaged) are written in the transaction that makes them, so that
the log and the entries never differ, whoever makes a change and however it ends. Lookups come in
batches behind.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

from sqlalchemy import Connection, Row, delete, func, select

from runcache.catalog.bulk import insert_rows
from runcache.catalog.connections import Connections
from runcache.catalog.event_days import NewEvent, add_up
from runcache.catalog.repositories import Repositories
from runcache.catalog.tables import BLOBS, ENTRIES, ENTRY_BLOBS, EVENTS, IS_CHANGE
from runcache.records import LOOKUPS, EventKind, NewLookup, Removal

# How many rows one transaction drops, or looks up.
BATCH: Final = 500
_TRIMMED_AT_ONCE: Final = 5_000


class EventLog:
    """What happened, as it comes."""

    def __init__(self, connections: Connections, repositories: Repositories) -> None:
        self._connections = connections
        self._repositories = repositories

    async def write(
        self,
        lookups: Sequence[NewLookup],
        restored: Sequence[tuple[int, str]],
        family: Callable[[int, int, str], str],
    ) -> None:
        """Write down lookups, and downloads (when, and of which blob) that began an entry."""

        def work(connection: Connection) -> None:
            # Once each: what is made here is not known for sure before the transaction ends.
            names = dict.fromkeys(lookup.repository for lookup in lookups)
            ids = {name: self._repositories.ensure(connection, name) for name in names}
            events = [
                NewEvent._make((*lookup[:2], ids[lookup.repository], *lookup[3:]))
                for lookup in lookups
            ]
            if restored:
                events += _restores(connection, restored)
                events.sort(key=lambda event: event.at)
            insert_rows(connection, EVENTS, NewEvent._fields, events)
            add_up(connection, events, family)

        await self._connections.write(work)

    async def trim(self, *, before_ms: int, kept: int) -> None:
        """Drop what is older than `before_ms`, and the oldest of what exceeds `kept` events.

        Lookups go first: of what is kept up to a half may be changes, however old.
        """
        newest_gone = await self._connections.read_long(lambda c: _newest_gone(c, kept))
        last_id = 0
        while page := await self._after(last_id):
            last_id = page[-1].id
            gone = [row.id for row in page if row.at < before_ms or row.id <= newest_gone[row.kind]]
            for start in range(0, len(gone), BATCH):
                dropped = delete(EVENTS).where(EVENTS.c.id.in_(gone[start : start + BATCH]))
                await self._connections.write(lambda c, dropped=dropped: c.execute(dropped))  # type: ignore[misc]
            if page[-1].at >= before_ms and last_id > max(newest_gone.values()):
                return

    async def _after(self, last_id: int) -> Sequence[Any]:
        page = (
            select(EVENTS.c.id, EVENTS.c.at, EVENTS.c.kind)
            .where(EVENTS.c.id > last_id)
            .order_by(EVENTS.c.id)
            .limit(_TRIMMED_AT_ONCE)
        )
        return await self._connections.read_long(lambda c: c.execute(page).all())


def record_save(
    connection: Connection, upload: Row[Any], *, by: str, size_bytes: int, now_ms: int
) -> None:
    """Record that a row of `uploads` became an entry."""
    _record(
        connection,
        [
            NewEvent(
                now_ms,
                EventKind.SAVED.value,
                upload.repository_id,
                upload.scope,
                upload.key,
                upload.version,
                upload.id,
                size_bytes,
                by=by,
            )
        ],
    )


def record_removal(
    connection: Connection, entries: Iterable[Any], removal: Removal, *, now_ms: int
) -> None:
    """Record that rows of `entries` are gone, and why."""
    _record(
        connection,
        [
            NewEvent(
                now_ms,
                removal.kind.value,
                entry.repository_id,
                entry.scope,
                entry.key,
                entry.version,
                entry.id,
                entry.size_bytes,
                removal.reason,
                removal.limit,
                removal.by,
            )
            for entry in entries
        ],
    )


def _record(connection: Connection, events: Sequence[NewEvent]) -> None:
    insert_rows(connection, EVENTS, NewEvent._fields, events)
    add_up(connection, events)


def _restores(connection: Connection, restored: Sequence[tuple[int, str]]) -> list[NewEvent]:
    names = list({blob for _, blob in restored})
    entries: dict[str, Row[Any]] = {}
    for start in range(0, len(names), BATCH):
        rows = connection.execute(
            select(BLOBS.c.name.label("blob"), ENTRIES)
            .join(
                ENTRY_BLOBS,
                # A link may lead to what was composed since.
                ENTRY_BLOBS.c.blob_id == func.coalesce(BLOBS.c.composed_into, BLOBS.c.id),
            )
            .join(ENTRIES, ENTRIES.c.id == ENTRY_BLOBS.c.entry_id)
            .where(BLOBS.c.name.in_(names[start : start + BATCH]), ENTRY_BLOBS.c.position == 0)
        )
        entries |= {row.blob: row for row in rows}
    return [
        NewEvent(
            at,
            EventKind.RESTORED.value,
            entry.repository_id,
            entry.scope,
            entry.key,
            entry.version,
            entry.id,
            entry.size_bytes,
        )
        for at, blob in restored
        if (entry := entries.get(blob)) is not None
    ]


def _newest_gone(connection: Connection, kept: int) -> dict[str, int]:
    """Return the id up to which events of each kind are too many; 0 if none are."""
    changes = select(EVENTS.c.id).where(IS_CHANGE).order_by(EVENTS.c.id.desc())
    count = connection.scalars(select(func.count()).select_from(EVENTS).where(IS_CHANGE)).one()
    newest = connection.scalar(select(func.max(EVENTS.c.id))) or 0
    change = connection.scalar(changes.offset(kept // 2).limit(1)) or 0
    lookup = max(0, newest - (kept - min(count, kept // 2)))
    return {kind.value: lookup if kind in LOOKUPS else change for kind in EventKind}
