"""The catalog and the store of a cache, opened for one act."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from runcache.catalog.catalog import Catalog
from runcache.catalog.opening import open_catalog
from runcache.config import Settings
from runcache.maintenance import Maintenance
from runcache.store.opening import open_store

T = TypeVar("T")


def in_catalog(settings: Settings, act: Callable[[Catalog], Coroutine[Any, Any, T]]) -> T:
    """Return what `act` does in a catalog that exists.

    None is made here: an empty catalog knows no blob, and pruning by it would delete every byte of
    a store.

    Raises:
        InvalidSettings: there is no catalog at this place.
    """
    settings.require_cache(hint="name the folder of the server with `--data` or `RUNCACHE_DATA`")

    async def run() -> T:
        async with open_catalog(settings.catalog) as catalog:
            return await act(catalog)

    return asyncio.run(run())


def upkeep(settings: Settings, act: Callable[[Maintenance], Coroutine[Any, Any, T]]) -> T:
    """Return what `act` does to a cache that exists.

    Raises:
        InvalidSettings: there is no cache at this place, or its store is another's.
    """

    async def run(catalog: Catalog) -> T:
        async with open_store(settings.store) as store:
            maintenance = Maintenance(catalog, store, settings.limits(), now=catalog.now_ms)
            await maintenance.claim_store()
            return await act(maintenance)

    return in_catalog(settings, run)
