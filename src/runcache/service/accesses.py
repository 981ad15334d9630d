"""Which links were given lately: noted in memory, and written down together."""

from collections.abc import Callable

from runcache.catalog.catalog import Catalog
from runcache.catalog.entries import Access
from runcache.errors import CatalogUnavailable
from runcache.model import EntryBlob


class Accesses:
    """The accesses of this process that the catalog does not know of yet."""

    def __init__(self, catalog: Catalog, now: Callable[[], int]) -> None:
        self._catalog = catalog
        self._now = now
        self._noted: dict[tuple[int, bool], Access] = {}

    def note(self, entry_id: int, blobs: tuple[EntryBlob, ...], *, is_use: bool = True) -> None:
        """Note that links are given to these blobs of an entry now (see `Access`)."""
        self._noted[entry_id, is_use] = Access(entry_id, blobs, self._now(), is_use=is_use)

    async def record(self, *, link_ms: int) -> None:
        """Write down what was noted since the last call, and keep its bytes for the links."""
        noted, self._noted = self._noted, {}
        if not noted:
            return
        try:
            await self._catalog.entries.touch(list(noted.values()), link_ms=link_ms)
        except CatalogUnavailable:
            self._noted = noted | self._noted
            raise
