"""Statements about uploads: reserving, receiving, ordering and committing."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from sqlalchemy import (
    ARRAY,
    BigInteger,
    ColumnElement,
    Connection,
    Integer,
    Row,
    Select,
    Text,
    bindparam,
    delete,
    func,
    insert,
    select,
    update,
)

from runcache.catalog.connections import Connections, Duplicate
from runcache.catalog.entries import BATCH
from runcache.catalog.origins import insert_origin
from runcache.catalog.references import drop_upload, insert_entry
from runcache.catalog.repositories import Repositories
from runcache.catalog.tables import BLOBS, ENTRIES, PARTS, REPOSITORIES, UPLOADS
from runcache.errors import (
    EntryExists,
    InvalidBlockList,
    SizeMismatch,
    UploadGone,
    UploadTooLarge,
)
from runcache.model import MAX_BLOCKS, Entry, Inputs, PackName, Upload

# A transfer that moves no byte ends after a minute: a job that is silent for longer is not there
# any more, and another one may have the key that it had reserved.
ABANDONED_AFTER_MS: Final = 5 * 60_000


@dataclass(frozen=True, slots=True, kw_only=True)
class NewUpload:
    """What is to be reserved, by which job; `blob` is the name of the upload's own blob.

    `event`, `run` and `inputs` are for the records.
    """

    repository: str
    scope: str
    key: str
    version: str
    job: str
    blob: str
    created_at: int
    expires_at: int
    is_snapshot: bool = False
    event: str | None = None
    run: str | None = None
    inputs: Inputs = field(default_factory=Inputs)


@dataclass(frozen=True, slots=True)
class NewPart:
    """A part that the store holds and that is about to become a block of an upload."""

    block_id: str
    name: str
    size_bytes: int


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
            mine = PARTS.c.blob_id == upload.blob_id
            received = {row.block_id: row for row in connection.execute(select(PARTS).where(mine))}
            ordered: list[tuple[str, int, int]] = []
            start = 0
            for position, block_id in enumerate(block_ids):
                row = received.pop(block_id, None)
                if row is None:
                    message = "the block list names a block that was never received"
                    raise InvalidBlockList(message)
                ordered.append((block_id, position, start))
                start += row.size_bytes
            for batch in _batches(list(received)):
                connection.execute(delete(PARTS).where(mine, PARTS.c.block_id.in_(batch)))
            if ordered:
                _place(connection, upload.blob_id, ordered)
            connection.execute(
                update(UPLOADS)
                .where(UPLOADS.c.id == upload.id)
                .values(received_bytes=start, block_count=len(ordered), active_at=now_ms)
            )
            return [row.name for row in received.values()]

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


def _is_alive(upload: Row[Any], now_ms: int) -> bool:
    silent_ms: int = now_ms - upload.active_at
    left_ms: int = upload.expires_at - now_ms
    return silent_ms < ABANDONED_AFTER_MS and left_ms > 0


def insert_upload(connection: Connection, repository_id: int, new: NewUpload) -> Upload:
    """Reserve a key within a transaction, as `Uploads.reserve` says."""
    wanted = {
        "repository_id": repository_id,
        "scope": new.scope,
        "key": new.key,
        "version": new.version,
    }
    saved = select(ENTRIES.c.id).filter_by(**wanted)
    if connection.scalar(saved) is not None:
        raise EntryExists(new.key, scope=new.scope)
    former = connection.execute(select(UPLOADS).filter_by(**wanted)).one_or_none()
    if former is not None:
        if former.job != new.job and _is_alive(former, new.created_at):
            raise EntryExists(new.key, scope=new.scope)
        drop_upload(connection, former, now_ms=new.created_at)
    upload_id = connection.execute(
        insert(UPLOADS)
        .values(
            **wanted,
            blob_id=insert_blob(connection, new.blob, repository_id, now_ms=new.created_at),
            job=new.job,
            created_at=new.created_at,
            active_at=new.created_at,
            expires_at=new.expires_at,
            is_snapshot=new.is_snapshot,
        )
        .returning(UPLOADS.c.id)
    ).scalar_one()
    insert_origin(connection, upload_id, event=new.event, run=new.run, inputs=new.inputs)
    return Upload(
        upload_id,
        new.repository,
        new.scope,
        new.key,
        new.version,
        new.blob,
        new.job,
        new.expires_at,
        new.is_snapshot,
    )


def insert_blob(
    connection: Connection,
    name: str,
    repository_id: int,
    *,
    now_ms: int,
    pack: PackName | None = None,
) -> int:
    """Make a blob known before its first byte comes, and return its id."""
    named = {} if pack is None else {"upload_id": pack.upload_id, "number": pack.number}
    made: int = connection.execute(
        insert(BLOBS)
        .values(name=name, repository_id=repository_id, created_at=now_ms, **named)
        .returning(BLOBS.c.id)
    ).scalar_one()
    return made


def replace_parts(connection: Connection, blob_id: int, part: NewPart) -> tuple[list[str], int]:
    """Make a part the whole of a blob; return the names and the bytes of those it replaces."""
    mine = PARTS.c.blob_id == blob_id
    former = connection.execute(select(PARTS.c.name, PARTS.c.size_bytes).where(mine)).all()
    connection.execute(delete(PARTS).where(mine))
    insert_part(connection, blob_id, part, position=0, start=0)
    return [row.name for row in former], sum(row.size_bytes for row in former)


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


def _place(connection: Connection, blob_id: int, places: Sequence[tuple[str, int, int]]) -> None:
    """Give blocks, each by its id, their positions and starts."""
    names = ("blocks", "positions", "starts")
    if connection.dialect.name == "postgresql":
        # One statement: 50 000 would take longer than a writer may.
        arrays = dict(zip(names, map(list, zip(*places, strict=True)), strict=True))
        connection.execute(_PLACE_ALL, {**arrays, "blob": blob_id})
    else:
        rows = [dict(zip(names, place, strict=True)) | {"blob": blob_id} for place in places]
        connection.execute(_PLACE_ONE, rows)


def insert_part(
    connection: Connection,
    blob_id: int,
    part: NewPart,
    *,
    position: int | None = None,
    start: int | None = None,
) -> None:
    """Make a stored part one of a blob, in its order if that is known."""
    connection.execute(
        insert(PARTS).values(
            blob_id=blob_id,
            block_id=part.block_id,
            name=part.name,
            size_bytes=part.size_bytes,
            position=position,
            start=start,
        )
    )


def _batches(ids: Sequence[str]) -> list[Sequence[str]]:
    return [ids[start : start + BATCH] for start in range(0, len(ids), BATCH)]


_PLACE_ONE: Final = (
    update(PARTS)
    .where(PARTS.c.blob_id == bindparam("blob"), PARTS.c.block_id == bindparam("blocks"))
    .values(position=bindparam("positions"), start=bindparam("starts"))
)
_PLACES: Final = (
    func.unnest(
        bindparam("blocks", type_=ARRAY(Text)),
        bindparam("positions", type_=ARRAY(Integer)),
        bindparam("starts", type_=ARRAY(BigInteger)),
    )
    .table_valued("block_id", "position", "start")
    .render_derived()
)
_PLACE_ALL: Final = (
    update(PARTS)
    .where(PARTS.c.blob_id == bindparam("blob"), PARTS.c.block_id == _PLACES.c.block_id)
    .values(position=_PLACES.c.position, start=_PLACES.c.start)
)
