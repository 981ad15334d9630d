"""Statements about snapshots in the making: their bases, their packs, and their commit."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Row,
    Select,
    and_,
    func,
    insert,
    literal,
    or_,
    select,
    update,
)

from runcache.catalog.connections import Connections, Duplicate
from runcache.catalog.entries import BATCH, contents_of
from runcache.catalog.parts import NewPart, replace_parts
from runcache.catalog.references import insert_entry
from runcache.catalog.repositories import Repositories
from runcache.catalog.reserving import NewUpload, insert_blob, insert_upload
from runcache.catalog.tables import BLOBS, ENTRIES, ENTRY_BLOBS, HOLDS, PARTS, UPLOADS
from runcache.catalog.uploads import entry_from, live_upload
from runcache.errors import (
    EntryExists,
    ManifestMissing,
    PackGone,
    TooManyPacks,
    UploadGone,
    UploadTooLarge,
)
from runcache.model import MAX_PACKS, Contents, Entry, PackName, Upload


@dataclass(frozen=True, slots=True)
class ReceivedBlob:
    """A manifest or pack as the store holds it: its one part, and what its bytes hash to."""

    part: NewPart
    blake3: bytes
    sha256: bytes


class Snapshots:
    """Uploads that become snapshots."""

    def __init__(self, connections: Connections, repositories: Repositories) -> None:
        self._connections = connections
        self._repositories = repositories

    async def reserve(
        self, new: NewUpload, *, bases: Sequence[int] | None, readable: Sequence[str]
    ) -> tuple[Upload, list[Contents]]:
        """Reserve a key, and hold the blobs of bases for it until its commit or its end.

        `bases` are ids of entries; `None` stands for the newest snapshot of the same version. Those
        that are no snapshots in one of the scopes `readable` are left out.

        Raises:
            EntryExists: as `Uploads.reserve`.
        """

        def work(connection: Connection) -> tuple[Upload, list[Contents]]:
            repository_id = self._repositories.ensure(connection, new.repository)
            upload = insert_upload(connection, repository_id, new)
            mine = (
                (ENTRIES.c.repository_id == repository_id)
                & ENTRIES.c.is_snapshot.is_(True)
                & ENTRIES.c.is_suspect.is_(False)
            )
            if bases is None:
                wanted = _newest(connection, mine & (ENTRIES.c.version == new.version), readable)
            else:
                allowed = mine & ENTRIES.c.scope.in_(readable) & ENTRIES.c.id.in_(bases)
                found = set(connection.scalars(select(ENTRIES.c.id).where(allowed)))
                wanted = [entry_id for entry_id in dict.fromkeys(bases) if entry_id in found]
            return upload, [_held(connection, upload.id, entry_id) for entry_id in wanted]

        try:
            return await self._connections.write(work)
        except Duplicate as exc:
            raise EntryExists(new.key, scope=new.scope) from exc

    async def open_pack(self, name: PackName, *, blob: str, now_ms: int) -> str:
        """Make room for a pack of an upload, and return the name of its blob.

        That is `blob`, or the one that it has already.

        Raises:
            UploadGone: the upload was committed, voided or has expired.
            TooManyPacks: it has as many as it may have.
        """

        def work(connection: Connection) -> str:
            upload = live_upload(connection, UPLOADS.c.id == name.upload_id, now_ms=now_ms)
            known: str | None = connection.scalar(select(BLOBS.c.name).where(_is_pack(name)))
            if known is not None:
                return known
            if upload.block_count >= MAX_PACKS:
                raise TooManyPacks(limit=MAX_PACKS)
            insert_blob(connection, blob, upload.repository_id, now_ms=now_ms, pack=name)
            connection.execute(
                update(UPLOADS)
                .where(UPLOADS.c.id == upload.id)
                .values(block_count=upload.block_count + 1, active_at=now_ms)
            )
            return blob

        return await self._connections.write(work)

    async def set_blob(
        self,
        upload: Upload,
        blob: str,
        received: ReceivedBlob,
        *,
        limit_bytes: int | None,
        now_ms: int,
    ) -> list[str]:
        """Make what was received the whole of a blob of the upload; return the parts it replaces.

        Raises:
            UploadGone: the upload was committed, voided or has expired.
            UploadTooLarge: all that was received for it has more than `limit_bytes`.
        """

        def work(connection: Connection) -> list[str]:
            row = live_upload(connection, UPLOADS.c.id == upload.id, now_ms=now_ms)
            blob_id = connection.scalar(select(BLOBS.c.id).where(BLOBS.c.name == blob))
            if blob_id is None:  # another one was received as the same, and this one is gone
                raise UploadGone
            replaced, replaced_bytes = replace_parts(connection, blob_id, received.part)
            received_bytes = row.received_bytes + received.part.size_bytes - replaced_bytes
            if limit_bytes is not None and received_bytes > limit_bytes:
                raise UploadTooLarge(limit_bytes)
            connection.execute(
                update(BLOBS)
                .where(BLOBS.c.id == blob_id)
                # What was there before may have been proven.
                .values(blake3=received.blake3, sha256=received.sha256, durable_at=None)
            )
            connection.execute(
                update(UPLOADS)
                .where(UPLOADS.c.id == row.id)
                .values(received_bytes=received_bytes, active_at=now_ms)
            )
            return replaced

        return await self._connections.write(work)

    async def commit(
        self,
        upload: Upload,
        packs: Sequence[PackName],
        *,
        readable: Sequence[str],
        limit_bytes: int | None,
        now_ms: int,
    ) -> Entry:
        """Turn the upload into an entry of its manifest and these packs: from now on it is found.

        Each is one that it received, that it holds, or that an entry in one of the scopes
        `readable` has. Others that it received are dropped.

        Raises:
            UploadGone: it was committed, voided or has expired.
            ManifestMissing: its manifest was never received.
            PackGone: one of them is none of these.
            UploadTooLarge: all of it has more than `limit_bytes`.
            EntryExists: another job was first.
        """

        def work(connection: Connection) -> int:
            row = live_upload(connection, UPLOADS.c.id == upload.id, now_ms=now_ms)
            own = {pack.number for pack in packs if pack.upload_id == row.id}
            _fix_sizes(connection, row, own, now_ms=now_ms)
            manifest = connection.execute(_with_size(BLOBS.c.id == row.blob_id)).one()
            if manifest.size_bytes is None:
                raise ManifestMissing
            found = _resolved(connection, packs, _may_have(row, readable))
            size_bytes: int = sum((blob.size_bytes for blob in found), manifest.size_bytes)
            if limit_bytes is not None and size_bytes > limit_bytes:
                raise UploadTooLarge(limit_bytes)
            connection.execute(
                update(BLOBS)
                .where(BLOBS.c.upload_id == row.id, BLOBS.c.size_bytes.is_(None))
                .values(doomed_at=now_ms, kept_until=now_ms)
            )
            blob_ids = [manifest.id, *(blob.id for blob in found)]
            insert_entry(connection, row, blob_ids, size_bytes=size_bytes, now_ms=now_ms)
            return size_bytes

        try:
            size_bytes = await self._connections.write(work)
        except Duplicate as exc:
            raise EntryExists(upload.key, scope=upload.scope) from exc
        return entry_from(upload, size_bytes, now_ms=now_ms)


def _newest(
    connection: Connection, condition: ColumnElement[bool], scopes: Iterable[str]
) -> list[int]:
    """Return the id of the newest entry in any of the scopes, each of which the index answers."""
    statement = (
        select(ENTRIES.c.created_at, ENTRIES.c.id)
        .where(condition)
        .order_by(ENTRIES.c.created_at.desc(), ENTRIES.c.id.desc())
        .limit(1)
    )
    newest = [
        row
        for scope in scopes
        for row in connection.execute(statement.where(ENTRIES.c.scope == scope))
    ]
    return [max(newest).id] if newest else []


def _held(connection: Connection, upload_id: int, entry_id: int) -> Contents:
    held = select(HOLDS.c.blob_id).where(HOLDS.c.upload_id == upload_id)
    connection.execute(
        insert(HOLDS).from_select(
            ["upload_id", "blob_id"],
            select(literal(upload_id), ENTRY_BLOBS.c.blob_id).where(
                # Bases may share packs with each other.
                ENTRY_BLOBS.c.entry_id == entry_id,
                ENTRY_BLOBS.c.blob_id.not_in(held),
            ),
        )
    )
    contents = contents_of(connection, entry_id)
    assert contents is not None  # noqa: S101  -- the same transaction has found it
    return contents


def _is_pack(name: PackName) -> ColumnElement[bool]:
    return (BLOBS.c.upload_id == name.upload_id) & (BLOBS.c.number == name.number)


def _with_size(condition: ColumnElement[bool]) -> Select[Any]:
    return select(BLOBS.c.id, BLOBS.c.number, BLOBS.c.size_bytes).where(condition)


def _fix_sizes(
    connection: Connection, upload: Row[Any], numbers: Iterable[int], *, now_ms: int
) -> None:
    """Give the manifest and these packs of an upload their sizes, where they were received."""
    received_bytes = (
        select(func.sum(PARTS.c.size_bytes)).where(PARTS.c.blob_id == BLOBS.c.id).scalar_subquery()
    )
    fixed = update(BLOBS).values(size_bytes=received_bytes, created_at=now_ms)
    connection.execute(fixed.where(BLOBS.c.id == upload.blob_id))
    for batch in _batches(sorted(numbers)):
        connection.execute(fixed.where(BLOBS.c.upload_id == upload.id, BLOBS.c.number.in_(batch)))


def _may_have(upload: Row[Any], readable: Sequence[str]) -> ColumnElement[bool]:
    """Return the condition under which a snapshot may refer to a pack, its own ones included."""
    is_held = (
        select(HOLDS.c.blob_id)
        .where(HOLDS.c.upload_id == upload.id, HOLDS.c.blob_id == BLOBS.c.id)
        .exists()
    )
    is_readable = (
        select(ENTRIES.c.id)
        .join(ENTRY_BLOBS, ENTRY_BLOBS.c.entry_id == ENTRIES.c.id)
        .where(
            ENTRY_BLOBS.c.blob_id == BLOBS.c.id,
            ENTRIES.c.repository_id == upload.repository_id,
            ENTRIES.c.scope.in_(readable),
            ENTRIES.c.is_suspect.is_(False),
        )
        .exists()
    )
    is_own = BLOBS.c.upload_id == upload.id
    return and_(BLOBS.c.size_bytes.is_not(None), or_(is_own, is_held, is_readable))


def _resolved(
    connection: Connection, packs: Sequence[PackName], condition: ColumnElement[bool]
) -> list[Row[Any]]:
    """Return the blobs of packs in the order of these; all of them meet the condition."""
    found: dict[PackName, Row[Any]] = {}
    by_upload = sorted(set(packs), key=lambda pack: (pack.upload_id, pack.number))
    for upload_id, group in groupby(by_upload, key=lambda pack: pack.upload_id):
        for batch in _batches([pack.number for pack in group]):
            same = (BLOBS.c.upload_id == upload_id) & BLOBS.c.number.in_(batch)
            for row in connection.execute(_with_size(same & condition)):
                found[PackName(upload_id, row.number)] = row
    if len(found) < len(by_upload):
        raise PackGone
    return [found[pack] for pack in packs]


def _batches(numbers: Sequence[int]) -> Iterable[Sequence[int]]:
    return (numbers[start : start + BATCH] for start in range(0, len(numbers), BATCH))
