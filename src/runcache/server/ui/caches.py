"""The caches of a repository: filtered and sorted, a page at a time, or grouped."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final

from aiohttp import web

from runcache.errors import InvalidCursor
from runcache.listing import (
    EntryPage,
    FamilyUsage,
    Order,
    RefUsage,
    Selection,
    SortBy,
    Unreachable,
)
from runcache.model import Usage
from runcache.server.context import MANAGEMENT
from runcache.server.reach import readable_repository
from runcache.server.ui.filters import ref_label
from runcache.server.ui.queries import Query
from runcache.server.ui.rendering import address, number_in, page
from runcache.server.ui.session import Session, require_session
from runcache.service.management import Management

PAGE_SIZE: Final = 50
# Of more branches a menu is no choice but a list: the grouped view has all of them.
MENU_SIZE: Final = 100
MAX_GROUPS: Final = 1000
# Which entries are superseded is found by looking at all of them: 0.1 s for this many.
COMPARED_AT_MOST: Final = 50_000

_ORDERS: Final = (
    ("Recently used", Order(SortBy.LAST_ACCESSED)),
    ("Least recently used", Order(SortBy.LAST_ACCESSED, is_descending=False)),
    ("Newest", Order(SortBy.CREATED)),
    ("Oldest", Order(SortBy.CREATED, is_descending=False)),
    ("Largest", Order(SortBy.SIZE)),
    ("Smallest", Order(SortBy.SIZE, is_descending=False)),
)
_GROUPS: Final = ("branch", "family")


@dataclass(frozen=True, slots=True)
class Storage:
    """How much a repository keeps of how much it may, and what is in there for nobody."""

    usage: Usage
    limit_bytes: int | None
    unreachable: Unreachable

    @property
    def parts(self) -> list[tuple[str, int]]:
        """What the bar of the usage is made of, from the left.

        Unreachable entries are measured whole, the usage counts what they share once: the bar shows
        no more of them than there is.
        """
        left = self.usage.size_bytes
        superseded = min(self.unreachable.superseded_bytes, left)
        idle = min(self.unreachable.idle_pull_request_bytes, left - superseded)
        used = left - superseded - idle
        return [("used", used), ("superseded", superseded), ("idle", idle)]

    @property
    def is_almost_full(self) -> bool:
        """Say whether evictions are near."""
        return self.limit_bytes is not None and self.usage.size_bytes * 10 >= self.limit_bytes * 9


async def show(request: web.Request) -> web.Response:
    """Show the entries that the filter in the address selects, or all of them in groups."""
    session = await require_session(request)
    repository = readable_repository(request, session.token)
    if request.query.get("group") in _GROUPS:
        return await _grouped(request, session, repository, request.query["group"])
    return await _listed(request, session, repository)


async def _listed(request: web.Request, session: Session, repository: str) -> web.Response:
    management = request.app[MANAGEMENT]
    query = Query.parse(request.query.get("query", ""))
    number = number_in(request, "page") or 1
    found, refs, storage = await asyncio.gather(
        _page_of(management, repository, query, number, request.query.get("cursor")),
        management.refs(repository),
        storage_of(management, repository),
    )
    more = found.next_cursor
    before = (number - 1) * PAGE_SIZE
    return page(
        request,
        "caches.html",
        title="Caches",
        active="caches",
        found=found,
        before=before,
        query=str(query),
        mistakes=query.mistakes,
        refs=_choices(repository, query, refs),
        orders=[
            (label, list_address(repository, query.sorted_by(order)), order == query.order)
            for label, order in _ORDERS
        ],
        previous=list_address(repository, query, page=number - 1) if number > 1 else None,
        next=list_address(repository, query, page=number + 1, cursor=more) if more else None,
        storage=storage,
        may_write=session.token.may_write(repository),
        deleted_count=number_in(request, "deleted"),
    )


async def _grouped(
    request: web.Request, session: Session, repository: str, group: str
) -> web.Response:
    management = request.app[MANAGEMENT]
    found: Sequence[RefUsage | FamilyUsage] = (
        await management.refs(repository)
        if group == "branch"
        else await management.families(repository)
    )
    return page(
        request,
        "caches_grouped.html",
        title="Caches by branch" if group == "branch" else "Caches by key family",
        active="caches",
        group=group,
        rows=[(row, Query(_selection(row))) for row in found[:MAX_GROUPS]],
        row_count=len(found),
        entry_bytes=sum(row.size_bytes for row in found),
        storage=await storage_of(management, repository),
        may_write=session.token.may_write(repository),
    )


async def storage_of(management: Management, repository: str) -> Storage:
    """Return how full a repository is."""
    usage, limits = await asyncio.gather(
        management.usage(repository), management.limits(repository)
    )
    is_soon_told = usage.entry_count <= COMPARED_AT_MOST
    unreachable = await management.unreachable(repository) if is_soon_told else Unreachable()
    return Storage(usage, limits.effective.size_bytes, unreachable)


def list_address(repository: str, query: Query, **more: str | int | None) -> str:
    """Return the address of the list that a query selects."""
    return address(repository, "caches", query=str(query), **more)


async def _page_of(
    management: Management, repository: str, query: Query, number: int, cursor: str | None
) -> EntryPage:
    offset = (number - 1) * PAGE_SIZE
    select = partial(
        management.list, repository, query.selection, query.order, limit=PAGE_SIZE, offset=offset
    )
    try:
        return await select(cursor=cursor)
    except InvalidCursor:
        # Somebody changed the address by hand: the number of the page says enough.
        return await select()


def _choices(
    repository: str, query: Query, refs: Sequence[RefUsage]
) -> list[tuple[str, str, bool]]:
    chosen = query.selection.ref
    names = [None, *(usage.ref for usage in refs[:MENU_SIZE])]
    if chosen not in names:
        names.append(chosen)
    return [
        (
            ref_label(ref) if ref else "All branches",
            list_address(repository, query.on(ref)),
            ref == chosen,
        )
        for ref in names
    ]


def _selection(row: RefUsage | FamilyUsage) -> Selection:
    if isinstance(row, RefUsage):
        return Selection(ref=row.ref)
    return Selection(family=row.family)
