"""Looking after the entries in a data folder."""

from collections.abc import Iterator
from typing import Final, Self

from runcache.access import owner_name
from runcache.client.management import Listed, ListedPage
from runcache.config import Settings, load
from runcache.details import EntryDetails, FilePage
from runcache.embedded.cache import Cache
from runcache.embedded.loop import Loop
from runcache.insight.explain import Explanation, Question
from runcache.insight.explain.explanations import Explanations
from runcache.listing import Order, Selection
from runcache.model import Entry, Usage
from runcache.service import now_ms
from runcache.service.contents import EntryContents
from runcache.service.management import Management

BY: Final = "embedded"
"""Who deletes, in the records."""

PAGE: Final = 1000


def opened(data: str | None) -> "EmbeddedManagement":
    """Open the store in a data folder, or without one where the settings say that it is.

    None is made here: whoever looks after a store has one.

    Raises:
        InvalidSettings: they contradict themselves, or there is no store.
        CatalogUnavailable: the catalog cannot be opened.
    """
    settings = load({"data": data}).settings
    settings.require_cache(hint="name its folder with `--data`, or its server with `--url`")
    return EmbeddedManagement(settings)


class EmbeddedManagement:
    """The entries in a data folder (`client.management.Management` is the contract).

    Whoever can read the folder needs no token.
    """

    def __init__(self, settings: Settings) -> None:
        self._loop = Loop()
        try:
            self._cache = self._loop.run(Cache.opened(settings))
        except BaseException:
            self._loop.close()
            raise
        cache = self._cache
        self._entries = Management(
            cache.catalog,
            settings.limits(),
            cache.maintenance,
            observers=(cache.records,),
            now=now_ms,
        )
        self._contents = EntryContents(cache.catalog, cache.store, cache.records)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def pages(
        self, repository: str, selection: Selection, order: Order, *, limit: int
    ) -> Iterator[ListedPage]:
        """See `Management.pages`."""
        cursor, is_over = None, False
        while limit > 0 and not is_over:
            page = self._loop.run(
                self._entries.list(
                    repository, selection, order, limit=min(limit, PAGE), cursor=cursor
                )
            )
            yield ListedPage(tuple(map(_listed, page.entries)), page.total_count)
            limit -= len(page.entries)
            cursor, is_over = page.next_cursor, page.next_cursor is None

    def delete(self, repository: str, entry_id: int) -> bool:
        """See `Management.delete`."""
        return bool(self._loop.run(self._entries.delete(repository, [entry_id], by=BY)))

    def delete_by_key(self, repository: str, key: str, *, ref: str | None) -> int:
        """See `Management.delete_by_key`."""
        return len(self._loop.run(self._entries.delete_by_key(repository, key, ref=ref, by=BY)))

    def usage(self, repository: str) -> Usage:
        """See `Management.usage`."""
        return self._loop.run(self._entries.usage(repository))

    def usages(self, owner: str) -> list[Usage]:
        """See `Management.usages`."""
        name = owner_name(owner)
        usages: list[Usage] = []
        while True:
            page = self._loop.run(
                self._entries.usages(owners=[name], limit=PAGE, offset=len(usages))
            )
            usages += page.usages
            if not page.usages or len(usages) >= page.total_count:
                return usages

    def details(self, repository: str, entry_id: int) -> EntryDetails | None:
        """See `Management.details`."""
        return self._loop.run(self._contents.details(repository, entry_id))

    def files(
        self, repository: str, entry_id: int, *, search: str, after: str | None, limit: int
    ) -> FilePage | None:
        """See `Management.files`."""
        return self._loop.run(
            self._contents.files(repository, entry_id, search=search, after=after, limit=limit)
        )

    def explain(self, repository: str, question: Question) -> Explanation:
        """See `Management.explain`."""
        explanations = Explanations(self._cache.service, self._cache.catalog, now=now_ms)
        return self._loop.run(explanations.explain(repository, question))

    def close(self) -> None:
        """See `Management.close`."""
        try:
            self._loop.run(self._cache.close())
        finally:
            self._loop.close()


def _listed(entry: Entry) -> Listed:
    return Listed(
        id=entry.id,
        ref=entry.scope,
        key=entry.key,
        version=entry.version,
        size_bytes=entry.size_bytes,
        created_at=entry.created_at,
        last_accessed_at=entry.last_accessed_at,
    )
