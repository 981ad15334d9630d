"""Entries in GitHub's REST API: listed, and deleted by key or by id (management §1.4, §1.5)."""

from collections.abc import Sequence

from aiohttp import web

from runcache.errors import EntryMissing
from runcache.listing import Order, Selection, SortBy
from runcache.model import Entry
from runcache.server.context import MANAGEMENT, api_token_of, id_in
from runcache.server.github_rest import no_content, reply
from runcache.server.reach import readable_repository, writable_repository
from runcache.server.rest.pages import linked
from runcache.wire.github_paging import DeleteByKey, Following, ListCaches, pairs_of
from runcache.wire.github_rest import CacheList, ListedCache


async def list_caches(request: web.Request) -> web.Response:
    """List the entries of a repository, a page at a time."""
    repository = readable_repository(request, await api_token_of(request))
    wanted = ListCaches.of(pairs_of(request.rel_url.raw_query_string))
    page = await request.app[MANAGEMENT].list(
        repository,
        Selection(prefix=wanted.prefix, ref=wanted.ref),
        Order(SortBy(wanted.sort), is_descending=wanted.is_descending),
        limit=wanted.paging.per_page,
        offset=wanted.paging.offset,
        cursor=wanted.paging.cursor,
    )
    following = Following(page.next_cursor is not None, page.total_count, page.next_cursor)
    return reply(
        request,
        _listed(page.entries, page.total_count),
        headers=linked(request, wanted.paging, following),
    )


async def delete_by_key(request: web.Request) -> web.Response:
    """Delete what has exactly this key, and say what that was."""
    token = await api_token_of(request)
    repository = writable_repository(request, token)
    wanted = DeleteByKey.of(pairs_of(request.rel_url.raw_query_string))
    deleted = await request.app[MANAGEMENT].delete_by_key(
        repository, wanted.key, ref=wanted.ref, by=token.name
    )
    if not deleted:
        raise EntryMissing
    return reply(request, _listed(deleted, len(deleted)))


async def delete_by_id(request: web.Request) -> web.Response:
    """Delete an entry."""
    token = await api_token_of(request)
    repository = writable_repository(request, token)
    cache_id = id_in(request, "cache_id")
    if cache_id is None:
        raise EntryMissing
    if not await request.app[MANAGEMENT].delete(repository, [cache_id], by=token.name):
        raise EntryMissing
    return no_content()


def _listed(entries: Sequence[Entry], total_count: int) -> CacheList:
    return CacheList(total_count, tuple(map(ListedCache.of, entries)))
