"""An entry: what it is, who saved it, who restores it and who could, and the files in it."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Final

from aiohttp import web

from runcache.access import Role
from runcache.details import FilePage
from runcache.errors import (
    BlobMissing,
    CacheError,
    EntryMissing,
    FilesUnlistable,
    StoreUnavailable,
)
from runcache.records import Event, EventKind
from runcache.server.context import CONTENTS, RECORDS, id_in
from runcache.server.reach import readable_repository
from runcache.server.ui.rendering import page
from runcache.server.ui.session import require_session
from runcache.service import now_ms

DAYS: Final = 30
MAX_RESTORES: Final = 10_000
HITS: Final = 10
FILES_ON_A_PAGE: Final = 100
MAX_SEARCH_LENGTH: Final = 1000

_BRANCHES: Final = "refs/heads/"


@dataclass(frozen=True, slots=True)
class RestoresOfDay:
    """How often an entry was restored within a day (UTC)."""

    date: date
    count: int


async def show(request: web.Request) -> web.Response:
    """Show an entry; `search` and `after` in the address say which of its files."""
    session = await require_session(request)
    repository = readable_repository(request, session.token)
    entry_id = id_in(request, "id")
    if entry_id is None:
        raise EntryMissing
    details = await request.app[CONTENTS].details(repository, entry_id)
    if details is None:
        raise EntryMissing
    records = request.app[RECORDS]
    now = datetime.fromtimestamp(now_ms() / 1000, UTC)
    restores = await records.events(
        [repository],
        kinds={EventKind.RESTORED},
        entry_id=entry_id,
        since_ms=int((now - timedelta(days=DAYS)).timestamp() * 1000),
        limit=MAX_RESTORES,
    )
    hits = await records.events([repository], kinds={EventKind.HIT}, entry_id=entry_id, limit=HITS)
    files, trouble = await _files(request, repository, entry_id)
    return page(
        request,
        "entry.html",
        title=details.entry.key,
        active="caches",
        details=details,
        entry=details.entry,
        hits=hits,
        days=by_day(restores, today=now.date()),
        are_more=len(restores) == MAX_RESTORES,
        readers=roles_of_readers(details.entry.scope),
        search=request.query.get("search", ""),
        is_first_page=not request.query.get("after"),
        files=files,
        trouble=trouble,
        may_write=session.token.may_write(repository),
    )


def roles_of_readers(scope: str) -> tuple[Role, ...]:
    """Return what `scope` may be to a job that reads it: the rules of access, from the other side.

    Only a branch is what pull requests go to, or the default one. What anything else has saved, a
    tag or a pull request, is for jobs of the same ref.
    """
    if scope.startswith(_BRANCHES):
        return (Role.OWN, Role.BASE, Role.DEFAULT)
    return (Role.OWN,)


def by_day(restores: Iterable[Event], *, today: date) -> list[RestoresOfDay]:
    """Return how many restores each of the last 30 days had, today at the end."""
    counts = Counter(datetime.fromtimestamp(event.at / 1000, UTC).date() for event in restores)
    days = (today - timedelta(days=back) for back in reversed(range(DAYS)))
    return [RestoresOfDay(day, counts[day]) for day in days]


async def _files(
    request: web.Request, repository: str, entry_id: int
) -> tuple[FilePage | None, CacheError | None]:
    """Return a page of the files, or why there is none; neither for an archive."""
    try:
        found = await request.app[CONTENTS].files(
            repository,
            entry_id,
            search=request.query.get("search", "")[:MAX_SEARCH_LENGTH],
            after=request.query.get("after") or None,
            limit=FILES_ON_A_PAGE,
        )
    except (FilesUnlistable, BlobMissing, StoreUnavailable) as exc:
        return None, exc
    return found, None
