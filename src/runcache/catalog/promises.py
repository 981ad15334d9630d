"""Statements about promised blobs: those whose bytes somebody else puts into the store.

That is a client that was given a signed link, or the store itself, which copies. A promised blob
has its row before its first byte, as any other, but is doomed from its beginning: unless it is
kept in time, it goes as all that is doomed goes, with whatever was put there, by whomever.
"""

from dataclasses import dataclass
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Row,
    Select,
    exists,
    func,
    insert,
    select,
    update,
)

from runcache.catalog.connections import Connections
from runcache.catalog.parts import NewPart, insert_part
from runcache.catalog.references import GRACE_MS
from runcache.catalog.tables import BLOBS, PARTS, UPLOADS
from runcache.catalog.uploads import live_upload
from runcache.errors import TooManyPacks, UploadGone, UploadTooLarge
from runcache.model import MAX_PACKS, PackName, Upload


@dataclass(frozen=True, slots=True)
class Promise:
    """What is expected in the store: one part of a blob, and what its bytes hash to."""

    blob: str
    part: str
    size_bytes: int
    sha256: bytes


class Promises:
    """Manifests and packs that clients put into the store themselves."""

    def __init__(self, connections: Connections) -> None:
        self._connections = connections

    async def make(
        self,
        upload: Upload,
        promise: Promise,
        *,
        until: int,
        limit_bytes: int | None,
        now_ms: int,
    ) -> Promise:
        """Expect a manifest or pack of an upload until then (ms); the same one again is one.

        Returns the promise that holds, which is an earlier one if there is one.

        Raises:
            UploadGone: the upload was committed, voided or has expired.
            UploadTooLarge: with it the upload has more than `limit_bytes`.
        """

        def work(connection: Connection) -> Promise:
            row = live_upload(connection, UPLOADS.c.id == upload.id, now_ms=now_ms)
            if limit_bytes is not None and row.received_bytes + promise.size_bytes > limit_bytes:
                raise UploadTooLarge(limit_bytes)
            active = update(UPLOADS).where(UPLOADS.c.id == row.id).values(active_at=now_ms)
            connection.execute(active)
            known = _promised(connection, row.id, promise.sha256, now_ms=now_ms)
            if known is not None:
                kept = update(BLOBS).where(BLOBS.c.id == known.id).values(kept_until=until)
                connection.execute(kept)
                return Promise(known.blob, known.name, known.size_bytes, promise.sha256)
            blob_id = insert_promised(
                connection,
                promise.blob,
                row.repository_id,
                upload_id=row.id,
                sha256=promise.sha256,
                until=until,
                now_ms=now_ms,
            )
            insert_part(connection, blob_id, NewPart("", promise.part, promise.size_bytes))
            return promise

        return await self._connections.write(work)

    async def find(
        self, upload: Upload, pack: PackName | None, sha256: bytes, *, now_ms: int
    ) -> Promise | None:
        """Return what was promised for a pack, or the manifest, with this digest.

        `None` if the upload has it already, as that very pack.

        Raises:
            UploadGone: the upload was committed, voided or has expired, or no such thing was
                promised.
        """

        def work(connection: Connection) -> Promise | None:
            known = _promised(connection, upload.id, sha256, now_ms=now_ms)
            if known is not None:
                return Promise(known.blob, known.name, known.size_bytes, sha256)
            row = live_upload(connection, UPLOADS.c.id == upload.id, now_ms=now_ms)
            _require_kept(connection, row, pack, sha256)
            return None

        return await self._connections.read(work)

    async def keep(
        self,
        upload: Upload,
        pack: PackName | None,
        promise: Promise,
        *,
        limit_bytes: int | None,
        now_ms: int,
    ) -> None:
        """Make a promised blob, whose bytes are in the store for good, a pack or the manifest.

        It replaces what was received as that before. Done again, it changes nothing.

        Raises:
            UploadGone: the upload was committed, voided or has expired, or the promise has ended.
            TooManyPacks: the upload has as many as it may have.
            UploadTooLarge: all that was received for it has more than `limit_bytes`.
        """

        def work(connection: Connection) -> None:
            row = live_upload(connection, UPLOADS.c.id == upload.id, now_ms=now_ms)
            known = _promised(connection, row.id, promise.sha256, now_ms=now_ms)
            if known is None:
                _require_kept(connection, row, pack, promise.sha256)
                return
            replaced_bytes, is_new = _replace(connection, row, pack, now_ms=now_ms)
            block_count = row.block_count + (is_new and pack is not None)
            if block_count > MAX_PACKS:
                raise TooManyPacks(limit=MAX_PACKS)
            received_bytes = row.received_bytes + known.size_bytes - replaced_bytes
            if limit_bytes is not None and received_bytes > limit_bytes:
                raise UploadTooLarge(limit_bytes)
            _take(connection, known.id, pack, now_ms=now_ms)
            connection.execute(
                update(UPLOADS)
                .where(UPLOADS.c.id == row.id)
                .values(
                    received_bytes=received_bytes,
                    block_count=block_count,
                    active_at=now_ms,
                    **({"blob_id": known.id} if pack is None else {}),
                )
            )

        await self._connections.write(work)


def insert_promised(
    connection: Connection,
    name: str,
    repository_id: int,
    *,
    until: int,
    now_ms: int,
    upload_id: int | None = None,
    sha256: bytes | None = None,
) -> int:
    """Make a blob known that is promised until then (ms), and return its id."""
    made: int = connection.execute(
        insert(BLOBS)
        .values(
            name=name,
            repository_id=repository_id,
            created_at=now_ms,
            upload_id=upload_id,
            sha256=sha256,
            doomed_at=now_ms,
            kept_until=until,
        )
        .returning(BLOBS.c.id)
    ).scalar_one()
    return made


def is_promised(now_ms: int) -> ColumnElement[bool]:
    """Return the condition that a blob is promised, and will be for a while."""
    return (
        BLOBS.c.doomed_at.is_not(None)
        & BLOBS.c.size_bytes.is_(None)
        # Whoever deletes what is doomed has another clock, perhaps, and does not look again.
        & (BLOBS.c.kept_until > now_ms + GRACE_MS)
    )


def _promised(
    connection: Connection, upload_id: int, sha256: bytes, *, now_ms: int
) -> Row[Any] | None:
    statement: Select[Any] = (
        select(BLOBS.c.id, BLOBS.c.name.label("blob"), PARTS.c.name, PARTS.c.size_bytes)
        .join(PARTS, PARTS.c.blob_id == BLOBS.c.id)
        .where(
            BLOBS.c.upload_id == upload_id,
            BLOBS.c.number.is_(None),
            BLOBS.c.sha256 == sha256,
            is_promised(now_ms),
        )
    )
    return connection.execute(statement).first()


def _require_kept(
    connection: Connection, upload: Row[Any], pack: PackName | None, sha256: bytes
) -> None:
    """Make sure that the upload has these bytes as a pack, or the manifest, already."""
    received = exists(select(PARTS.c.blob_id).where(PARTS.c.blob_id == BLOBS.c.id))
    same = _is_same(upload, pack) & (BLOBS.c.sha256 == sha256) & received
    if connection.scalar(select(BLOBS.c.id).where(same)) is None:
        raise UploadGone


def _is_same(upload: Row[Any], pack: PackName | None) -> ColumnElement[bool]:
    if pack is None:
        is_own: ColumnElement[bool] = BLOBS.c.id == upload.blob_id
        return is_own
    return (BLOBS.c.upload_id == pack.upload_id) & (BLOBS.c.number == pack.number)


def _replace(
    connection: Connection, upload: Row[Any], pack: PackName | None, *, now_ms: int
) -> tuple[int, bool]:
    """Doom what was received before; return how many bytes that was, and if it was nothing."""
    former = connection.scalar(select(BLOBS.c.id).where(_is_same(upload, pack)))
    if former is None:
        return 0, True
    size_bytes = connection.scalar(
        select(func.sum(PARTS.c.size_bytes)).where(PARTS.c.blob_id == former)
    )
    connection.execute(
        update(BLOBS)
        .where(BLOBS.c.id == former)
        .values(number=None, doomed_at=now_ms, kept_until=now_ms)
    )
    return size_bytes or 0, False


def _take(connection: Connection, blob_id: int, pack: PackName | None, *, now_ms: int) -> None:
    owner = {} if pack else {"upload_id": None}
    connection.execute(
        update(BLOBS)
        .where(BLOBS.c.id == blob_id)
        .values(
            number=pack.number if pack else None,
            durable_at=now_ms,
            doomed_at=None,
            kept_until=None,
            **owner,
        )
    )
    connection.execute(update(PARTS).where(PARTS.c.blob_id == blob_id).values(position=0, start=0))
