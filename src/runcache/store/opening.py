"""Opens the store at a location; what its engine needs is imported then."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import TYPE_CHECKING

from runcache.errors import StoreUnavailable
from runcache.locations import Bucket, Folder, StoreLocation
from runcache.store.blobs import BlobReader, BlobStore
from runcache.store.direct import DirectStore

if TYPE_CHECKING:
    from runcache.store.read_cache import Facts, ReadCacheObserver


@asynccontextmanager
async def open_store(
    location: StoreLocation, *, heard: Callable[[str | None], None] | None = None
) -> AsyncIterator[BlobStore]:
    """Open the store there, and close it on the way out.

    `heard` hears why the engine is taken for away from now on, or `None` when it is back.

    Raises:
        StoreUnavailable: there are no credentials for it.
    """
    if isinstance(location, Folder):
        from runcache.store.local import LocalStore  # noqa: PLC0415  -- see above

        with closing(LocalStore(location.path)) as store:
            yield store
        return
    from runcache.circuits import Circuit  # noqa: PLC0415  -- see above
    from runcache.store.guarded import GuardedStore  # noqa: PLC0415  -- see above
    from runcache.store.s3 import S3Store  # noqa: PLC0415  -- see above
    from runcache.store.s3_connection import S3Connection  # noqa: PLC0415  -- see above

    circuit = Circuit("store", StoreUnavailable, heard=heard)
    with closing(S3Store(await S3Connection.opened(location))) as bucket:
        try:
            yield GuardedStore(bucket, circuit)
        finally:
            await circuit.close()


@asynccontextmanager
async def open_direct(location: StoreLocation | None) -> AsyncIterator[DirectStore | None]:
    """Open the way that clients have to the store there; `None` where they have none.

    Raises:
        StoreUnavailable: there are no credentials for it.
    """
    if not isinstance(location, Bucket):
        yield None
        return
    from runcache.circuits import Circuit  # noqa: PLC0415  -- see above
    from runcache.store.guarded_direct import GuardedDirect  # noqa: PLC0415  -- see above
    from runcache.store.s3_connection import S3Connection  # noqa: PLC0415  -- see above
    from runcache.store.s3_direct import S3Direct  # noqa: PLC0415  -- see above

    circuit = Circuit("store", StoreUnavailable)
    with closing(S3Direct(await S3Connection.opened(location))) as direct:
        try:
            yield GuardedDirect(direct, circuit)
        finally:
            await circuit.close()


@asynccontextmanager
async def open_read_cache(
    store: BlobReader,
    facts: "Facts",
    folder: Path,
    *,
    catalog_id: str,
    limit_bytes: int | None,
    min_free_bytes: int,
    observer: "ReadCacheObserver",
) -> AsyncIterator[BlobReader]:
    """Put a cache of so many bytes in front of a store; without a limit there is none."""
    if limit_bytes is None:
        yield store
        return
    from runcache.store.cached_files import CachedFiles  # noqa: PLC0415  -- see above
    from runcache.store.read_cache import ReadCache  # noqa: PLC0415  -- see above

    files = CachedFiles(folder, catalog_id, limit_bytes=limit_bytes, min_free_bytes=min_free_bytes)
    cache = ReadCache(store, facts, files, observer)
    async with cache.running():
        yield cache
