"""Events in a catalog: lookups that are written down, and what is told of them."""

from collections.abc import Sequence
from typing import Final

from runcache.catalog.catalog import Catalog
from runcache.locations import CatalogLocation
from runcache.records import EventKind, Families, NewLookup, Removal
from runcache.retention import Reason
from tests.catalog.facts import MAIN, NOW, REPOSITORY, VERSION, query

OTHER: Final = "octo/other"
EVICTED: Final = Removal(EventKind.EVICTED, Reason.REPO_LIMIT.value, 1000, "entry 17")


def lookup(
    key: str = "npm-3f2a91c",
    *,
    is_hit: bool = False,
    at: int = NOW,
    repository: str = REPOSITORY,
    ref: str = MAIN,
    restore_keys: Sequence[str] = (),
) -> NewLookup:
    return NewLookup(
        at=at,
        kind=(EventKind.HIT if is_hit else EventKind.MISS).value,
        repository=repository,
        ref=ref,
        key=key,
        version=VERSION,
        entry_id=1 if is_hit else None,
        size_bytes=10 if is_hit else None,
        reason="exact" if is_hit else None,
        limit=None,
        by="job refs/heads/main, push, run 17",
        restore_keys=",".join(restore_keys) or None,
    )


async def write(catalog: Catalog, *lookups: NewLookup, restored: Sequence[str] = ()) -> None:
    await catalog.event_log.write(lookups, [(NOW, blob) for blob in restored], Families().of)


async def told(catalog: Catalog, **conditions: object) -> list[tuple[EventKind, str]]:
    events = await catalog.events.newest(None, limit=1000, **conditions)  # type: ignore[arg-type]
    return [(event.kind, event.key) for event in events]


def fill(location: CatalogLocation, count: int, kind: str = "miss", at: int = NOW) -> None:
    query(
        location,
        "WITH RECURSIVE numbers(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < ?)"
        " INSERT INTO events (at, kind, repository_id, ref, key, version)"
        " SELECT ?, ?, 1, ?, 'filling', 'v' FROM numbers",
        count,
        at,
        kind,
        MAIN,
    )
