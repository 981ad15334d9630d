"""A cache without a server: catalog, store, service and maintenance on a folder, and a clock that
stands still until the test moves it.
"""

import asyncio
import itertools
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from hashlib import sha256
from pathlib import Path
from typing import Final, Literal

from blake3 import blake3

from runcache.catalog.catalog import Catalog
from runcache.catalog.connections import Connections
from runcache.catalog.sqlite import SqliteConnections
from runcache.maintenance import Maintenance
from runcache.model import (
    Entry,
    Grant,
    Hit,
    PackName,
    Permission,
    ScopePermission,
    Span,
    Upload,
)
from runcache.retention import Limits
from runcache.service import CacheService, Observer, Records, UploadLimits
from runcache.store.blobs import BlobStore
from runcache.store.direct import DirectStore
from runcache.store.local import LocalStore
from runcache.testing.blob_store_suite import bytes_of

MAIN: Final = "refs/heads/main"
REPOSITORY: Final = "octo/hello"
VERSION: Final = "v" * 64
SNAPSHOT: Final = "s" * 64

_job_numbers = itertools.count(1)


@dataclass
class Clock:
    """Milliseconds since 1970, as the service and the maintenance ask for them."""

    now_ms: int = 1_800_000_000_000

    def __call__(self) -> int:
        return self.now_ms

    def advance(self, by: timedelta) -> None:
        self.now_ms += by // timedelta(milliseconds=1)


def job(
    own: str = MAIN,
    *readable: str,
    repository: str = REPOSITORY,
    permission: Permission = Permission.READ_WRITE,
) -> Grant:
    """Return the grant of a job that is no other's; it saves to `own` and reads all of the refs."""
    scopes = (
        ScopePermission(own, permission),
        *(ScopePermission(scope, Permission.READ) for scope in readable),
    )
    return Grant(repository, scopes, job=f"job-{next(_job_numbers)}")


def digests_of(data: bytes) -> dict[str, bytes]:
    return {"blake3": blake3(data).digest(), "sha256": sha256(data).digest()}


async def body_of(*pieces: bytes) -> AsyncIterator[bytes]:
    for piece in pieces:
        yield piece


@dataclass
class Cache:
    """Everything below the handlers."""

    folder: Path
    clock: Clock
    catalog: Catalog
    store: BlobStore
    service: CacheService
    maintenance: Maintenance
    records: Records
    default: Grant = field(default_factory=job)

    async def reserve(self, key: str, *, grant: Grant | None = None) -> Upload:
        return await self.service.reserve(grant or self.default, key, VERSION)

    async def save(
        self, key: str, data: bytes = b"data", *, grant: Grant | None = None, version: str = VERSION
    ) -> Entry:
        """Save `data` in one piece."""
        grant = grant or self.default
        upload = await self.service.reserve(grant, key, version)
        await self.service.write_whole(upload.blob, body_of(data), announced_bytes=len(data))
        return await self.service.commit(grant, key, version, len(data))

    async def write_blocks(self, upload: Upload, blocks: Iterable[tuple[str, bytes]]) -> None:
        for block_id, data in blocks:
            await self.service.write_block(
                upload.blob, block_id, body_of(data), announced_bytes=len(data)
            )

    async def save_blocks(
        self, key: str, blocks: Sequence[bytes], *, grant: Grant | None = None
    ) -> Entry:
        """Save `blocks` in this order, sent in the opposite one."""
        grant = grant or self.default
        upload = await self.reserve(key, grant=grant)
        ids = [f"block{number}" for number in range(len(blocks))]
        await self.write_blocks(upload, reversed(list(zip(ids, blocks, strict=True))))
        await self.service.order_blocks(upload.blob, ids)
        return await self.service.commit(grant, key, VERSION, sum(map(len, blocks)))

    async def reserve_snapshot(
        self,
        key: str,
        *,
        bases: Literal["auto"] | Sequence[int] = (),
        grant: Grant | None = None,
        version: str = SNAPSHOT,
    ) -> Upload:
        upload, _ = await self.service.snapshots.reserve(grant or self.default, key, version, bases)
        return upload

    async def write_pack(
        self, upload: Upload, number: int, data: bytes, *, grant: Grant | None = None
    ) -> PackName:
        """Send a pack in two pieces, and return its name."""
        name = PackName(upload.id, number)
        await self.service.snapshots.write_pack(
            grant or self.default,
            name,
            body_of(data[:3], data[3:]),
            announced_bytes=len(data),
            **digests_of(data),
        )
        return name

    async def write_manifest(
        self, upload: Upload, data: bytes = b"manifest", *, grant: Grant | None = None
    ) -> None:
        await self.service.snapshots.write_manifest(
            grant or self.default,
            upload.id,
            body_of(data),
            announced_bytes=len(data),
            **digests_of(data),
        )

    async def save_snapshot(
        self,
        key: str,
        *packs: bytes,
        shared: Sequence[PackName] = (),
        bases: Literal["auto"] | Sequence[int] = (),
        manifest: bytes = b"manifest",
        grant: Grant | None = None,
    ) -> Entry:
        """Save a manifest, new packs that are numbered from 0, and behind them shared ones."""
        upload = await self.reserve_snapshot(key, bases=bases, grant=grant)
        names = [
            await self.write_pack(upload, number, data, grant=grant)
            for number, data in enumerate(packs)
        ]
        await self.write_manifest(upload, manifest, grant=grant)
        return await self.service.snapshots.commit(
            grant or self.default, upload.id, [*names, *shared]
        )

    async def snapshot(
        self, key: str, *restore_keys: str, grant: Grant | None = None
    ) -> list[bytes] | None:
        """Return manifest and packs of the snapshot that a restore gets, `None` for a miss."""
        hit = await self.service.find_blobs(grant or self.default, key, restore_keys, [SNAPSHOT])
        return None if hit is None else [await self.read(blob.name) for blob in hit.blobs]

    async def find(
        self, key: str, *restore_keys: str, grant: Grant | None = None, version: str = VERSION
    ) -> Hit | None:
        return await self.service.find(grant or self.default, key, restore_keys, version)

    async def read(self, blob_name: str, span: Span | None = None) -> bytes:
        """Return the bytes of a blob, or `span` of them."""
        blob = await self.service.blob(blob_name)
        read = bytearray()
        async for piece in self.service.read(blob, span or Span(0, blob.size_bytes)):
            read += await asyncio.to_thread(bytes_of, piece)
        return bytes(read)

    async def content(self, key: str, *, grant: Grant | None = None) -> bytes | None:
        """Return what a restore of exactly `key` gets, `None` for a miss."""
        hit = await self.find(key, grant=grant)
        if hit is None or hit.entry.key != key:
            return None
        return await self.read(hit.blob)

    def files(self) -> dict[str, set[str]]:
        """Return the names of the parts on the disk by their blobs, folders without parts too."""
        return {
            folder.name: {part.name for part in folder.iterdir()}
            for folder in (self.folder / "blobs").glob("*/*")
        }


@asynccontextmanager
async def open_cache(
    folder: Path,
    *,
    clock: Clock | None = None,
    limits: Limits | None = None,
    upload_limits: UploadLimits | None = None,
    observers: Iterable[Observer] = (),
    wrapped_connections: Callable[[Connections], Connections] = lambda connections: connections,
    wrapped_store: Callable[[BlobStore], BlobStore] = lambda store: store,
    direct: DirectStore | None = None,
) -> AsyncIterator[Cache]:
    """Open what is in `folder`, which may be nothing yet."""
    clock = clock or Clock()
    limits = limits or Limits(min_free_bytes=0)
    upload_limits = upload_limits or UploadLimits(min_free_bytes=0)
    local = LocalStore(folder / "blobs")
    connections = await SqliteConnections.open(folder / "catalog.sqlite3")
    try:
        catalog = Catalog(wrapped_connections(connections))
        store = wrapped_store(local)
        records = Records(catalog, now=clock)
        service = CacheService(
            catalog, store, upload_limits, observers=(*observers, records), now=clock, direct=direct
        )
        maintenance = Maintenance(catalog, store, limits, now=clock, direct=direct)
        yield Cache(folder, clock, catalog, store, service, maintenance, records)
    finally:
        await connections.close()
        local.close()
