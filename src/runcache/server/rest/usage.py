"""How much is kept, in GitHub's REST API (management §1.5)."""

from typing import Final

from aiohttp import web

from runcache.server.context import MANAGEMENT, api_token_of
from runcache.server.github_rest import reply
from runcache.server.reach import readable_owner, readable_repository, require_admin
from runcache.server.rest.pages import linked
from runcache.service.management import Management
from runcache.wire.github_paging import Following, Paging, pairs_of
from runcache.wire.github_rest import OwnerUsage, RepositoryUsage, UsageList

_AT_ONCE: Final = 1000


async def repository_usage(request: web.Request) -> web.Response:
    """Say how much a repository keeps."""
    repository = readable_repository(request, await api_token_of(request))
    return reply(request, RepositoryUsage.of(await request.app[MANAGEMENT].usage(repository)))


async def owner_usage(request: web.Request) -> web.Response:
    """Say how much all repositories of an owner keep."""
    owner = readable_owner(request, await api_token_of(request))
    usage = await request.app[MANAGEMENT].owner_usage(owner)
    return reply(request, OwnerUsage(usage.size_bytes, usage.entry_count))


async def usage_by_repository(request: web.Request) -> web.Response:
    """Say how much each repository of an owner keeps, the largest first."""
    owner = readable_owner(request, await api_token_of(request))
    paging = Paging.of(pairs_of(request.rel_url.raw_query_string))
    page = await request.app[MANAGEMENT].usages(
        owners=[owner], repositories=[], limit=paging.per_page, offset=paging.offset
    )
    is_last = paging.offset + paging.per_page >= page.total_count
    following = Following(not is_last, page.total_count)
    return reply(
        request,
        UsageList(page.total_count, tuple(map(RepositoryUsage.of, page.usages))),
        headers=linked(request, paging, following),
    )


async def server_usage(request: web.Request) -> web.Response:
    """Say how much the server keeps, which is the one enterprise that it knows."""
    require_admin(await api_token_of(request))
    return reply(request, await _total(request.app[MANAGEMENT]))


async def _total(management: Management) -> OwnerUsage:
    size_bytes = entry_count = offset = 0
    while True:
        page = await management.usages(limit=_AT_ONCE, offset=offset)
        size_bytes += sum(usage.size_bytes for usage in page.usages)
        entry_count += sum(usage.entry_count for usage in page.usages)
        offset += _AT_ONCE
        if offset >= page.total_count:
            return OwnerUsage(size_bytes, entry_count)
