"""Lookups: which entry a restore would use, of those whose bytes are all there."""

import asyncio
from collections.abc import Iterable

from runcache import matching
from runcache.catalog.catalog import Catalog
from runcache.errors import CatalogUnavailable, StoreUnavailable
from runcache.model import Grant, Hit, Version
from runcache.service.accesses import Accesses
from runcache.service.observer import Lookup, Observer
from runcache.service.wholeness import Wholeness


class Lookups:
    """Answers lookups and tells of them.

    One that takes longer than `seconds`, or whose engine is away, is a miss; with `None` it waits,
    and raises what the engine does.
    """

    def __init__(
        self,
        catalog: Catalog,
        wholeness: Wholeness,
        accesses: Accesses,
        observers: tuple[Observer, ...],
        seconds: float | None,
    ) -> None:
        self._catalog = catalog
        self._wholeness = wholeness
        self._accesses = accesses
        self._observers = observers
        self._seconds = seconds

    async def find(
        self,
        grant: Grant,
        key: str,
        restore_keys: Iterable[str],
        versions: Iterable[str],
        *,
        every_blob: bool = False,
        peek: bool = False,
    ) -> Hit | None:
        """Return the entry that a restore would use, as `CacheService.find_blobs` says.

        Without `every_blob` it has its first blob alone.
        """
        keys = matching.keys_of(key, restore_keys)
        wanted = [Version(version).text for version in versions]
        lookup = Lookup(grant, keys, wanted)
        if peek:
            return await self._looked_up(lookup, every_blob=every_blob)
        try:
            async with asyncio.timeout(self._seconds):
                hit = await self._looked_up(lookup, every_blob=every_blob)
        except (CatalogUnavailable, StoreUnavailable, TimeoutError) as exc:
            if self._seconds is None:
                raise
            for observer in self._observers:
                observer.gave_up(lookup, exc)
            return None
        if hit is not None:
            self._accesses.note(hit.entry.id, hit.blobs)
        for observer in self._observers:
            if hit is None:
                observer.missed(lookup)
            else:
                observer.found(lookup, hit)
        return hit

    async def _looked_up(self, lookup: Lookup, *, every_blob: bool) -> Hit | None:
        steps = matching.walk(lookup.grant.readable_scopes, lookup.keys)
        while True:
            found = await self._catalog.entries.find(
                lookup.grant.repository,
                lookup.versions,
                steps,
                every_blob=every_blob,
                whole=self._wholeness.lately_whole(),
            )
            if found is None:
                return None
            damaged = await self._wholeness.first_damaged(found.blobs, found.parts)
            if damaged is None:
                kind = matching.answered_step(steps, found.entry).kind
                return Hit(found.entry, found.blobs, kind)
            await self._wholeness.drop(damaged)
