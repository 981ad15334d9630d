"""Statements about blobs: reading their parts, proving them durable, and removing doomed ones."""

from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Connection, Select, bindparam, case, delete, func, select, update

from runcache.catalog.connections import Connections
from runcache.catalog.prepared import Prepared
from runcache.catalog.tables import BLOBS, ENTRIES, ENTRY_BLOBS, HOLDS, PARTS, REPOSITORIES
from runcache.errors import BlobMissing
from runcache.model import Blob, EntryBlob, PackName, Part, Span

# How many parts of a blob are in memory at once: it may have 50 000.
_PARTS_PAGE: Final = 256
_NAMES_AT_ONCE: Final = 500

_PART: Final = (PARTS.c.name, PARTS.c.start, PARTS.c.size_bytes)


@dataclass(frozen=True, slots=True)
class CommittedBlob:
    """A blob that entries refer to, and what it must hash to, as far as that is known."""

    id: int
    name: str
    size_bytes: int
    blake3: bytes | None
    sha256: bytes | None


@dataclass(frozen=True, slots=True)
class DoomedBlob:
    """A blob that nothing refers to or holds, and whose links have expired."""

    id: int
    name: str
    size_bytes: int


@dataclass(frozen=True, slots=True)
class StoredBlob:
    """A blob that may have bytes in the store, and what they must hash to if that is known."""

    id: int
    name: str
    sha256: bytes | None


class Blobs:
    """Bytes in the store, as the catalog knows them."""

    def __init__(self, connections: Connections) -> None:
        self._connections = connections

    async def get(self, name: str) -> Blob | None:
        """Return a committed blob: also a doomed one, but none whose bytes are suspect."""
        rows = await self._connections.look_up(lambda c: _GET.rows(c, {"blob": name}))
        if not rows:
            return None
        *columns, is_pack, part = rows[0]
        return Blob(*[*columns, bool(is_pack), part])

    async def parts(self, name: str, span: Span) -> AsyncIterator[list[Part]]:
        """Yield the parts that hold bytes of `span`, in order, in lists of bounded size.

        Raises:
            BlobMissing: the parts end before the span does.
        """
        position = span.start
        while position < span.end:
            page = await self._page(name, position, span.end)
            if not page:
                raise BlobMissing(name)
            yield page
            position = page[-1].start + page[-1].size_bytes

    async def parts_by_name(self, names: Sequence[str]) -> dict[str, list[Part]]:
        """Return all parts of blobs that have one each: manifests and packs."""
        statement = select(BLOBS.c.name, *_PART).join(PARTS, PARTS.c.blob_id == BLOBS.c.id)

        def work(connection: Connection) -> dict[str, list[Part]]:
            found: dict[str, list[Part]] = {name: [] for name in names}
            for start in range(0, len(names), _NAMES_AT_ONCE):
                batch = names[start : start + _NAMES_AT_ONCE]
                for name, *part in connection.execute(statement.where(BLOBS.c.name.in_(batch))):
                    found[name].append(Part(*part))
            return found

        return await self._connections.read(work)

    async def pack_parts(self, entry_id: int) -> dict[str, list[Part]]:
        """Return the parts of an entry's packs by their names: one part each."""
        return await self._connections.look_up(lambda c: pack_parts(c, entry_id))

    async def part_names(self, name: str) -> set[str]:
        """Return the names of all parts of a blob, ordered or not: at most 50 000."""
        statement = (
            select(PARTS.c.name)
            .join(BLOBS, BLOBS.c.id == PARTS.c.blob_id)
            .where(BLOBS.c.name == name)
        )
        return await self._connections.read(lambda c: set(c.scalars(statement)))

    async def stored(self, *, after_id: int = 0, limit: int) -> list[StoredBlob]:
        """Return the next blobs of all, those of uploads and doomed ones too, by their ids."""
        # A digest that was announced is none of bytes that have not all come.
        digest = case((BLOBS.c.size_bytes.is_not(None), BLOBS.c.sha256))
        statement = select(BLOBS.c.id, BLOBS.c.name, digest).where(BLOBS.c.id > after_id)
        statement = statement.order_by(BLOBS.c.id).limit(limit)
        rows = await self._connections.read_long(lambda c: c.execute(statement).all())
        return [StoredBlob(*row) for row in rows]

    async def all_parts(self, name: str) -> list[Part]:
        """Return all parts of a blob, at most 50 000: in order, those behind that have no place."""
        columns = (PARTS.c.name, func.coalesce(PARTS.c.start, 0), PARTS.c.size_bytes)
        statement = (
            select(*columns)
            .join(BLOBS, BLOBS.c.id == PARTS.c.blob_id)
            .where(BLOBS.c.name == name)
            .order_by(PARTS.c.start.is_(None), PARTS.c.start, PARTS.c.position)
        )
        rows = await self._connections.read_long(lambda c: c.execute(statement).all())
        return [Part(*row) for row in rows]

    async def known(self, names: Sequence[str]) -> set[str]:
        """Return those of `names` that are blobs."""
        statement = select(BLOBS.c.name).where(BLOBS.c.name.in_(names))
        return await self._connections.read(lambda c: set(c.scalars(statement)))

    async def hold(self, names: Iterable[str], *, until: int) -> None:
        """Keep the bytes of blobs at least until then, even if they are doomed meanwhile."""
        statement = (
            update(BLOBS)
            .where(BLOBS.c.name.in_(list(names)), func.coalesce(BLOBS.c.kept_until, 0) < until)
            .values(kept_until=until)
        )
        await self._connections.write(lambda c: c.execute(statement))

    async def unsettled(self, *, after_id: int = 0, limit: int) -> list[CommittedBlob]:
        """Return committed blobs without a proof of durability, in order of their ids."""
        statement = _committed().where(BLOBS.c.id > after_id, BLOBS.c.durable_at.is_(None))
        return await self._committed(statement.order_by(BLOBS.c.id).limit(limit))

    async def committed(self, *, after_id: int = 0, limit: int) -> list[CommittedBlob]:
        """Return the next committed blobs in order of their ids: a page of a walk over all."""
        statement = _committed().where(BLOBS.c.id > after_id)
        return await self._committed(statement.order_by(BLOBS.c.id).limit(limit))

    async def committed_totals(self) -> tuple[int, int]:
        """Return how many committed blobs there are, and their bytes."""
        totals = select(func.count(), func.coalesce(func.sum(BLOBS.c.size_bytes), 0))
        statement = totals.where(*_COMMITTED)
        count, size_bytes = await self._connections.read(lambda c: c.execute(statement).one())
        return int(count), int(size_bytes)

    async def committed_named(self, name: str) -> CommittedBlob | None:
        """Return the committed blob of this name, `None` if there is none."""
        found = await self._committed(_committed().where(BLOBS.c.name == name))
        return found[0] if found else None

    async def of_entry(self, entry_id: int) -> list[CommittedBlob]:
        """Return the blobs of an entry, none if there is no such entry."""
        held = select(ENTRY_BLOBS.c.blob_id).where(ENTRY_BLOBS.c.entry_id == entry_id)
        return await self._committed(_committed().where(BLOBS.c.id.in_(held)))

    async def in_the_making(self, *, after_id: int = 0, limit: int) -> list[tuple[int, str]]:
        """Return the next ids and names of blobs that uploads have not committed yet."""
        statement = (
            select(BLOBS.c.id, BLOBS.c.name)
            .where(
                BLOBS.c.id > after_id,
                BLOBS.c.durable_at.is_(None),
                BLOBS.c.size_bytes.is_(None),
                BLOBS.c.doomed_at.is_(None),
            )
            .order_by(BLOBS.c.id)
            .limit(limit)
        )
        rows = await self._connections.read(lambda c: c.execute(statement).all())
        return [(row.id, row.name) for row in rows]

    async def record_digest(self, blob_id: int, sha256: bytes) -> None:
        """Record what the bytes of a blob must hash to."""
        statement = update(BLOBS).where(BLOBS.c.id == blob_id).values(sha256=sha256)
        await self._connections.write(lambda c: c.execute(statement))

    async def record_durable(self, blob_id: int, *, now_ms: int) -> None:
        """Record that a blob is on disk for good, and trust entries again that are so in whole."""
        holders = select(ENTRY_BLOBS.c.entry_id).where(ENTRY_BLOBS.c.blob_id == blob_id)
        unproven = (
            select(BLOBS.c.id)
            .join(ENTRY_BLOBS, ENTRY_BLOBS.c.blob_id == BLOBS.c.id)
            .where(ENTRY_BLOBS.c.entry_id == ENTRIES.c.id, BLOBS.c.durable_at.is_(None))
            .exists()
        )
        suspect = ENTRIES.c.id.in_(holders) & ENTRIES.c.is_suspect.is_(True)

        def work(connection: Connection) -> None:
            connection.execute(update(BLOBS).where(BLOBS.c.id == blob_id).values(durable_at=now_ms))
            connection.execute(update(ENTRIES).where(suspect, ~unproven).values(is_suspect=False))

        await self._connections.write(work)

    async def holders(self, name: str) -> list[str]:
        """Name the entries that refer to a blob, each by its repository, scope and key."""
        statement = (
            select(REPOSITORIES.c.name, ENTRIES.c.scope, ENTRIES.c.key)
            .join(ENTRIES, ENTRIES.c.repository_id == REPOSITORIES.c.id)
            .join(ENTRY_BLOBS, ENTRY_BLOBS.c.entry_id == ENTRIES.c.id)
            .join(BLOBS, BLOBS.c.id == ENTRY_BLOBS.c.blob_id)
            .where(BLOBS.c.name == name)
            .order_by(ENTRIES.c.id)
        )
        rows = await self._connections.read(lambda c: c.execute(statement).all())
        return [" ".join(row) for row in rows]

    async def doomed_bytes(self) -> int:
        """Return the bytes of doomed blobs that are still in the store and that no upload holds."""
        total = await self._connections.read(
            lambda c: c.scalar(
                select(func.sum(BLOBS.c.size_bytes)).where(BLOBS.c.doomed_at.is_not(None), ~_HELD)
            )
        )
        return int(total or 0)

    async def doomed(self, *, now_ms: int, after_id: int = 0, limit: int) -> list[DoomedBlob]:
        """Return doomed blobs that nothing keeps any more, in order of their ids."""
        statement = (
            select(BLOBS.c.id, BLOBS.c.name, func.coalesce(BLOBS.c.size_bytes, 0))
            .where(
                BLOBS.c.id > after_id,
                BLOBS.c.doomed_at.is_not(None),
                BLOBS.c.kept_until <= now_ms,
                # A hold is older than the doom: none can come to a blob that has none.
                ~_HELD,
            )
            .order_by(BLOBS.c.id)
            .limit(limit)
        )
        rows = await self._connections.read(lambda c: c.execute(statement).all())
        return [DoomedBlob(*row) for row in rows]

    async def remove(self, blob_ids: Sequence[int]) -> None:
        """Remove the rows of doomed blobs whose bytes are gone."""
        mine = BLOBS.c.id.in_(blob_ids)
        statement = delete(BLOBS).where(mine, BLOBS.c.doomed_at.is_not(None))
        await self._connections.write(lambda c: c.execute(statement))

    async def _committed(self, statement: Select[Any]) -> list[CommittedBlob]:
        rows = await self._connections.read(lambda c: c.execute(statement).all())
        return [CommittedBlob(*row) for row in rows]

    async def _page(self, name: str, start: int, end: int) -> list[Part]:
        values = {"blob": name, "from": start, "to": end}
        rows = await self._connections.look_up(lambda c: _PAGE.rows(c, values))
        return [Part(*row) for row in rows]


def first_parts(connection: Connection, blob_id: int) -> list[Part]:
    """Return the first parts of a blob within a transaction, as many as are read at once."""
    return [Part(*row) for row in _FIRST.rows(connection, {"blob": blob_id})]


def packs_of(connection: Connection, entry_id: int) -> list[EntryBlob]:
    """Return the blobs of an entry behind its first one, in order, within a transaction."""
    rows = _PACKS.rows(connection, {"entry": entry_id})
    return [EntryBlob(name, size, PackName(upload, number)) for name, size, upload, number in rows]


def pack_parts(connection: Connection, entry_id: int) -> dict[str, list[Part]]:
    """Return the parts of these blobs by their names, within a transaction: one part each."""
    rows = _PACK_PARTS.rows(connection, {"entry": entry_id})
    return {name: [Part(*part)] for name, *part in rows}


def _committed() -> Select[Any]:
    columns = (BLOBS.c.id, BLOBS.c.name, BLOBS.c.size_bytes, BLOBS.c.blake3, BLOBS.c.sha256)
    return select(*columns).where(*_COMMITTED)


_COMMITTED: Final = (BLOBS.c.size_bytes.is_not(None), BLOBS.c.doomed_at.is_(None))
_HELD: Final = select(HOLDS.c.upload_id).where(HOLDS.c.blob_id == BLOBS.c.id).exists()
_SUSPECT: Final = (
    select(ENTRIES.c.id)
    .join(ENTRY_BLOBS, ENTRY_BLOBS.c.entry_id == ENTRIES.c.id)
    .where(ENTRY_BLOBS.c.blob_id == BLOBS.c.id, ENTRIES.c.is_suspect.is_(True))
)
_WHOLE: Final = (
    select(PARTS.c.name)
    .where(
        PARTS.c.blob_id == BLOBS.c.id,
        PARTS.c.start == 0,
        PARTS.c.size_bytes == BLOBS.c.size_bytes,
    )
    .limit(1)
    .scalar_subquery()
)
_GET: Final = Prepared(
    select(
        BLOBS.c.name,
        BLOBS.c.size_bytes,
        BLOBS.c.created_at,
        BLOBS.c.upload_id.is_not(None),
        _WHOLE,
    ).where(
        BLOBS.c.name == bindparam("blob"),
        BLOBS.c.size_bytes.is_not(None),
        # What is proven may be read, though another entry that has it is suspect.
        BLOBS.c.durable_at.is_not(None) | ~_SUSPECT.exists(),
    )
)
_BEHIND: Final = (ENTRY_BLOBS.c.entry_id == bindparam("entry")) & (ENTRY_BLOBS.c.position > 0)
_PACKS: Final = Prepared(
    select(BLOBS.c.name, BLOBS.c.size_bytes, BLOBS.c.upload_id, BLOBS.c.number)
    .join(ENTRY_BLOBS, ENTRY_BLOBS.c.blob_id == BLOBS.c.id)
    .where(_BEHIND)
    .order_by(ENTRY_BLOBS.c.position)
)
_PACK_PARTS: Final = Prepared(
    select(BLOBS.c.name, *_PART)
    .join(ENTRY_BLOBS, ENTRY_BLOBS.c.blob_id == BLOBS.c.id)
    .join(PARTS, PARTS.c.blob_id == BLOBS.c.id)
    .where(_BEHIND)
)
_FIRST: Final = Prepared(
    select(*_PART)
    .where(PARTS.c.blob_id == bindparam("blob"), PARTS.c.start.is_not(None))
    .order_by(PARTS.c.start, PARTS.c.position)
    .limit(_PARTS_PAGE)
)
_OF_BLOB: Final = (
    PARTS.c.blob_id == select(BLOBS.c.id).where(BLOBS.c.name == bindparam("blob")).scalar_subquery()
)
_PAGE: Final = Prepared(
    select(*_PART)
    .where(
        _OF_BLOB,
        # Where to begin is asked of the index: reading on from the front would cost more with each
        # page.
        PARTS.c.start
        >= select(func.max(PARTS.c.start))
        .where(_OF_BLOB, PARTS.c.start <= bindparam("from"))
        .scalar_subquery(),
        PARTS.c.start < bindparam("to"),
        PARTS.c.start + PARTS.c.size_bytes > bindparam("from"),
    )
    .order_by(PARTS.c.start, PARTS.c.position)
    .limit(_PARTS_PAGE)
)
