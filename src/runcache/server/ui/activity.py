"""What happened to caches: the log of events, sums by day, and hit rates by family of keys."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Final, Self

from aiohttp import web
from multidict import MultiMapping

from runcache.listing import RefUsage
from runcache.model import ApiToken, MatchKind
from runcache.quantities import print_about
from runcache.records import Event, EventKind, FamilyRate
from runcache.retention import Reason
from runcache.server.context import MANAGEMENT, RECORDS
from runcache.server.reach import readable_repository
from runcache.server.ui.filters import count, span
from runcache.server.ui.queries import full_ref
from runcache.server.ui.rendering import number_of, page
from runcache.server.ui.session import require_session

PERIODS: Final = (7, 30, 90)
EVENTS_ON_A_PAGE: Final = 50
FAMILIES: Final = 20
REFS: Final = 200
MAX_REPOSITORIES: Final = 1000

_MATCHES: Final[Mapping[str, str]] = {
    MatchKind.EXACT.value: "found by its key",
    MatchKind.PREFIX.value: "found with the key as a prefix",
    MatchKind.RESTORE_KEY.value: "found by a restore key",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Filter:
    """Which events are shown; `days` is what the sums are of."""

    kinds: frozenset[EventKind]
    ref: str
    prefix: str
    entry_id: int | None
    before_id: int | None
    days: int

    @classmethod
    def read(cls, query: MultiMapping[str]) -> Self:
        """Read it from the query of an address; what nobody can mean is left out."""
        known = {kind.value: kind for kind in EventKind}
        # A form repeats the name for each kind, our own links name them together.
        kinds = ",".join(query.getall("kind", [])).split(",")
        days = number_of(query.get("days", ""))
        return cls(
            kinds=frozenset(known[text] for text in kinds if text in known),
            ref=full_ref("branch", query.get("ref", "").strip()) or "",
            prefix=query.get("prefix", ""),
            entry_id=number_of(query.get("entry", "")),
            before_id=number_of(query.get("before", "")),
            days=days if days in PERIODS else PERIODS[1],
        )

    @property
    def is_narrow(self) -> bool:
        """Whether it leaves anything out."""
        return bool(self.kinds or self.ref or self.prefix or self.entry_id is not None)

    def query(self, **changes: str | int | None) -> dict[str, str | int | None]:
        """Return the query of the address of the first page of this, and `changes` to it."""
        kinds = ",".join(kind.value for kind in EventKind if kind in self.kinds)
        return {
            "kind": kinds,
            "ref": self.ref,
            "prefix": self.prefix,
            "entry": self.entry_id,
            "days": self.days if self.days != PERIODS[1] else None,
        } | changes


async def show_repository(request: web.Request) -> web.Response:
    """Show what happened in a repository."""
    session = await require_session(request)
    repository = readable_repository(request, session.token)
    chosen = Filter.read(request.query)
    records = request.app[RECORDS]
    return await _page(
        request,
        [repository],
        chosen,
        families=await records.by_family(repository, days=chosen.days),
        refs=await request.app[MANAGEMENT].refs(repository),
    )


async def show_all(request: web.Request) -> web.Response:
    """Show what happened in all repositories that the token reaches."""
    session = await require_session(request)
    repositories = await _reached(request, session.token)
    return await _page(request, repositories, Filter.read(request.query), families=[], refs=[])


def told(event: Event) -> str:
    """Return what is to be said of an event besides its kind, entry and size."""
    match event.kind:
        case EventKind.HIT:
            return _MATCHES.get(event.reason or "", "")
        case EventKind.MISS:
            restore_keys = count(len(event.restore_keys), "restore key")
            return f"{restore_keys} found nothing, either" if event.restore_keys else ""
        case EventKind.EVICTED:
            return _why_evicted(event)
        case EventKind.DAMAGED:
            return "its bytes are not what was saved"
        case EventKind.SAVED | EventKind.RESTORED | EventKind.DELETED:
            return ""


def _why_evicted(event: Event) -> str:
    limit = event.limit or 0
    match event.reason:
        case Reason.UNUSED.value:
            return f"not used for {span(timedelta(milliseconds=limit))}"
        case Reason.OVERSIZED.value:
            return f"larger than the limit of {print_about(limit)}"
        case Reason.REPO_LIMIT.value:
            return f"its repository had reached {print_about(limit)}"
        case Reason.TOTAL_LIMIT.value:
            return f"the server had reached {print_about(limit)}"
        case Reason.MIN_FREE.value:
            return f"the disk had less than {print_about(limit)} left"
        case _:
            return ""


async def _reached(request: web.Request, token: ApiToken) -> Collection[str] | None:
    if token.is_admin:
        return None
    usages = await request.app[MANAGEMENT].usages(
        owners=token.owners, repositories=token.repositories, limit=MAX_REPOSITORIES
    )
    return [usage.repository for usage in usages.usages]


async def _page(
    request: web.Request,
    repositories: Collection[str] | None,
    chosen: Filter,
    *,
    families: Sequence[FamilyRate],
    refs: Sequence[RefUsage],
) -> web.Response:
    records = request.app[RECORDS]
    # One more says whether there is a next page.
    events = await records.events(
        repositories,
        kinds=chosen.kinds or None,
        ref=chosen.ref or None,
        prefix=chosen.prefix,
        entry_id=chosen.entry_id,
        before_id=chosen.before_id,
        limit=EVENTS_ON_A_PAGE + 1,
    )
    shown = events[:EVENTS_ON_A_PAGE]
    return page(
        request,
        "activity.html",
        title="Activity",
        active="activity",
        chosen=chosen,
        kinds=tuple(EventKind),
        periods=PERIODS,
        refs=[usage.ref for usage in refs[:REFS]],
        days=await records.daily(repositories, days=chosen.days),
        families=families[:FAMILIES],
        family_count=len(families),
        events=[(event, told(event), _cause(event)) for event in shown],
        older=shown[-1].id if len(events) > len(shown) else None,
    )


def _cause(event: Event) -> int | None:
    """Return the id of the entry whose save made an entry go."""
    what, _, number = (event.by or "").partition(" ")
    return number_of(number) if what == "entry" else None
