"""The first page: the repositories that a token reaches, and how full and how useful each is."""

from dataclasses import dataclass
from typing import Final

from aiohttp import web

from runcache.model import Usage
from runcache.records import HitRate
from runcache.server.context import MANAGEMENT, RECORDS
from runcache.server.ui.rendering import address, number_in, page
from runcache.server.ui.session import require_session

PAGE_SIZE: Final = 50
DAYS: Final = 7


@dataclass(frozen=True, slots=True)
class Row:
    """A repository: what it keeps, of how much, and the lookups and the change of a week."""

    usage: Usage
    limit_bytes: int | None
    rate: HitRate
    growth_bytes: int


async def show(request: web.Request) -> web.Response:
    """Show the repositories that a token reaches, the largest first."""
    token = (await require_session(request)).token
    number = number_in(request, "page") or 1
    before = (number - 1) * PAGE_SIZE
    found = await request.app[MANAGEMENT].usages(
        owners=None if token.is_admin else token.owners,
        repositories=None if token.is_admin else token.repositories,
        limit=PAGE_SIZE,
        offset=before,
    )
    growth = await request.app[RECORDS].growth([usage.repository for usage in found.usages])
    has_more = before + PAGE_SIZE < found.total_count
    return page(
        request,
        "overview.html",
        title="Repositories",
        active="overview",
        rows=[
            await _row(request, usage, growth.get(usage.repository, 0)) for usage in found.usages
        ],
        before=before,
        total_count=found.total_count,
        previous=address(page=number - 1) if number > 1 else None,
        next=address(page=number + 1) if has_more else None,
    )


async def _row(request: web.Request, usage: Usage, growth_bytes: int) -> Row:
    limits = await request.app[MANAGEMENT].limits(usage.repository)
    rate = await request.app[RECORDS].hit_rates([usage.repository], days=DAYS)
    return Row(usage, limits.effective.size_bytes, rate, growth_bytes)
