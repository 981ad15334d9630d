"""What people and programs do who look after caches: list, measure, limit and delete.

Whoever calls has made sure that its caller may do so; nothing here knows of tokens.
"""

from collections.abc import Callable, Collection, Iterable, Sequence
from datetime import timedelta
from typing import Final, Protocol

from runcache.access import owner_name, repository_name
from runcache.catalog.catalog import Catalog
from runcache.listing import (
    EntryPage,
    FamilyUsage,
    Order,
    RefUsage,
    Selection,
    Unreachable,
    UsagePage,
    cursor_behind,
    position_of,
)
from runcache.model import Entry, Usage
from runcache.records import EventKind, Removal
from runcache.retention import (
    Cascade,
    EffectiveLimits,
    EvictionPreview,
    Limits,
    LimitValues,
)
from runcache.service.observer import Observer
from runcache.service.receiving import now_ms

IDLE_PULL_REQUEST: Final = timedelta(days=2)
_MILLISECOND: Final = timedelta(milliseconds=1)
# What databases can look for.
_LARGEST_ID: Final = 2**63 - 1


class Forecast(Protocol):
    """Plans as retention does, and changes nothing."""

    async def would_forget(self, subject: str, cascade: Cascade) -> EvictionPreview:
        """Return what these limits would forget of the repositories of `subject`."""
        ...


class Management:
    """Looks after the entries, the usage and the limits of repositories and of their owners.

    Names of repositories and owners count in any case. All methods may raise `CatalogUnavailable`,
    and `InvalidRepository` or `InvalidInput` for names that nobody can have.
    """

    def __init__(
        self,
        catalog: Catalog,
        limits: Limits,
        forecast: Forecast,
        *,
        observers: Iterable[Observer] = (),
        now: Callable[[], int] = now_ms,
    ) -> None:
        self._catalog = catalog
        self._limits = limits
        self._forecast = forecast
        self._observers = tuple(observers)
        self._now = now

    async def list(
        self,
        repository: str,
        selection: Selection,
        order: Order,
        *,
        limit: int,
        offset: int = 0,
        cursor: str | None = None,
    ) -> EntryPage:
        """Return `limit` entries of those that are selected, behind `cursor`, or from `offset`.

        `offset` counts from the beginning, and only where there is no cursor.

        Raises:
            InvalidCursor: it does not belong to this list.
        """
        name = repository_name(repository)
        behind = position_of(cursor, name, selection, order) if cursor else None
        # One more says whether there is a next page.
        found, total_count = await self._catalog.listing.page(
            name, selection, order, behind=behind, offset=0 if behind else offset, limit=limit + 1
        )
        entries = tuple(found[:limit])
        has_more = len(found) > limit and bool(entries)
        next_cursor = cursor_behind(entries[-1], selection, order) if has_more else None
        return EntryPage(entries, total_count, next_cursor)

    async def entry(self, repository: str, entry_id: int) -> Entry | None:
        """Return an entry of a repository by its id."""
        found = await self._catalog.entries.get(entry_id) if _is_id(entry_id) else None
        return found if found and found.repository == repository_name(repository) else None

    async def delete(
        self, repository: str, entry_ids: Sequence[int], *, by: str
    ) -> Sequence[Entry]:
        """Delete entries of a repository; return those that were there.

        `by` says who did it, for the records. The bytes stay for those who have links.
        """
        link_ms = self._limits.link_ttl // _MILLISECOND
        deleted = await self._catalog.entries.delete(
            repository_name(repository),
            [entry_id for entry_id in entry_ids if _is_id(entry_id)],
            Removal(EventKind.DELETED, by=by),
            now_ms=self._now(),
            link_ms=link_ms,
        )
        for observer in self._observers if deleted else ():
            observer.deleted(deleted, by=by)
        return deleted

    async def delete_by_key(
        self, repository: str, key: str, *, ref: str | None = None, by: str
    ) -> Sequence[Entry]:
        """Delete the entries with exactly this key, of all versions, and of all refs or of one."""
        ids = await self._catalog.listing.ids(repository_name(repository), key, ref=ref)
        return await self.delete(repository, ids, by=by)

    async def usage(self, repository: str) -> Usage:
        """Return what a repository keeps now."""
        return await self._catalog.repositories.usage(repository_name(repository))

    async def owner_usage(self, owner: str) -> Usage:
        """Return what the repositories of `owner`, whose name stands in the result, keep now."""
        return await self._catalog.repositories.owner_usage(owner_name(owner))

    async def usages(
        self,
        *,
        owners: Collection[str] | None = None,
        repositories: Collection[str] | None = None,
        limit: int,
        offset: int = 0,
    ) -> UsagePage:
        """Return what repositories keep, the largest first: those named and those of `owners`.

        Without both (`None`) it is all that ever saved anything.
        """
        usages, total_count = await self._catalog.repositories.usages(
            owners=None if owners is None else [owner_name(owner) for owner in owners],
            repositories=None
            if repositories is None
            else [repository_name(repository) for repository in repositories],
            limit=limit,
            offset=offset,
        )
        return UsagePage(tuple(usages), total_count)

    async def refs(self, repository: str) -> Sequence[RefUsage]:
        """Return what each ref of a repository has saved, the largest first."""
        return await self._catalog.listing.refs(repository_name(repository))

    async def families(self, repository: str) -> Sequence[FamilyUsage]:
        """Return what the families of keys of a repository take, the largest first."""
        return await self._catalog.listing.families(repository_name(repository))

    async def unreachable(self, repository: str) -> Unreachable:
        """Return how much of a repository nobody is likely to restore any more."""
        idle_before_ms = self._now() - IDLE_PULL_REQUEST // _MILLISECOND
        return await self._catalog.listing.unreachable(
            repository_name(repository), idle_before_ms=idle_before_ms
        )

    async def limits(self, subject: str) -> EffectiveLimits:
        """Return the limits of `owner/name`, of `owner`, or of the server itself (empty)."""
        return (await self._cascade()).of(_subject(subject))

    async def set_limits(self, subject: str, values: LimitValues, *, by: str) -> None:
        """Set the limits of a repository or an owner; what is `None` is inherited again.

        They count at once, and are applied moments later.

        Raises:
            InvalidInput: `subject` is neither: the server's own limits are settings.
        """
        name = _named(subject)
        await self._catalog.limits.set(name, values, by=by, now_ms=self._now())
        for observer in self._observers:
            observer.limits_changed(name, by=by)

    async def would_evict(self, subject: str, values: LimitValues) -> EvictionPreview:
        """Return what would be forgotten if these were the limits. Nothing is changed."""
        name = _named(subject)
        cascade = (await self._cascade()).replaced(name, values)
        return await self._forecast.would_forget(name, cascade)

    async def _cascade(self) -> Cascade:
        return Cascade(self._limits.of_each_repository(), await self._catalog.limits.all())


def _is_id(number: int) -> bool:
    return 0 < number <= _LARGEST_ID


def _subject(text: str) -> str:
    return _named(text) if text else ""


def _named(subject: str) -> str:
    return repository_name(subject) if "/" in subject else owner_name(subject)
