"""Statements about copies: a blob of several parts gives way to one that is a single part."""

from sqlalchemy import Connection, select, update

from runcache.catalog.blobs import CommittedBlob
from runcache.catalog.connections import Connections
from runcache.catalog.parts import NewPart, insert_part
from runcache.catalog.promises import insert_promised, is_promised
from runcache.catalog.tables import BLOBS, ENTRY_BLOBS, IS_SECOND, PARTS


class Copies:
    """Blobs that the store is to copy, each into one part."""

    def __init__(self, connections: Connections) -> None:
        self._connections = connections

    async def composable(self, *, after_id: int = 0, limit: int) -> list[CommittedBlob]:
        """Return committed, durable blobs of several parts, in order of their ids."""
        statement = (
            select(BLOBS.c.id, BLOBS.c.name, BLOBS.c.size_bytes, BLOBS.c.blake3, BLOBS.c.sha256)
            .where(
                BLOBS.c.id.in_(select(PARTS.c.blob_id).where(IS_SECOND)),
                BLOBS.c.id > after_id,
                BLOBS.c.size_bytes.is_not(None),
                BLOBS.c.doomed_at.is_(None),
                BLOBS.c.durable_at.is_not(None),
            )
            .order_by(BLOBS.c.id)
            .limit(limit)
        )
        rows = await self._connections.read_long(lambda c: c.execute(statement).all())
        return [CommittedBlob(*row) for row in rows]

    async def make(self, source: CommittedBlob, name: str, *, until: int, now_ms: int) -> None:
        """Expect a copy of a committed blob under another name until then (ms)."""

        def work(connection: Connection) -> None:
            of_source = select(BLOBS.c.repository_id).where(BLOBS.c.id == source.id)
            repository_id = connection.scalar(of_source)
            if repository_id is not None:
                insert_promised(connection, name, repository_id, until=until, now_ms=now_ms)

        await self._connections.write(work)

    async def give_up(self, name: str, *, now_ms: int) -> None:
        """Expect a copy no longer: what there is of it may go."""
        statement = (
            update(BLOBS)
            .where(BLOBS.c.name == name, BLOBS.c.doomed_at.is_not(None))
            .values(kept_until=now_ms)
        )
        await self._connections.write(lambda c: c.execute(statement))

    async def swap(
        self, source: CommittedBlob, name: str, part: str, *, links_until: int, now_ms: int
    ) -> bool:
        """Let the entries of a blob have its promised copy, which is one part, in its place.

        From now on they do, for every reader at once. The source is doomed, and kept for the links
        to it. Returns `False`, and changes nothing, if the source is no entry's any more, or the
        promise has ended.
        """

        def work(connection: Connection) -> bool:
            former = connection.execute(
                select(BLOBS).where(BLOBS.c.id == source.id, BLOBS.c.doomed_at.is_(None))
            ).one_or_none()
            copy_id = connection.scalar(
                select(BLOBS.c.id).where(BLOBS.c.name == name, is_promised(now_ms))
            )
            if former is None or copy_id is None:
                return False
            connection.execute(
                update(ENTRY_BLOBS)
                .where(ENTRY_BLOBS.c.blob_id == source.id)
                .values(blob_id=copy_id)
            )
            connection.execute(
                update(BLOBS)
                .where(BLOBS.c.id == copy_id)
                .values(
                    size_bytes=former.size_bytes,
                    created_at=former.created_at,
                    blake3=former.blake3,
                    sha256=former.sha256,
                    durable_at=now_ms,
                    doomed_at=None,
                    kept_until=None,
                )
            )
            whole = NewPart("", part, former.size_bytes)
            insert_part(connection, copy_id, whole, position=0, start=0)
            kept_until = max(former.kept_until or 0, links_until)
            connection.execute(
                update(BLOBS)
                .where(BLOBS.c.id == source.id)
                .values(doomed_at=now_ms, kept_until=kept_until, composed_into=copy_id)
            )
            return True

        return await self._connections.write(work)
