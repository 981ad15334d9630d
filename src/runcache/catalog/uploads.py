"""Statements about uploads: reserving, receiving, ordering and committing."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, Select, delete, func, select, update

from runcache.catalog.connections import Connections, Duplicate
from runcache.catalog.entries import BATCH
from runcache.catalog.parts import NewPart, insert_part, put_in_order, replace_parts
from runcache.catalog.references import drop_upload, insert_entry
from runcache.catalog.repositories import Repositories
from runcache.catalog.reserving import NewUpload, insert_upload
from runcache.catalog.tables import BLOBS, PARTS, REPOSITORIES, UPLOADS
from runcache.errors import EntryExists, InvalidBlockList, SizeMismatch, UploadGone, UploadTooLarge
from runcache.model import MAX_BLOCKS, Entry, Upload


class Uploads:
    """Reserved keys that are not committed yet."""

    def __init__(self, connections: Connections, repositories: Repositories) -> None:
        self._connections = connections
        self._repositories = repositories

    async def reserve(self, new: NewUpload) -> Upload:
        """Reserve a key.

        That voids an unfinished upload of the same job, and another job's that has expired or was
        not heard of for 5 minutes.

        Raises:
            EntryExists: it is saved already, or another job is about to.
        """
        try:
            return await self._connections.write(
                lambda c: insert_upload(c, self._repositories.ensure(c, new.repository), new)
            )
        except Duplicate as exc:
            raise EntryExists(new.key, scope=new.scope) from exc

    async def get(self, upload_id: int, *, now_ms: int) -> Upload:
        """Return an upload by its id.

        Raises:
            UploadGone: there is none, or it has expired.
        """
        return await self._one(UPLOADS.c.id == upload_id, now_ms=now_ms)

    async def of_blob(self, blob: str, *, now_ms: int) -> Upload:
        """Return the upload that makes `blob`.

        Raises:
            UploadGone: there is none, or it has expired.
        """
        return await self._one(BLOBS.c.name == blob, now_ms=now_ms)

    async def of_key(
        self, repository: str, scope: str, key: str, version: str, *, now_ms: int
    ) -> Upload | None:
        """Return the upload that has reserved a key, or `None`."""
        condition = (
            (REPOSITORIES.c.name == repository)
            & (UPLOADS.c.scope == scope)
            & (UPLOADS.c.key == key)
            & (UPLOADS.c.version == version)
        )
        try:
            return await self._one(condition, now_ms=now_ms)
        except UploadGone:
            return None

    async def add_block(
        self, blob: str, part: NewPart, *, limit_bytes: int | None, now_ms: int
    ) -> str | None:
        """Make a stored part a block of the upload, and return the name of the part it replaces.

        Raises:
            UploadGone: the upload was committed, voided or has expired.
            InvalidBlockList: the upload has as many blocks as it may have.
            UploadTooLarge: its blocks would have more than `limit_bytes`.
        """

        def work(connection: Connection) -> str | None:
            upload = live_upload(connection, BLOBS.c.name == blob, now_ms=now_ms)
            same = (PARTS.c.blob_id == upload.blob_id) & (PARTS.c.block_id == part.block_id)
            former = connection.execute(select(PARTS).where(same)).one_or_none()
            if former is None and upload.block_count >= MAX_BLOCKS:
                message = f"an upload takes at most {MAX_BLOCKS} blocks"
                raise InvalidBlockList(message)
            received_bytes = upload.received_bytes + part.size_bytes
            received_bytes -= former.size_bytes if former else 0
            if limit_bytes is not None and received_bytes > limit_bytes:
                raise UploadTooLarge(limit_bytes)
            connection.execute(delete(PARTS).where(same))
            # A request that its client had given up may be worked off after the list: what comes
            # again keeps its place.
            place = former if former and former.size_bytes == part.size_bytes else None
            insert_part(
                connection,
                upload.blob_id,
                part,
                position=place.position if place else None,
                start=place.start if place else None,
            )
            connection.execute(
                update(UPLOADS)
                .where(UPLOADS.c.id == upload.id)
                .values(
                    received_bytes=received_bytes,
                    block_count=upload.block_count + (former is None),
                    active_at=now_ms,
                )
            )
            return former.name if former else None

        return await self._connections.write(work)

    async def set_whole(
        self, blob: str, part: NewPart, *, limit_bytes: int | None, now_ms: int
    ) -> list[str]:
        """Make a stored part the whole blob, and return the names of the parts it replaces.

        Raises:
            UploadGone: the upload was committed, voided or has expired.
            UploadTooLarge: it has more than `limit_bytes`.
        """
        if limit_bytes is not None and part.size_bytes > limit_bytes:
            raise UploadTooLarge(limit_bytes)

        def work(connection: Connection) -> list[str]:
            upload = live_upload(connection, BLOBS.c.name == blob, now_ms=now_ms)
            replaced, _ = replace_parts(connection, upload.blob_id, part)
            connection.execute(
                update(UPLOADS)
                .where(UPLOADS.c.id == upload.id)
                .values(received_bytes=part.size_bytes, block_count=1, active_at=now_ms)
            )
            return replaced

        return await self._connections.write(work)

    async def block_ids(self, blob: str) -> list[str]:
        """Return the ids of the blocks that were received, at most 50 000."""
        statement = (
            select(PARTS.c.block_id)
            .join(BLOBS, BLOBS.c.id == PARTS.c.blob_id)
            .where(BLOBS.c.name == blob)
        )
        return await self._connections.read(lambda c: list(c.scalars(statement)))

    async def order_blocks(self, blob: str, block_ids: Sequence[str], *, now_ms: int) -> list[str]:
        """Make the blob these blocks in this order; return the names of the parts that are left.

        Raises:
            UploadGone: the upload was committed, voided or has expired.
            InvalidBlockList: a block was never received.
        """

        def work(connection: Connection) -> list[str]:
            upload = live_upload(connection, BLOBS.c.name == blob, now_ms=now_ms)
            size_bytes, left = put_in_order(connection, upload.blob_id, block_ids)
            connection.execute(
                update(UPLOADS)
                .where(UPLOADS.c.id == upload.id)
                .values(received_bytes=size_bytes, block_count=len(block_ids), active_at=now_ms)
            )
            return left

        return await self._connections.write(work)

    async def commit(self, upload: Upload, *, size_bytes: int, now_ms: int) -> Entry:
        """Turn the upload into an entry: from now on it is found.

        Raises:
            UploadGone: it was committed, voided or has expired.
            SizeMismatch: its ordered blocks do not have `size_bytes`.
            InvalidBlockList: one of them was replaced by one of another size.
            EntryExists: another job was first.
        """

        def work(connection: Connection) -> None:
            row = live_upload(connection, UPLOADS.c.id == upload.id, now_ms=now_ms)
            received_bytes, end = connection.execute(
                select(
                    func.coalesce(func.sum(PARTS.c.size_bytes), 0),
                    func.coalesce(func.max(PARTS.c.start + PARTS.c.size_bytes), 0),
                ).where(PARTS.c.blob_id == row.blob_id, PARTS.c.position.is_not(None))
            ).one()
            if received_bytes != size_bytes:
                raise SizeMismatch(announced_bytes=size_bytes, received_bytes=received_bytes)
            if end != size_bytes:
                message = "a block has changed its size since the block list"
                raise InvalidBlockList(message)
            connection.execute(
                update(BLOBS)
                .where(BLOBS.c.id == row.blob_id)
                .values(size_bytes=size_bytes, created_at=now_ms)
            )
            connection.execute(
                delete(PARTS).where(PARTS.c.blob_id == row.blob_id, PARTS.c.position.is_(None))
            )
            insert_entry(connection, row, [row.blob_id], size_bytes=size_bytes, now_ms=now_ms)

        try:
            await self._connections.write(work)
        except Duplicate as exc:
            raise EntryExists(upload.key, scope=upload.scope) from exc
        return entry_from(upload, size_bytes, now_ms=now_ms)

    async def note_active(self, blobs: Sequence[str], *, now_ms: int) -> None:
        """Record that the jobs that make these blobs were heard of."""
        made = select(BLOBS.c.id).where(BLOBS.c.name.in_(blobs))
        statement = update(UPLOADS).where(UPLOADS.c.blob_id.in_(made)).values(active_at=now_ms)
        await self._connections.write(lambda c: c.execute(statement))

    async def void(self, upload: Upload, *, now_ms: int) -> None:
        """Give the upload up and free its key; one that is gone already is not an error."""

        def work(connection: Connection) -> None:
            row = connection.execute(select(UPLOADS).where(UPLOADS.c.id == upload.id)).one_or_none()
            if row is not None:
                drop_upload(connection, row, now_ms=now_ms)

        await self._connections.write(work)

    async def expired(self, *, now_ms: int, after_id: int = 0, limit: int = BATCH) -> list[Upload]:
        """Return uploads that have expired, in order of their ids."""
        statement = (
            _uploads()
            .where(UPLOADS.c.id > after_id, UPLOADS.c.expires_at <= now_ms)
            .order_by(UPLOADS.c.id)
            .limit(limit)
        )
        rows = await self._connections.read(lambda c: c.execute(statement).all())
        return [_upload_of(row) for row in rows]

    async def after(self, upload_id: int, *, limit: int = BATCH) -> list[Upload]:
        """Return the next uploads in order of their ids: a page of a walk over all."""
        statement = _uploads().where(UPLOADS.c.id > upload_id).order_by(UPLOADS.c.id).limit(limit)
        rows = await self._connections.read(lambda c: c.execute(statement).all())
        return [_upload_of(row) for row in rows]

    async def _one(self, condition: ColumnElement[bool], *, now_ms: int) -> Upload:
        statement = _uploads().where(condition, UPLOADS.c.expires_at > now_ms)
        row = await self._connections.read(lambda c: c.execute(statement).one_or_none())
        if row is None:
            raise UploadGone
        return _upload_of(row)


def _uploads() -> Select[Any]:
    return select(
        UPLOADS, REPOSITORIES.c.name.label("repository"), BLOBS.c.name.label("blob")
    ).select_from(
        UPLOADS.join(REPOSITORIES, REPOSITORIES.c.id == UPLOADS.c.repository_id).join(
            BLOBS, BLOBS.c.id == UPLOADS.c.blob_id
        )
    )


def _upload_of(row: Row[Any]) -> Upload:
    return Upload(
        row.id,
        row.repository,
        row.scope,
        row.key,
        row.version,
        row.blob,
        row.job,
        row.expires_at,
        row.is_snapshot,
    )


def live_upload(connection: Connection, condition: ColumnElement[bool], *, now_ms: int) -> Row[Any]:
    """Return the row of a live upload within a transaction.

    Raises:
        UploadGone: there is none, or it has expired.
    """
    row = connection.execute(
        _uploads().where(condition, UPLOADS.c.expires_at > now_ms)
    ).one_or_none()
    if row is None:
        raise UploadGone
    return row


def entry_from(upload: Upload, size_bytes: int, *, now_ms: int) -> Entry:
    """Return the entry that an upload became at `now_ms`."""
    return Entry(
        upload.id,
        upload.repository,
        upload.scope,
        upload.key,
        upload.version,
        size_bytes,
        created_at=now_ms,
        last_accessed_at=now_ms,
        is_snapshot=upload.is_snapshot,
    )
