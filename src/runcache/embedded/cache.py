"""Catalog, store and service in one data folder, and the upkeep that a server does for them."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, suppress
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Final, Self

from runcache.catalog.opening import open_catalog
from runcache.config import Settings
from runcache.maintenance import Maintenance
from runcache.model import Entry, Span
from runcache.records import entry_name
from runcache.service import CacheService, Observer, Piece, Records, UploadLimits, now_ms
from runcache.store.opening import open_store

if TYPE_CHECKING:
    from runcache.catalog.catalog import Catalog
    from runcache.store.blobs import BlobStore

_MILLISECOND: Final = timedelta(milliseconds=1)
_BOOT_ID: Final = Path("/proc/sys/kernel/random/boot_id")
# In the data folder: when the limits were last applied by whoever has no background of its own.
_SWEPT: Final = "swept"


class Cache:
    """Catalog, store and what works on them, to be used in one event loop.

    Attributes:
        catalog: where the facts are.
        store: where the bytes are.
        service: finds, saves and reads.
        maintenance: keeps the limits, and verifies.
        records: what happened.
        has_grown: whether something was saved, so that there is something to tidy up.
    """

    def __init__(self, settings: Settings, stack: AsyncExitStack) -> None:
        self._settings = settings
        self._stack = stack
        self.catalog: Catalog
        self.store: BlobStore
        self.service: CacheService
        self.maintenance: Maintenance
        self.records: Records
        self._saves = _Saves()
        self.has_grown = False

    @classmethod
    async def opened(cls, settings: Settings) -> Self:
        """Open what the settings name, and finish what an unclean stop of the machine left behind.

        Raises:
            CatalogUnavailable: the catalog cannot be opened.
            InvalidSettings: the store is that of another catalog.
        """
        async with AsyncExitStack() as stack:
            cache = cls(settings, stack)
            cache.store = store = await stack.enter_async_context(open_store(settings.store))
            cache.catalog = catalog = await stack.enter_async_context(
                open_catalog(settings.catalog)
            )
            cache.maintenance = Maintenance(catalog, store, settings.limits(), now=catalog.now_ms)
            await cache.maintenance.claim_store()
            cache.records = Records(catalog, now=catalog.now_ms)
            cache.service = CacheService(
                catalog,
                store,
                UploadLimits(
                    upload_ttl=settings.upload_ttl,
                    entry_limit_bytes=settings.entry_limit,
                    min_free_bytes=settings.min_free,
                ),
                observers=(cache.records, cache._saves),
                now=catalog.now_ms,
            )
            boot_id = await asyncio.to_thread(_boot_id)
            if boot_id is not None and await cache.maintenance.recover(boot_id):
                await cache.maintenance.settle()
            cache._stack = stack.pop_all()
            return cache

    async def close(self) -> None:
        """Close the catalog and the store."""
        await self._stack.aclose()

    async def record_accesses(self) -> None:
        """Write down what was looked up, and keep its bytes for as long as a link would."""
        await self.service.record_accesses(link_ms=self._settings.link_ttl // _MILLISECOND)

    async def pieces(
        self, name: str, span: Span, *, is_restore: bool
    ) -> AsyncGenerator[Piece, None]:
        """Yield the bytes of `span` of a blob as `CacheService.read` does.

        Raises:
            BlobMissing: it is not, or no longer, there.
        """
        blob = await self.service.blob(name)
        async for piece in self.service.read(blob, span, is_restore=is_restore):
            yield piece

    async def tidy(self, repository: str) -> None:
        """Do what a server does in the background: settle what is new, and keep the limits."""
        await self.record_accesses()
        await self.records.write()
        if not self.has_grown:
            return
        await self.maintenance.settle()
        is_due = await asyncio.to_thread(self._is_sweep_due)
        if is_due or await self.maintenance.is_over_limit([repository]):
            await self.maintenance.sweep(causes=self._saves.causes)
            await self.records.trim()

    def _is_sweep_due(self) -> bool:
        """Say whether the limits were last applied so long ago, and note that they are now."""
        mark = self._settings.data / _SWEPT
        with suppress(OSError):
            age_seconds = now_ms() / 1000 - mark.stat().st_mtime
            if age_seconds < self._settings.sweep_every.total_seconds():
                return False
        mark.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        mark.touch(mode=0o600)
        return True


class _Saves(Observer):
    """Knows what was saved last in each repository: it may evict others."""

    def __init__(self) -> None:
        self.causes: dict[str, str] = {}

    def saved(self, entry: Entry) -> None:
        self.causes[entry.repository] = entry_name(entry.id)


def _boot_id() -> str | None:
    """Return what is another text after each start of the machine, `None` where nothing tells."""
    try:
        return _BOOT_ID.read_text("ascii").strip()
    except OSError:
        return None
