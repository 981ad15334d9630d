"""Which entries and uploads refer to which blobs, and what becomes of a blob that none does.

Everything here happens within a transaction of somebody else's.
"""

from collections import Counter
from collections.abc import Sequence
from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, Row, case, delete, func, insert, select, update

from runcache.catalog.event_log import record_removal, record_save
from runcache.catalog.origins import drop_origins, saver_of
from runcache.catalog.tables import BLOBS, ENTRIES, ENTRY_BLOBS, REPOSITORIES, UPLOADS
from runcache.catalog.tallies import count_added, count_dropped
from runcache.records import Removal, family_of

# How much longer than its links a blob is kept, whoever forgets its entries: an access is written
# down within a second, and a download that began in the last moment says so within a minute.
GRACE_MS: Final = 120_000


def insert_entry(
    connection: Connection,
    upload: Row[Any],
    blob_ids: Sequence[int],
    *,
    size_bytes: int,
    now_ms: int,
) -> None:
    """Turn a row of `uploads` into the entry with the same id, made of these blobs, and count it.

    Blobs that no entry referred to until now count with their size, and are doomed no longer.
    """
    family = family_of(upload.key)
    connection.execute(delete(UPLOADS).where(UPLOADS.c.id == upload.id))
    connection.execute(
        insert(ENTRIES).values(
            id=upload.id,
            repository_id=upload.repository_id,
            scope=upload.scope,
            key=upload.key,
            version=upload.version,
            size_bytes=size_bytes,
            created_at=now_ms,
            last_accessed_at=now_ms,
            is_snapshot=upload.is_snapshot,
            family=family,
        )
    )
    connection.execute(
        insert(ENTRY_BLOBS),
        [
            {"entry_id": upload.id, "position": position, "blob_id": blob_id}
            for position, blob_id in enumerate(blob_ids)
        ],
    )
    mine = BLOBS.c.id.in_(select(ENTRY_BLOBS.c.blob_id).where(ENTRY_BLOBS.c.entry_id == upload.id))
    added_bytes = connection.scalar(
        select(func.sum(BLOBS.c.size_bytes)).where(mine, ~_held_by_others([upload.id]))
    )
    connection.execute(
        update(BLOBS).where(mine, BLOBS.c.doomed_at.is_not(None)).values(doomed_at=None)
    )
    _count(connection, upload.repository_id, entries=1, size_bytes=added_bytes or 0)
    count_added(
        connection,
        upload.repository_id,
        upload.scope,
        family,
        upload.version,
        size_bytes=size_bytes,
    )
    saver = saver_of(connection, upload.id, upload.scope)
    record_save(connection, upload, by=saver, size_bytes=size_bytes, now_ms=now_ms)


def drop_entries(
    connection: Connection, ids: Sequence[int], removal: Removal, *, now_ms: int, link_ms: int
) -> int:
    """Drop entries, doom the blobs that no other one refers to, and return how many there were.

    `removal` says why, for the records.

    All their blobs are kept for `link_ms` after the last access, since links may have been given
    then; also those that others refer to, which may go before these links end.
    """
    dropped = connection.execute(
        select(
            ENTRIES.c.id,
            ENTRIES.c.repository_id,
            ENTRIES.c.scope,
            ENTRIES.c.key,
            ENTRIES.c.version,
            ENTRIES.c.family,
            ENTRIES.c.size_bytes,
        ).where(ENTRIES.c.id.in_(ids))
    ).all()
    theirs = BLOBS.c.id.in_(select(ENTRY_BLOBS.c.blob_id).where(ENTRY_BLOBS.c.entry_id.in_(ids)))
    until = _links_end(ids, now_ms=now_ms, link_ms=link_ms)
    # A lease of a running transfer may already reach further.
    is_longer = func.coalesce(BLOBS.c.kept_until, 0) < until
    connection.execute(update(BLOBS).where(theirs, is_longer).values(kept_until=until))
    unheld = theirs & BLOBS.c.doomed_at.is_(None) & ~_held_by_others(ids)
    freed = connection.execute(
        select(BLOBS.c.repository_id, func.sum(BLOBS.c.size_bytes))
        .where(unheld)
        .group_by(BLOBS.c.repository_id)
    ).all()
    connection.execute(update(BLOBS).where(unheld).values(doomed_at=now_ms))
    connection.execute(delete(ENTRY_BLOBS).where(ENTRY_BLOBS.c.entry_id.in_(ids)))
    connection.execute(delete(ENTRIES).where(ENTRIES.c.id.in_(ids)))
    for repository_id, count in Counter(row.repository_id for row in dropped).items():
        _count(connection, repository_id, entries=-count, size_bytes=0)
    for repository_id, size_bytes in freed:
        _count(connection, repository_id, entries=0, size_bytes=-(size_bytes or 0))
    count_dropped(connection, dropped)
    record_removal(connection, dropped, removal, now_ms=now_ms)
    drop_origins(connection, ids)
    return len(dropped)


def drop_upload(connection: Connection, upload: Row[Any], *, now_ms: int) -> None:
    """Drop a row of `uploads` with its holds; what was received may go, as no link leads there."""
    connection.execute(delete(UPLOADS).where(UPLOADS.c.id == upload.id))
    drop_origins(connection, [upload.id])
    received = (BLOBS.c.id == upload.blob_id) | (BLOBS.c.upload_id == upload.id)
    connection.execute(update(BLOBS).where(received).values(doomed_at=now_ms, kept_until=now_ms))


def _links_end(ids: Sequence[int], *, now_ms: int, link_ms: int) -> ColumnElement[int]:
    """Return when the last link to a blob ends that one of these entries may have given."""
    last_accessed_at = (
        select(func.max(ENTRIES.c.last_accessed_at))
        .join(ENTRY_BLOBS, ENTRY_BLOBS.c.entry_id == ENTRIES.c.id)
        .where(ENTRY_BLOBS.c.blob_id == BLOBS.c.id, ENTRIES.c.id.in_(ids))
        .scalar_subquery()
    )
    end = last_accessed_at + link_ms
    return case((end > now_ms, end), else_=now_ms) + GRACE_MS


def _held_by_others(ids: Sequence[int]) -> ColumnElement[bool]:
    return (
        select(ENTRY_BLOBS.c.entry_id)
        .where(ENTRY_BLOBS.c.blob_id == BLOBS.c.id, ENTRY_BLOBS.c.entry_id.not_in(ids))
        .exists()
    )


def _count(connection: Connection, repository_id: int, *, entries: int, size_bytes: int) -> None:
    connection.execute(
        update(REPOSITORIES)
        .where(REPOSITORIES.c.id == repository_id)
        .values(
            entry_count=REPOSITORIES.c.entry_count + entries,
            size_bytes=REPOSITORIES.c.size_bytes + size_bytes,
        )
    )
