"""What lies in the store and belongs to nobody."""

from collections.abc import AsyncIterator

from runcache.catalog.catalog import Catalog
from runcache.catalog.entries import BATCH
from runcache.store.blobs import BlobStore


class Debris:
    """Finds blobs without a row, and files of blobs that no row names and nobody writes."""

    def __init__(self, catalog: Catalog, store: BlobStore) -> None:
        self._catalog = catalog
        self._store = store

    async def orphans(self) -> AsyncIterator[str]:
        """Yield the names of blobs that the catalog does not know."""
        # A blob has its row before its first byte: what has none now was left behind.
        async for names in self._store.names():
            for start in range(0, len(names), BATCH):
                batch = names[start : start + BATCH]
                known = await self._catalog.blobs.known(batch)
                for name in batch:
                    if name not in known:
                        yield name

    async def of(self, blob: str, *, is_committed: bool) -> list[str]:
        """Name what lies in a blob, is no part of it and will not become one."""
        # In this order: what was finished before the first look has its row by the second.
        unclaimed = await self._store.unclaimed(blob, is_committed=is_committed)
        known = await self._catalog.blobs.part_names(blob)
        return [name for name in unclaimed if name not in known]

    async def delete(self, blob: str, *, is_committed: bool) -> None:
        """Delete that of a blob."""
        await self._store.delete_parts(blob, await self.of(blob, is_committed=is_committed))
