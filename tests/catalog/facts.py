"""Entries and uploads in a catalog, without any bytes."""

import itertools
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from typing import Final

from sqlalchemy import Connection, insert, select

from runcache.catalog.catalog import Catalog
from runcache.catalog.connections import Connections
from runcache.catalog.parts import NewPart
from runcache.catalog.reserving import NewUpload
from runcache.catalog.snapshots import ReceivedBlob
from runcache.catalog.tables import FACTS
from runcache.locations import CatalogLocation, PostgresDatabase
from runcache.model import Contents, Entry, PackName, Upload
from runcache.store import layout
from tests.engines import postgres

NOW: Final = 1_800_000_000_000
REPOSITORY: Final = "octo/hello"
MAIN: Final = "refs/heads/main"
VERSION: Final = "v1"
FOREVER: Final = 2**62

_job_numbers = itertools.count(1)


def new_job() -> str:
    return f"job-{next(_job_numbers)}"


async def reserve(
    catalog: Catalog,
    key: str = "key",
    *,
    repository: str = REPOSITORY,
    scope: str = MAIN,
    version: str = VERSION,
    job: str | None = None,
    now_ms: int = NOW,
    expires_at: int = FOREVER,
) -> Upload:
    return await catalog.uploads.reserve(
        NewUpload(
            repository=repository,
            scope=scope,
            key=key,
            version=version,
            job=job or new_job(),
            blob=layout.new_blob_name(),
            created_at=now_ms,
            expires_at=expires_at,
        )
    )


def part(size_bytes: int, block_id: str = "") -> NewPart:
    return NewPart(block_id, layout.new_part_name(), size_bytes)


async def add_blocks(catalog: Catalog, upload: Upload, sizes: Sequence[int]) -> list[str]:
    """Add a block of each size, and return their ids."""
    ids = [f"{number:05}" for number in range(len(sizes))]
    for block_id, size_bytes in zip(ids, sizes, strict=True):
        await catalog.uploads.add_block(
            upload.blob, part(size_bytes, block_id), limit_bytes=None, now_ms=NOW
        )
    return ids


async def save(
    catalog: Catalog,
    key: str = "key",
    *,
    size_bytes: int = 10,
    repository: str = REPOSITORY,
    scope: str = MAIN,
    version: str = VERSION,
    now_ms: int = NOW,
) -> tuple[Entry, str]:
    """Save an entry, and return it with the name of its blob."""
    upload = await reserve(
        catalog, key, repository=repository, scope=scope, version=version, now_ms=now_ms
    )
    await catalog.uploads.set_whole(upload.blob, part(size_bytes), limit_bytes=None, now_ms=now_ms)
    entry = await catalog.uploads.commit(upload, size_bytes=size_bytes, now_ms=now_ms)
    return entry, upload.blob


async def save_many(
    catalog: Catalog, location: CatalogLocation, count: int
) -> list[tuple[Entry, str]]:
    """Save so many entries, all but the first by copying its rows; return what `save` does."""
    first, blob = await save(catalog, "key-0")
    copies = (
        (
            "blobs (id, name, repository_id, size_bytes, created_at)"
            " SELECT 1000 + x, 'blob-' || x, repository_id, size_bytes, created_at"
        ),
        (
            "entries (id, repository_id, scope, key, version, size_bytes, created_at,"
            " last_accessed_at, family) SELECT 1000 + x, repository_id, scope, 'key-' || x,"
            " version, size_bytes, created_at, last_accessed_at, family"
        ),
    )
    for copy in copies:
        query(
            location,
            "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n WHERE x < ?)"  # noqa: S608
            f" INSERT INTO {copy} FROM n, {copy.partition(' ')[0]} WHERE id < 1000",
            count - 1,
        )
    query(
        location,
        "INSERT INTO entry_blobs (entry_id, position, blob_id)"
        " SELECT id, 0, id FROM entries WHERE id > 1000",
    )
    await catalog.repositories.miscounted(repair=True)
    more = await catalog.entries.newest(first.repository, [first.scope], "", limit=count)
    return [
        (entry, blob if entry == first else f"blob-{entry.key.removeprefix('key-')}")
        for entry in reversed(more)
    ]


async def reserve_snapshot(
    catalog: Catalog,
    key: str = "key",
    *,
    bases: Sequence[int] | None = (),
    repository: str = REPOSITORY,
    scope: str = MAIN,
    readable: Sequence[str] = (MAIN,),
    version: str = VERSION,
    now_ms: int = NOW,
) -> tuple[Upload, list[Contents]]:
    """Reserve a key; without `bases` (`None`), the newest snapshot is the base."""
    new = NewUpload(
        repository=repository,
        scope=scope,
        key=key,
        version=version,
        job=new_job(),
        blob=layout.new_blob_name(),
        created_at=now_ms,
        expires_at=FOREVER,
        is_snapshot=True,
    )
    return await catalog.snapshots.reserve(new, bases=bases, readable=readable)


async def receive_pack(catalog: Catalog, upload: Upload, number: int, size_bytes: int) -> PackName:
    pack = PackName(upload.id, number)
    blob = await catalog.snapshots.open_pack(pack, blob=layout.new_blob_name(), now_ms=NOW)
    await _receive(catalog, upload, blob, size_bytes)
    return pack


async def receive_manifest(catalog: Catalog, upload: Upload, size_bytes: int = 1) -> None:
    await _receive(catalog, upload, upload.blob, size_bytes)


async def _receive(catalog: Catalog, upload: Upload, blob: str, size_bytes: int) -> None:
    received = ReceivedBlob(part(size_bytes), b"3" * 32, b"2" * 32)
    await catalog.snapshots.set_blob(upload, blob, received, limit_bytes=None, now_ms=NOW)


async def commit_snapshot(
    catalog: Catalog,
    upload: Upload,
    *packs: PackName,
    readable: Sequence[str] = (MAIN,),
    now_ms: int = NOW,
) -> Entry:
    """Commit with a manifest of one byte."""
    await receive_manifest(catalog, upload)
    return await catalog.snapshots.commit(
        upload, packs, readable=readable, limit_bytes=None, now_ms=now_ms
    )


async def save_snapshot(
    catalog: Catalog,
    key: str,
    *sizes: int,
    shared: Sequence[PackName] = (),
    scope: str = MAIN,
    now_ms: int = NOW,
) -> Entry:
    """Save packs of these sizes, which are numbered from 0, and behind them shared ones."""
    upload, _ = await reserve_snapshot(catalog, key, scope=scope, now_ms=now_ms)
    own = [
        await receive_pack(catalog, upload, number, size_bytes)
        for number, size_bytes in enumerate(sizes)
    ]
    return await commit_snapshot(catalog, upload, *own, *shared, readable=[scope], now_ms=now_ms)


def query(
    location: CatalogLocation, statement: str, *parameters: object
) -> list[tuple[object, ...]]:
    """Run a statement of the test's own, past the catalog."""
    if isinstance(location, PostgresDatabase):
        return postgres.query(location.url, statement, *parameters)
    with closing(sqlite3.connect(location.path, timeout=10)) as connection, connection:
        return connection.execute(statement, parameters).fetchall()


def add_fact(connection: Connection, name: str) -> object:
    return connection.execute(insert(FACTS).values(name=name, value=""))


async def known_facts(connections: Connections) -> set[str]:
    return await connections.read(lambda c: set(c.scalars(select(FACTS.c.name))))
