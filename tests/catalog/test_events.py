"""Questions about events, among many others."""

import asyncio
from collections.abc import Sequence

import pytest

from runcache.catalog.catalog import Catalog
from runcache.catalog.events import ALIKE_AT_ONCE, SCANNED_AT_ONCE
from runcache.catalog.tables import IS_CHANGE
from runcache.locations import CatalogLocation
from runcache.records import CHANGES, Event, EventKind, Removal
from tests.catalog.facts import MAIN, NOW, REPOSITORY, VERSION, query, save
from tests.catalog.happened import EVICTED, OTHER, fill, lookup, write


async def test_a_lookup_is_told_as_it_was(catalog: Catalog) -> None:
    await write(catalog, lookup("npm-1", restore_keys=["npm-", "n"]))

    (event,) = await catalog.events.newest([REPOSITORY], limit=10)

    assert event == Event(
        id=1,
        at=NOW,
        kind=EventKind.MISS,
        repository=REPOSITORY,
        ref=MAIN,
        key="npm-1",
        version=VERSION,
        by="job refs/heads/main, push, run 17",
        restore_keys=("npm-", "n"),
    )


async def test_events_are_chosen(catalog: Catalog) -> None:
    feature = "refs/heads/feature"
    await write(
        catalog,
        lookup("npm-1", is_hit=True),
        lookup("npm_2", at=NOW + 1),
        lookup("pip-3", at=NOW + 2, ref=feature),
        lookup("npm-4", at=NOW + 3, repository=OTHER),
    )
    await save(catalog, "npm-5", now_ms=NOW + 4)
    ids = [event.id for event in await catalog.events.newest(None, limit=10)]

    async def keys(repositories: list[str] | None = None, **conditions: object) -> list[str]:
        found = await catalog.events.newest(
            repositories,
            limit=10,
            **conditions,  # type: ignore[arg-type]
        )
        return [event.key for event in found]

    assert await keys() == ["npm-5", "npm-4", "pip-3", "npm_2", "npm-1"]
    assert await keys([REPOSITORY]) == ["npm-5", "pip-3", "npm_2", "npm-1"]
    assert await keys([REPOSITORY, OTHER, "no/such"]) == await keys()
    assert await keys(["no/such"]) == await keys([]) == []
    assert await keys(kinds=[EventKind.HIT, EventKind.SAVED]) == ["npm-5", "npm-1"]
    assert await keys(kinds=[EventKind.SAVED]) == ["npm-5"]
    assert await keys(kinds=[]) == []
    assert await keys(ref=feature) == ["pip-3"]
    # A prefix is taken as it is.
    assert await keys(prefix="npm_") == ["npm_2"]
    assert await keys(entry_id=1) == ["npm-5", "npm-1"]
    assert await keys(since_ms=NOW + 3) == ["npm-5", "npm-4"]
    assert await keys(before_id=ids[1]) == ["pip-3", "npm_2", "npm-1"]


async def test_rare_events_are_found_among_many(
    catalog: Catalog, location: CatalogLocation
) -> None:
    await write(catalog, lookup("rare", is_hit=True), lookup("rarer", repository=OTHER))
    entry, _ = await save(catalog, "saved")
    await asyncio.to_thread(fill, location, 2 * SCANNED_AT_ONCE + 17)
    await write(catalog, lookup("last"))

    for repositories in (None, [REPOSITORY], [REPOSITORY, OTHER]):
        found = await catalog.events.newest(repositories, kinds=[EventKind.HIT], limit=10)
        assert [event.key for event in found] == ["rare"]
        found = await catalog.events.newest(repositories, prefix="sav", limit=10)
        assert [event.entry_id for event in found] == [entry.id]
        found = await catalog.events.newest(repositories, limit=2)
        assert [event.key for event in found] == ["last", "filling"]
        assert await catalog.events.newest(repositories, kinds=CHANGES, ref="none", limit=1) == []
        assert await catalog.events.newest(repositories, since_ms=NOW + 1, limit=10) == []


async def test_the_last_removal_of_a_key_is_found(catalog: Catalog) -> None:
    for number, removal in enumerate((EVICTED, Removal(EventKind.DELETED, by="token 1"))):
        entry, _ = await save(catalog, "npm-1", now_ms=NOW + number)
        await catalog.entries.forget([entry.id], removal, now_ms=NOW + number, link_ms=0)
    await save(catalog, "npm-1")
    other, _ = await save(catalog, "npm-1", scope="refs/heads/other")
    await catalog.entries.forget([other.id], EVICTED, now_ms=NOW + 9, link_ms=0)

    newest = await catalog.events.removals(REPOSITORY, "npm-1", refs=[MAIN], limit=5)

    assert [event.kind for event in newest] == [EventKind.DELETED, EventKind.EVICTED]
    (last,) = await catalog.events.removals(REPOSITORY, "npm-1")
    assert last.ref == "refs/heads/other"
    assert await catalog.events.removals(REPOSITORY, "npm-") == []
    assert await catalog.events.removals("no/such", "npm-1") == []


async def test_removals_of_keys_that_begin_alike_are_found(catalog: Catalog) -> None:
    for key, scope in (("npm-1", MAIN), ("npm-2", "refs/heads/other"), ("gradle-8", MAIN)):
        entry, _ = await save(catalog, key, scope=scope)
        await catalog.entries.forget([entry.id], EVICTED, now_ms=NOW, link_ms=0)
    await save(catalog, "npm-3")

    async def found(*keys: str, refs: Sequence[str] | None = None) -> list[str]:
        events = await catalog.events.removals_alike(REPOSITORY, keys, refs=refs)
        return sorted(event.key for event in events)

    assert await found("npm-1") == ["npm-1"]
    assert await found("npm-4", "npm-") == ["npm-1", "npm-2"]
    assert await found("npm-4", "npm-", refs=[MAIN]) == ["npm-1"]
    assert await catalog.events.removals_alike("no/such", ["npm-1"], refs=None) == []


async def test_of_many_removals_alike_only_some_are_read(
    catalog: Catalog, location: CatalogLocation
) -> None:
    entry, _ = await save(catalog, "filling-1")
    await catalog.entries.forget([entry.id], EVICTED, now_ms=NOW, link_ms=0)
    fill(location, 3 * ALIKE_AT_ONCE, kind="evicted")

    events = await catalog.events.removals_alike(REPOSITORY, ["filling"], refs=None)

    # The newest of the key itself, and the first of those that begin with it.
    assert len(events) == 2 * ALIKE_AT_ONCE


@pytest.mark.parametrize(
    ("statement", "index"),
    [
        ("kind IN ({changes}) ORDER BY id DESC LIMIT 1 OFFSET 9", "ix_events_changes"),
        (
            "repository_id = 1 AND key = 'a' AND kind IN ({changes}) ORDER BY id DESC",
            "changed_keys",
        ),
        ("repository_id = 1 AND id < 9 ORDER BY id DESC LIMIT 1", "ix_events_repository"),
        ("entry_id = 1 AND id < 9 ORDER BY id DESC LIMIT 1", "ix_events_entry_id"),
    ],
)
@pytest.mark.usefixtures("catalog")
@pytest.mark.parametrize("location", ["sqlite"], indirect=True)
def test_questions_take_an_index(location: CatalogLocation, statement: str, index: str) -> None:
    changes = ", ".join(f"'{kind.value}'" for kind in CHANGES)

    question = ["EXPLAIN QUERY PLAN SELECT * FROM events WHERE", statement.format(changes=changes)]
    plan = query(location, " ".join(question))

    said = " ".join(str(row[-1]) for row in plan)
    assert index in said
    assert "TEMP B-TREE" not in said
    assert str(IS_CHANGE) == f"kind IN ({changes})"
