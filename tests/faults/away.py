"""A cache whose database and bucket are reached through fault proxies."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import urlsplit, urlunsplit

from runcache.catalog.catalog import Catalog
from runcache.catalog.connections import Connections
from runcache.catalog.guarded import GuardedConnections
from runcache.catalog.guarded import Patience as CatalogPatience
from runcache.catalog.postgres import PostgresConnections
from runcache.circuits import Circuit
from runcache.errors import CatalogUnavailable, StoreUnavailable
from runcache.listing import Order, Selection
from runcache.locations import Bucket, PostgresDatabase, parse_catalog, parse_store
from runcache.model import Grant, Span, Upload
from runcache.service import CacheService, UploadLimits
from runcache.store.blobs import BlobStore
from runcache.store.guarded import GuardedStore
from runcache.store.guarded import Patience as StorePatience
from runcache.store.s3 import S3Store
from runcache.store.s3_connection import S3Connection
from runcache.testing import FaultProxy
from runcache.testing.blob_store_suite import bytes_of
from tests.in_process import REPOSITORY, VERSION, body_of, job

SHORT: Final = 0.3
PATIENT: Final = 20
PAUSE: Final = 0.1


@dataclass
class Through:
    """Where the engines are if one goes through the proxies."""

    catalog: FaultProxy
    store: FaultProxy
    catalog_url: str
    store_url: str

    @property
    def proxies(self) -> dict[str, FaultProxy]:
        return {"catalog": self.catalog, "store": self.store}


@dataclass
class Remote:
    """Catalog and store without a guard, of which each service here makes one of its own."""

    connections: Connections
    bucket: BlobStore
    grant: Grant = field(default_factory=job)

    @asynccontextmanager
    async def service(self, *, tired_of: str = "") -> AsyncIterator["Guarded"]:
        """Make a service that has not heard of any trouble yet; with one engine it is impatient."""
        patience = dict.fromkeys(("catalog", "store"), PATIENT) | {tired_of: SHORT}
        service = Guarded(self.connections, self.bucket, self.grant, patience)
        try:
            yield service
        finally:
            await service.close()


class Guarded:
    """A service that waits so long for each answer of an engine, and tries it again soon."""

    def __init__(
        self,
        connections: Connections,
        bucket: BlobStore,
        grant: Grant,
        patience: Mapping[str, float],
    ) -> None:
        seconds = patience["catalog"]
        self._grant = grant
        self._catalog_circuit = Circuit("catalog", CatalogUnavailable, pause_seconds=PAUSE)
        self._store_circuit = Circuit("store", StoreUnavailable, pause_seconds=PAUSE)
        self._catalog = Catalog(
            GuardedConnections(
                connections,
                self._catalog_circuit,
                CatalogPatience(
                    look_up_seconds=seconds,
                    read_seconds=seconds,
                    read_long_seconds=seconds,
                    write_seconds=seconds,
                ),
            )
        )
        seconds = patience["store"]
        store = GuardedStore(
            bucket,
            self._store_circuit,
            StorePatience(
                look_seconds=seconds,
                piece_seconds=seconds,
                whole_seconds=seconds,
                task_seconds=seconds,
                tidy_up_seconds=seconds,
            ),
        )
        self.cache = CacheService(
            self._catalog, store, UploadLimits(min_free_bytes=0), lookup_seconds=PATIENT
        )

    async def close(self) -> None:
        await self._catalog_circuit.close()
        await self._store_circuit.close()

    async def look_up(self, key: str) -> str | None:
        hit = await self.cache.find(self._grant, key, (), VERSION)
        return None if hit is None else hit.blob

    async def reserve(self, key: str) -> Upload:
        return await self.cache.reserve(self._grant, key, VERSION)

    async def block(self, upload: Upload, data: bytes, *, block_id: str = "one") -> None:
        await self.cache.write_block(
            upload.blob, block_id, body_of(data), announced_bytes=len(data)
        )

    async def commit(self, upload: Upload, size_bytes: int) -> None:
        await self.cache.commit(self._grant, upload.key, VERSION, size_bytes)

    async def download(self, blob_name: str) -> bytes:
        blob = await self.cache.blob(blob_name)
        read = bytearray()
        async for piece in self.cache.read(blob, Span(0, blob.size_bytes)):
            read += await asyncio.to_thread(bytes_of, piece)
        return bytes(read)

    async def list(self) -> list[str]:
        found, _ = await self._catalog.listing.page(
            REPOSITORY, Selection(), Order(), behind=None, offset=0, limit=100
        )
        return [entry.key for entry in found]

    async def save(self, key: str, data: bytes) -> str:
        """Save `data`, and return the name of the blob."""
        upload = await self.reserve(key)
        await self.block(upload, data)
        await self.cache.order_blocks(upload.blob, ["one"])
        await self.commit(upload, len(data))
        return upload.blob


async def until(question: Callable[[], Awaitable[object]]) -> None:
    """Ask again and again, until the answer is true."""
    async with asyncio.timeout(PATIENT):
        while not await question():  # noqa: ASYNC110  -- nobody tells
            await asyncio.sleep(0.02)


def through(catalog: FaultProxy, store: FaultProxy, catalog_url: str, store_url: str) -> Through:
    """Return the same locations behind proxies, of which each knows its target."""
    database = urlsplit(catalog_url)
    userinfo = database.netloc.rpartition("@")[0]
    behind = urlunsplit(database._replace(netloc=f"{userinfo}@{catalog.address}"))
    path = store_url.partition("?")[0]
    return Through(catalog, store, behind, f"{path}?endpoint=http://{store.address}")


@asynccontextmanager
async def opened(where: Through) -> AsyncIterator[Remote]:
    """Open both engines through their proxies."""
    database, bucket = parse_catalog(where.catalog_url), parse_store(where.store_url)
    assert isinstance(database, PostgresDatabase)
    assert isinstance(bucket, Bucket)
    connections = await PostgresConnections.open(database)
    try:
        with closing(S3Store(await S3Connection.opened(bucket))) as store:
            yield Remote(connections, store)
    finally:
        for proxy in where.proxies.values():
            proxy.heal()
        await connections.close()
