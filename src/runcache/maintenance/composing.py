"""Composing: a blob of several parts is copied into one of a single part, which takes its place."""

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Final

from runcache.catalog.blobs import CommittedBlob
from runcache.catalog.catalog import Catalog
from runcache.catalog.entries import BATCH
from runcache.catalog.references import GRACE_MS
from runcache.errors import CacheError, CatalogUnavailable
from runcache.model import Part, Span
from runcache.store import layout
from runcache.store.direct import DirectStore

# How long the store may take for one blob. What is not whole by then is debris.
WITHIN: Final = timedelta(hours=1)
# A blob that could not be composed is not tried again at once.
AGAIN_AFTER: Final = timedelta(hours=1)

_MILLISECOND: Final = timedelta(milliseconds=1)


@dataclass(slots=True)
class ComposeReport:
    """What was composed, and of which blobs the copy failed, and why."""

    blob_count: int = 0
    size_bytes: int = 0
    failures: dict[str, str] = field(default_factory=dict)


class Composing:
    """Lets the store compose blobs, and swaps them in.

    Bytes first, then the reference: the copy is a promised blob until it is whole, so that nothing
    is left of it if this process dies. The swap is one transaction. What it replaces is kept as
    long as links to it work, and as it is read.
    """

    def __init__(
        self, catalog: Catalog, direct: DirectStore, *, link_ttl: timedelta, now: Callable[[], int]
    ) -> None:
        self._catalog = catalog
        self._direct = direct
        self._link_ms = link_ttl // _MILLISECOND
        self._now = now
        self._failed_at: dict[str, int] = {}

    async def compose(self) -> ComposeReport:
        """Compose all blobs that can be; one that fails is left alone for a while."""
        report = ComposeReport()
        before = self._now() - AGAIN_AFTER // _MILLISECOND
        self._failed_at = {name: at for name, at in self._failed_at.items() if at > before}
        last_id = 0
        while blobs := await self._catalog.copies.composable(after_id=last_id, limit=BATCH):
            last_id = blobs[-1].id
            for blob in blobs:
                if blob.name in self._failed_at:
                    continue
                try:
                    is_composed = await self._compose(blob)
                except CatalogUnavailable:
                    raise
                except CacheError as exc:
                    report.failures[blob.name] = str(exc)
                    is_composed = False
                if not is_composed:
                    self._failed_at[blob.name] = self._now()
                report.blob_count += is_composed
                report.size_bytes += blob.size_bytes * is_composed
        return report

    async def _compose(self, blob: CommittedBlob) -> bool:
        parts: list[Part] = []
        async for page in self._catalog.blobs.parts(blob.name, Span(0, blob.size_bytes)):
            parts += page
        copy, part = layout.new_blob_name(), layout.new_part_name()
        until = self._now() + WITHIN // _MILLISECOND
        await self._catalog.copies.make(blob, copy, until=until, now_ms=self._now())
        is_swapped = False
        try:
            if await self._copied(blob, parts, copy, part):
                now = self._now()
                links_until = now + self._link_ms + GRACE_MS
                is_swapped = await self._catalog.copies.swap(
                    blob, copy, part, links_until=links_until, now_ms=now
                )
        finally:
            if not is_swapped:
                # After a death it ends by itself.
                with suppress(CacheError):
                    await self._catalog.copies.give_up(copy, now_ms=self._now())
        return is_swapped

    async def _copied(
        self, blob: CommittedBlob, parts: Sequence[Part], copy: str, part: str
    ) -> bool:
        if not await self._direct.compose(blob.name, parts, into=copy, as_part=part):
            return False
        stored = await self._direct.stat(copy, part)
        return stored is not None and stored.size_bytes == blob.size_bytes
