"""Statements that fill an empty catalog from a backup."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, TypeVar

from msgspec.structs import asdict
from sqlalchemy import Connection, Table, delete, func, insert, select, text, update

from runcache.catalog.connections import Connections
from runcache.catalog.exported import (
    ExportedBlob,
    ExportedDay,
    ExportedEntry,
    ExportedEvent,
    ExportedLimit,
    ExportedToken,
    Record,
)
from runcache.catalog.repositories import Repositories
from runcache.catalog.tables import (
    API_TOKENS,
    BLOBS,
    ENTRIES,
    ENTRY_BLOBS,
    EVENT_DAYS,
    EVENTS,
    FACTS,
    LIMITS,
    ORIGINS,
    PARTS,
    UPLOADS,
)
from runcache.records import family_of

R = TypeVar("R")

_NAMES_AT_ONCE: Final = 500
_SOURCE: Final = "restoring"
_RECORDS: Final = (EVENTS, EVENT_DAYS, API_TOKENS, LIMITS)
_OCCUPIED_BY: Final = (ENTRIES, UPLOADS, BLOBS, API_TOKENS, LIMITS)
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


class Imports:
    """Writes what a backup holds. What is interrupted goes on with the same backup."""

    def __init__(self, connections: Connections, repositories: Repositories) -> None:
        self._connections = connections
        self._repositories = repositories

    async def may_begin(self, source: str) -> bool:
        """Say whether the catalog is empty, or was being filled from the backup `source`."""

        def work(connection: Connection) -> bool:
            former = connection.scalar(select(FACTS.c.value).where(FACTS.c.name == _SOURCE))
            if former is not None:
                return bool(former == source)
            return not any(
                connection.execute(select(table).limit(1)).first() for table in _OCCUPIED_BY
            )

        return await self._connections.read(work)

    async def begin(self, source: str) -> None:
        """Note that the catalog is being filled from now on; records come anew each time."""

        def work(connection: Connection) -> None:
            connection.execute(delete(FACTS).where(FACTS.c.name == _SOURCE))
            connection.execute(insert(FACTS).values(name=_SOURCE, value=source))
            for table in _RECORDS:
                connection.execute(delete(table))

        await self._connections.write(work)

    async def missing_entries(self, entries: Sequence[ExportedEntry]) -> list[ExportedEntry]:
        """Return those of these entries that are not there."""
        ids = [entry.id for entry in entries]
        statement = select(ENTRIES.c.id).where(ENTRIES.c.id.in_(ids))
        there = await self._connections.read(lambda c: set(c.scalars(statement)))
        return [entry for entry in entries if entry.id not in there]

    async def reserve(self, repository: str, blobs: Sequence[ExportedBlob]) -> list[ExportedBlob]:
        """Give each of these blobs a row before its first byte; return those without their bytes.

        Blobs that are named twice, here or in entries before, have one row.
        """
        named = {blob.name: blob for blob in blobs}

        def work(connection: Connection) -> list[ExportedBlob]:
            sizes = _sizes(connection, list(named))
            rows = [
                {
                    "name": name,
                    "repository_id": self._repositories.ensure(connection, repository),
                    "created_at": blob.created_at,
                    "upload_id": blob.upload_id,
                    "number": blob.number,
                    "blake3": _bytes(blob.blake3),
                }
                for name, blob in named.items()
                if name not in sizes
            ]
            if rows:
                connection.execute(insert(BLOBS), rows)
            return [blob for name, blob in named.items() if sizes.get(name) is None]

        return await self._connections.write(work)

    async def fill(
        self, parts: Mapping[str, str], blobs: Iterable[ExportedBlob], *, now_ms: int
    ) -> None:
        """Make stored parts, by the names of their blobs, the whole of these, safe in the store."""
        filled = [blob for blob in blobs if blob.name in parts]

        def work(connection: Connection) -> None:
            ids = _ids(connection, [blob.name for blob in filled])
            rows = [
                {
                    "blob_id": ids[blob.name],
                    "block_id": "",
                    "name": parts[blob.name],
                    "size_bytes": blob.size_bytes,
                    "position": 0,
                    "start": 0,
                }
                for blob in filled
            ]
            _insert(connection, PARTS, rows)
            for blob in filled:
                connection.execute(
                    update(BLOBS)
                    .where(BLOBS.c.id == ids[blob.name])
                    .values(
                        size_bytes=blob.size_bytes, sha256=_bytes(blob.sha256), durable_at=now_ms
                    )
                )

        await self._connections.write(work)

    async def add_entries(self, entries: Sequence[ExportedEntry]) -> None:
        """Add entries whose blobs are all there. They are not counted before the end."""

        def work(connection: Connection) -> None:
            for entry in entries:
                self._add_entry(connection, entry)

        await self._connections.write(work)

    async def add_records(self, records: Sequence[Record]) -> None:
        """Add records in this order."""

        def work(connection: Connection) -> None:
            _insert(connection, API_TOKENS, map(asdict, _of(ExportedToken, records)))
            _insert(connection, LIMITS, map(asdict, _of(ExportedLimit, records)))
            for table, kind in ((EVENTS, ExportedEvent), (EVENT_DAYS, ExportedDay)):
                rows = [asdict(record) for record in _of(kind, records)]
                for row in rows:
                    name = row.pop("repository")
                    row["repository_id"] = self._repositories.ensure(connection, name)
                _insert(connection, table, rows)

        await self._connections.write(work)

    async def finish(self, *, now_ms: int) -> None:
        """Count what was added, and see to it that no id is given twice.

        Blobs of entries that could not be added have no more to do here.
        """
        await self._repositories.miscounted(repair=True)
        is_held = select(ENTRY_BLOBS.c.blob_id).where(ENTRY_BLOBS.c.blob_id == BLOBS.c.id).exists()

        def work(connection: Connection) -> None:
            connection.execute(
                update(BLOBS).where(~is_held).values(doomed_at=now_ms, kept_until=now_ms)
            )
            largest = (
                connection.scalar(select(func.max(column))) or 0
                for column in (ENTRIES.c.id, BLOBS.c.upload_id, EVENTS.c.entry_id)
            )
            _give_ids_behind(connection, max(largest))
            connection.execute(delete(FACTS).where(FACTS.c.name == _SOURCE))

        await self._connections.write(work)

    def _add_entry(self, connection: Connection, entry: ExportedEntry) -> None:
        columns = {name: getattr(entry, name) for name in _ENTRY}
        repository_id = self._repositories.ensure(connection, entry.repository)
        connection.execute(
            insert(ENTRIES).values(
                repository_id=repository_id, family=family_of(entry.key), **columns
            )
        )
        if entry.origin is not None:
            connection.execute(insert(ORIGINS).values(entry_id=entry.id, **asdict(entry.origin)))
        ids = _ids(connection, [blob.name for blob in entry.blobs])
        rows = [
            {"entry_id": entry.id, "position": position, "blob_id": ids[blob.name]}
            for position, blob in enumerate(entry.blobs)
        ]
        connection.execute(insert(ENTRY_BLOBS), rows)


def _of(kind: type[R], records: Iterable[Record]) -> list[R]:
    return [record for record in records if isinstance(record, kind)]


def _insert(connection: Connection, table: Table, rows: Iterable[dict[str, Any]]) -> None:
    listed = list(rows)
    if listed:
        connection.execute(insert(table), listed)


def _sizes(connection: Connection, names: Sequence[str]) -> dict[str, int | None]:
    """Return the sizes of those blobs that have a row, `None` for those without their bytes."""
    sizes: dict[str, int | None] = {}
    for start in range(0, len(names), _NAMES_AT_ONCE):
        batch = BLOBS.c.name.in_(names[start : start + _NAMES_AT_ONCE])
        sizes.update(
            connection.execute(select(BLOBS.c.name, BLOBS.c.size_bytes).where(batch)).all()
        )
    return sizes


def _ids(connection: Connection, names: Sequence[str]) -> dict[str, int]:
    ids: dict[str, int] = {}
    for start in range(0, len(names), _NAMES_AT_ONCE):
        batch = BLOBS.c.name.in_(names[start : start + _NAMES_AT_ONCE])
        ids.update(connection.execute(select(BLOBS.c.name, BLOBS.c.id).where(batch)).all())
    return ids


def _give_ids_behind(connection: Connection, last_id: int) -> None:
    """Let the next upload have a larger id."""
    if connection.dialect.name == "sqlite":
        connection.execute(text("DELETE FROM sqlite_sequence WHERE name = 'uploads'"))
        statement = "INSERT INTO sqlite_sequence (name, seq) VALUES ('uploads', :last)"
    else:
        statement = "SELECT setval(pg_get_serial_sequence('uploads', 'id'), :last + 1, false)"
    connection.execute(text(statement), {"last": last_id})


def _bytes(digest: str | None) -> bytes | None:
    return None if digest is None else bytes.fromhex(digest)
