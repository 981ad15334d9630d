"""Are the bytes there that an entry refers to? Asked at hits, so that a miss is the worst case."""

import time
from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from typing import Final

from runcache.catalog.catalog import Catalog
from runcache.errors import BlobMissing
from runcache.model import EntryBlob, Part, Span
from runcache.service.observer import Observer
from runcache.store.blobs import BlobStore

# How long a blob that was found whole is taken for whole without another look.
CHECKED_FOR_SECONDS: Final = 10
_CHECKED_AT_MOST: Final = 10_000


class Wholeness:
    """Looks for the parts of blobs, and drops the entries of those that are not whole."""

    def __init__(
        self,
        catalog: Catalog,
        store: BlobStore,
        observers: Sequence[Observer],
        now: Callable[[], int],
    ) -> None:
        self._catalog = catalog
        self._store = store
        self._observers = observers
        self._now = now
        self._whole: set[str] = set()
        self._whole_since = 0.0

    def lately_whole(self) -> Container[str]:
        """Return the blobs that need no look now."""
        now = time.monotonic()
        is_old = now - self._whole_since > CHECKED_FOR_SECONDS
        if is_old or len(self._whole) >= _CHECKED_AT_MOST:
            # A lookup that runs may still ask the old set, which therefore stays as it is.
            self._whole, self._whole_since = set(), now
        return self._whole

    async def first_damaged(
        self, blobs: Iterable[EntryBlob], parts: Mapping[str, Sequence[Part]]
    ) -> str | None:
        """Name one of these blobs that is not whole; `None` if all of them are.

        `parts` are the first ones of those that are to be looked at.
        """
        damaged = await self._store.first_incomplete(parts)
        if damaged is not None:
            return damaged
        for blob in blobs:
            if not await self._has_rest(blob, parts.get(blob.name)):
                return blob.name
        self._whole.update(parts)
        return None

    async def drop(self, blob: str) -> None:
        """Drop the entries of a blob that is damaged, which is a loud event."""
        self._whole.discard(blob)
        if await self._catalog.entries.forget_holders(blob, now_ms=self._now()):
            for observer in self._observers:
                observer.damaged(blob)

    async def _has_rest(self, blob: EntryBlob, first: Sequence[Part] | None) -> bool:
        if first is None:
            return True
        end = first[-1].start + first[-1].size_bytes if first else 0
        try:
            async for parts in self._catalog.blobs.parts(blob.name, Span(end, blob.size_bytes)):
                if await self._store.first_incomplete({blob.name: parts}) is not None:
                    return False
        except BlobMissing:
            return False
        return True
