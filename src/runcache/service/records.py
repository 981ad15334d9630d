"""The records: lookups are noted in memory and written down together, and everything is asked here.

Changes are recorded by the catalog itself, in the transactions that make them.
"""

from collections import deque
from collections.abc import Callable, Collection
from datetime import timedelta
from typing import Any, Final, TypeVar

from runcache.catalog.catalog import Catalog
from runcache.errors import CatalogUnavailable
from runcache.model import Hit
from runcache.records import (
    Day,
    Event,
    EventKind,
    Families,
    FamilyRate,
    HitRate,
    NewLookup,
    Origin,
    job_name,
)
from runcache.service.observer import Lookup, Observer

T = TypeVar("T")

NOTED_AT_MOST: Final = 10_000
_WRITTEN_AT_ONCE: Final = 2_000
KEPT_EVENTS: Final = 1_000_000
KEPT_FOR: Final = timedelta(days=90)
# To ask an enumeration for a value takes longer than all the rest.
_HIT: Final = EventKind.HIT.value
_MISS: Final = EventKind.MISS.value

_Noted = tuple[int, Lookup, Hit | None]


class Records(Observer):
    """What happened. `repositories` are names in lower case; `None` stands for all."""

    def __init__(self, catalog: Catalog, *, now: Callable[[], int]) -> None:
        self._catalog = catalog
        self._now = now
        self._families = Families()
        self._lookups: deque[_Noted] = deque()
        self._restored: deque[tuple[int, str]] = deque()
        self._dropped = 0

    def found(self, lookup: Lookup, hit: Hit) -> None:
        """See `Observer.found`."""
        self._note(lookup, hit)

    def missed(self, lookup: Lookup) -> None:
        """See `Observer.missed`."""
        self._note(lookup, None)

    def restored(self, blob: str) -> None:
        """See `Observer.restored`."""
        self._restored.append((self._now(), blob))
        self._keep_bounds(self._restored)

    async def write(self) -> int:
        """Write down what was noted since the last call.

        Returns how many lookups were dropped meanwhile, since there were more than memory is for.
        What cannot be written is kept for the next call, and so is what comes meanwhile: a
        transaction for each few of them would slow the lookups that they are of.
        """
        left = max(len(self._lookups), len(self._restored))
        for _ in range(0, left, _WRITTEN_AT_ONCE):
            lookups = _first_of(self._lookups)
            restored = _first_of(self._restored)
            try:
                await self._catalog.event_log.write(
                    [_told(*noted) for noted in lookups], restored, self._families.of
                )
            except CatalogUnavailable:
                self._lookups.extendleft(reversed(lookups))
                self._restored.extendleft(reversed(restored))
                self._keep_bounds(self._lookups)
                self._keep_bounds(self._restored)
                raise
        dropped, self._dropped = self._dropped, 0
        return dropped

    async def trim(self) -> None:
        """Drop the oldest events: the newest million is kept, and nothing for more than 90 days."""
        before_ms = self._now() - KEPT_FOR // timedelta(milliseconds=1)
        await self._catalog.event_log.trim(before_ms=before_ms, kept=KEPT_EVENTS)
        await self._catalog.event_days.trim(before_ms=before_ms)

    async def events(
        self,
        repositories: Collection[str] | None,
        *,
        kinds: Collection[EventKind] | None = None,
        ref: str | None = None,
        prefix: str = "",
        entry_id: int | None = None,
        since_ms: int | None = None,
        before_id: int | None = None,
        limit: int,
    ) -> list[Event]:
        """Return what happened, newest first; the next page is that before the id of the last one.

        Lookups are told within a second, and behind what changed meanwhile.
        """
        return await self._catalog.events.newest(
            repositories,
            kinds=kinds,
            ref=ref,
            prefix=prefix,
            entry_id=entry_id,
            since_ms=since_ms,
            before_id=before_id,
            limit=limit,
        )

    async def removals(
        self, repository: str, key: str, *, refs: Collection[str] | None = None, limit: int = 1
    ) -> list[Event]:
        """Return the newest evictions, deletions and losses of entries under exactly `key`."""
        return await self._catalog.events.removals(repository, key, refs=refs, limit=limit)

    async def daily(self, repositories: Collection[str] | None, *, days: int) -> list[Day]:
        """Return the last `days` days (UTC), today at the end, be they empty or not."""
        return await self._catalog.event_days.daily(repositories, days=days, now_ms=self._now())

    async def hit_rates(self, repositories: Collection[str] | None, *, days: int = 7) -> HitRate:
        """Return the lookups of the last `days` days."""
        return await self._catalog.event_days.hit_rates(repositories, days=days, now_ms=self._now())

    async def by_family(self, repository: str, *, days: int) -> list[FamilyRate]:
        """Return the lookups of the last `days` days by family, the most frequent first."""
        return await self._catalog.event_days.by_family(repository, days=days, now_ms=self._now())

    async def growth(
        self, repositories: Collection[str] | None, *, days: int = 7
    ) -> dict[str, int]:
        """Return by how many bytes each repository grew in the last `days` days, or shrank."""
        return await self._catalog.event_days.growth(repositories, days=days, now_ms=self._now())

    async def origin(self, entry_id: int) -> Origin | None:
        """Return who saved an entry, and of what; `None` if there is no such entry."""
        return await self._catalog.origins.get(entry_id)

    def _note(self, lookup: Lookup, hit: Hit | None) -> None:
        self._lookups.append((self._now(), lookup, hit))
        self._keep_bounds(self._lookups)

    def _keep_bounds(self, noted: deque[Any]) -> None:
        while len(noted) > NOTED_AT_MOST:
            noted.popleft()
            self._dropped += 1


def _first_of(noted: deque[T]) -> list[T]:
    return [noted.popleft() for _ in range(min(len(noted), _WRITTEN_AT_ONCE))]


def _told(at: int, lookup: Lookup, hit: Hit | None) -> NewLookup:
    grant = lookup.grant
    keys = [key.text for key in lookup.keys]
    ref = grant.own_ref
    by = job_name(ref, grant.event, grant.run)
    if hit is None:
        others = ",".join(keys[1:]) or None
        return NewLookup(
            at,
            _MISS,
            grant.repository,
            ref,
            keys[0],
            lookup.versions[0],
            None,
            None,
            None,
            None,
            by,
            others,
        )
    entry = hit.entry
    if keys[0] == entry.key:
        del keys[0]
    return NewLookup(
        at,
        _HIT,
        grant.repository,
        entry.scope,
        entry.key,
        entry.version,
        entry.id,
        entry.size_bytes,
        hit.kind.value,
        None,
        by,
        ",".join(keys) or None,
    )
