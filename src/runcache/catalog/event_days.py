"""Sums of events by day and family of keys, written in the transaction of the events."""

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable
from datetime import date, timedelta
from typing import Any, Final, NamedTuple

from sqlalchemy import ColumnElement, Connection, delete, func, select, tuple_

from runcache.catalog.bulk import insert_rows
from runcache.catalog.connections import Connections
from runcache.catalog.tables import EVENT_DAYS, REPOSITORIES
from runcache.records import Day, EventKind, FamilyRate, HitRate, family_of

DAY_MS: Final = 86_400_000

_SUMS: Final = ("hits", "misses", "restored", "saved_bytes", "evicted_bytes", "deleted_bytes")
_COLUMNS: Final = ("repository_id", "day", "family", *_SUMS)
_FIRST_SUM: Final = len(_COLUMNS) - len(_SUMS)
# What an event of a kind adds to: 1 to a count, else its size.
_SUM_OF: Final = {
    EventKind.HIT.value: (_SUMS.index("hits"), True),
    EventKind.MISS.value: (_SUMS.index("misses"), True),
    EventKind.RESTORED.value: (_SUMS.index("restored"), True),
    EventKind.SAVED.value: (_SUMS.index("saved_bytes"), False),
    EventKind.EVICTED.value: (_SUMS.index("evicted_bytes"), False),
    EventKind.DELETED.value: (_SUMS.index("deleted_bytes"), False),
}
_ADDED: Final = " ON CONFLICT (repository_id, day, family) DO UPDATE SET " + ", ".join(
    f"{name} = event_days.{name} + excluded.{name}" for name in _SUMS
)
_TRIMMED_AT_ONCE: Final = 500
_EPOCH: Final = date(1970, 1, 1)


class NewEvent(NamedTuple):
    """A row of `events`; `restore_keys` have commas between them."""

    at: int
    kind: str
    repository_id: int
    ref: str
    key: str
    version: str
    entry_id: int | None = None
    size_bytes: int | None = None
    reason: str | None = None
    limit: int | None = None
    by: str | None = None
    restore_keys: str | None = None


def add_up(
    connection: Connection,
    events: Iterable[NewEvent],
    family: Callable[[int, int, str], str] = lambda _repository, _day, key: family_of(key),
) -> None:
    """Add events to the sums of their days; `family` may fold keys further than `family_of`."""
    sums: defaultdict[tuple[int, int, str], list[int]] = defaultdict(lambda: [0] * len(_SUMS))
    for event in events:
        found = _SUM_OF.get(event.kind)
        if found is None:
            continue
        place, is_count = found
        day = event.at // DAY_MS
        row = (event.repository_id, day, family(event.repository_id, day, event.key))
        sums[row][place] += 1 if is_count else event.size_bytes or 0
    rows = [(*row, *values) for row, values in sums.items()]
    insert_rows(connection, EVENT_DAYS, _COLUMNS, rows, ending=_ADDED)


class EventDays:
    """Sums of what happened, by day (UTC). `repositories` are names; `None` stands for all."""

    def __init__(self, connections: Connections) -> None:
        self._connections = connections

    async def daily(
        self, repositories: Collection[str] | None, *, days: int, now_ms: int
    ) -> list[Day]:
        """Return the last `days` days, today at the end, also those on which nothing happened."""
        today = now_ms // DAY_MS
        statement = (
            select(EVENT_DAYS.c.day, *_sums())
            .where(*_within(repositories, today, days))
            .group_by(EVENT_DAYS.c.day)
        )
        rows = await self._connections.read_long(lambda c: c.execute(statement).all())
        found = {row.day: row for row in rows}
        return [_day_of(day, found.get(day)) for day in range(today - days + 1, today + 1)]

    async def hit_rates(
        self, repositories: Collection[str] | None, *, days: int, now_ms: int
    ) -> HitRate:
        """Return the hits and misses of the last `days` days."""
        statement = select(*_sums()[:2]).where(*_within(repositories, now_ms // DAY_MS, days))
        row = await self._connections.read_long(lambda c: c.execute(statement).one())
        return HitRate(row.hits or 0, row.misses or 0)

    async def by_family(self, repository: str, *, days: int, now_ms: int) -> list[FamilyRate]:
        """Return the lookups of the last `days` days by family, the most frequent first."""
        hits, misses = _sums()[:2]
        statement = (
            select(EVENT_DAYS.c.family, hits, misses)
            .where(*_within([repository], now_ms // DAY_MS, days))
            .group_by(EVENT_DAYS.c.family)
            .having(func.sum(EVENT_DAYS.c.hits + EVENT_DAYS.c.misses) > 0)
            .order_by(func.sum(EVENT_DAYS.c.hits + EVENT_DAYS.c.misses).desc(), EVENT_DAYS.c.family)
        )
        rows = await self._connections.read_long(lambda c: c.execute(statement).all())
        return [FamilyRate(*row) for row in rows]

    async def growth(
        self, repositories: Collection[str] | None, *, days: int, now_ms: int
    ) -> dict[str, int]:
        """Return by how many bytes repositories grew in the last `days` days, or shrank."""
        grown = func.sum(
            EVENT_DAYS.c.saved_bytes - EVENT_DAYS.c.evicted_bytes - EVENT_DAYS.c.deleted_bytes
        )
        statement = (
            select(REPOSITORIES.c.name, grown)
            .join(REPOSITORIES, REPOSITORIES.c.id == EVENT_DAYS.c.repository_id)
            .where(*_within(repositories, now_ms // DAY_MS, days))
            .group_by(REPOSITORIES.c.name)
        )
        rows = await self._connections.read_long(lambda c: c.execute(statement).all())
        return {name: int(size_bytes) for name, size_bytes in rows}

    async def trim(self, *, before_ms: int) -> None:
        """Drop the days that had ended before."""
        old = (
            select(EVENT_DAYS.c.repository_id, EVENT_DAYS.c.day, EVENT_DAYS.c.family)
            .where(EVENT_DAYS.c.day < before_ms // DAY_MS)
            .limit(_TRIMMED_AT_ONCE)
        )

        def work(connection: Connection) -> int:
            rows = connection.execute(old).all()
            same = tuple_(EVENT_DAYS.c.repository_id, EVENT_DAYS.c.day, EVENT_DAYS.c.family)
            connection.execute(delete(EVENT_DAYS).where(same.in_([tuple(row) for row in rows])))
            return len(rows)

        while await self._connections.write(work):
            pass


def _sums() -> list[ColumnElement[Any]]:
    return [func.sum(EVENT_DAYS.c[name]).label(name) for name in _SUMS]


def _within(
    repositories: Collection[str] | None, today: int, days: int
) -> list[ColumnElement[bool]]:
    conditions = [EVENT_DAYS.c.day > today - days, EVENT_DAYS.c.day <= today]
    if repositories is not None:
        named = select(REPOSITORIES.c.id).where(REPOSITORIES.c.name.in_(list(repositories)))
        conditions.append(EVENT_DAYS.c.repository_id.in_(named))
    return conditions


def _day_of(day: int, row: Any) -> Day:  # noqa: ANN401  -- a row of any statement
    sums = {} if row is None else {name: int(getattr(row, name)) for name in _SUMS}
    return Day(date=_EPOCH + timedelta(days=day), **sums)
