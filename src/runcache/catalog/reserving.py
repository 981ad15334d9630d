"""Statements that reserve a key for a job, within a transaction."""

from dataclasses import dataclass, field
from typing import Any, Final

from sqlalchemy import Connection, Row, insert, select

from runcache.catalog.origins import insert_origin
from runcache.catalog.references import drop_upload
from runcache.catalog.tables import BLOBS, ENTRIES, UPLOADS
from runcache.errors import EntryExists
from runcache.model import Inputs, PackName, Upload

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


def _is_alive(upload: Row[Any], now_ms: int) -> bool:
    silent_ms: int = now_ms - upload.active_at
    left_ms: int = upload.expires_at - now_ms
    return silent_ms < ABANDONED_AFTER_MS and left_ms > 0
