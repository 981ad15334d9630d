"""Lists of entries: any page of any selection in any order, and sums over groups."""

import asyncio
import sqlite3
from collections import Counter
from collections.abc import Callable, Sequence
from hashlib import sha256
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final, TypeVar

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import create_engine, event

from runcache.catalog import selecting
from runcache.catalog.catalog import Catalog
from runcache.catalog.entries import Access
from runcache.catalog.migrate import upgrade
from runcache.catalog.opening import open_catalog
from runcache.listing import (
    FamilyUsage,
    Order,
    Position,
    RefUsage,
    Selection,
    SortBy,
    Unreachable,
)
from runcache.locations import CatalogLocation, SqliteFile
from runcache.model import Entry
from runcache.records import DELETED, family_of
from tests.catalog.facts import MAIN, NOW, REPOSITORY, query, save, save_snapshot

T = TypeVar("T")

ORDERS: Final = [Order(by, is_descending=down) for by in SortBy for down in (True, False)]
NEWEST: Final = Order(SortBy.CREATED)


def with_hash(key: str, number: int) -> str:
    return f"{key}-{sha256(str(number).encode()).hexdigest()}"


KEYS: Final = st.sampled_from(["npm-1a2b3c4d", "npm-5e6f7a8b", "npm", "pip-<hash>", "é-1", "a b"])
REFS: Final = st.sampled_from([MAIN, "refs/pull/7/merge", "refs/heads/a"])
VERSIONS: Final = st.sampled_from(["v1", "v2"])
SELECTIONS: Final = st.builds(
    Selection,
    prefix=st.sampled_from(["", "n", "npm-", "npm-1", "pip-<", "é", "x"]),
    ref=st.none() | REFS,
    version=st.none() | VERSIONS,
    family=st.none() | KEYS.map(lambda key: family_of(with_hash(key, 0))),
)

numbers = count(1)


def fits(entry: Entry, selection: Selection) -> bool:
    return (
        entry.key.startswith(selection.prefix)
        and selection.key in {None, entry.key}
        and selection.ref in {None, entry.scope}
        and selection.version in {None, entry.version}
        and selection.family in {None, family_of(entry.key)}
    )


def in_order(entries: Sequence[Entry], order: Order) -> list[Entry]:
    return sorted(
        entries,
        key=lambda entry: (order.value_of(entry), entry.id),
        reverse=order.is_descending,
    )


async def page(
    catalog: Catalog,
    selection: Selection | None = None,
    order: Order = NEWEST,
    *,
    behind: Position | None = None,
    offset: int = 0,
    limit: int = 100,
) -> tuple[list[Entry], int]:
    return await catalog.listing.page(
        REPOSITORY, selection or Selection(), order, behind=behind, offset=offset, limit=limit
    )


@pytest.fixture
async def entries(catalog: Catalog) -> list[Entry]:
    """Entries that differ in everything, and one of another repository."""
    await save(catalog, "npm-0", repository="octo/other")
    saved = []
    for number, (key, scope, version) in enumerate(
        [
            ("npm-1111111a", MAIN, "v1"),
            ("npm-2222222b", MAIN, "v2"),
            ("npm-1111111a", "refs/pull/7/merge", "v1"),
            ("pip-1111111a", MAIN, "v1"),
            ("npm", MAIN, "v1"),
            ("npm-<hash>", "refs/heads/a", "v1"),
        ]
    ):
        entry, _ = await save(
            catalog,
            key,
            scope=scope,
            version=version,
            size_bytes=(number * 7) % 5 + 1,
            now_ms=NOW + number,
        )
        saved.append(entry)
    return saved


@pytest.mark.parametrize(
    "selection",
    [
        Selection(),
        Selection(prefix="npm"),
        Selection(prefix="npm-"),
        Selection(prefix="npm-1"),
        Selection(prefix="npm-<"),
        Selection(prefix="npm-", ref=MAIN),
        Selection(prefix="npm-", version="v1"),
        Selection(prefix="npm-1", ref=MAIN, version="v1"),
        Selection(key="npm-1111111a"),
        Selection(key="npm-1111111a", ref=MAIN),
        Selection(key="npm-"),
        Selection(ref="refs/pull/7/merge"),
        Selection(ref=MAIN, version="v1"),
        Selection(version="v2"),
        Selection(family="npm-<hash>"),
        Selection(family="npm-<hash>", ref=MAIN),
        Selection(family="npm-<hash>", prefix="np", version="v1"),
        Selection(family="npm-<hash>", prefix="npm-2"),
        Selection(family="npm-<hash>", key="npm-<hash>"),
        Selection(family="unheard-of"),
        Selection(prefix="\U0010ffff"),
        Selection(prefix="npm-\ud800"),
    ],
)
async def test_a_page_holds_what_fits_in_order(
    catalog: Catalog, entries: list[Entry], selection: Selection
) -> None:
    for order in ORDERS:
        expected = in_order([entry for entry in entries if fits(entry, selection)], order)
        # The shorter the page, the likelier it is read in order rather than sorted.
        for offset, limit in ((0, 100), (0, 1), (1, 1), (2, 3)):
            found = await page(catalog, selection, order, offset=offset, limit=limit)
            assert found == (expected[offset : offset + limit], len(expected))


@given(key=st.text(max_size=80) | st.from_regex(r"[A-Za-z0-9._<>-]{0,80}", fullmatch=True))
def test_keys_begin_as_their_family_up_to_what_it_folds(key: str) -> None:
    # So the entries of a prefix are those of the families that begin with it.
    assert key.startswith(family_of(key).partition("<")[0])


@given(data=st.data())
@settings(max_examples=15, deadline=None)
def test_pages_together_are_the_whole_sorted_list_while_entries_come_and_go(
    data: st.DataObject,
) -> None:
    with TemporaryDirectory() as folder:
        location = SqliteFile(Path(folder) / "catalog.sqlite3")
        asyncio.run(walk_while_entries_come_and_go(location, data))


async def walk_while_entries_come_and_go(location: CatalogLocation, data: st.DataObject) -> None:
    selection, order = data.draw(SELECTIONS), data.draw(st.sampled_from(ORDERS))
    limit = data.draw(st.integers(1, 3))
    async with open_catalog(location) as catalog:
        present = [await save_drawn(catalog, data) for _ in range(data.draw(st.integers(0, 9)))]
        always = set(present)
        seen: list[Entry] = []
        behind = None
        while True:
            found, count = await page(catalog, selection, order, behind=behind, limit=limit)
            assert count == sum(fits(entry, selection) for entry in present)
            seen += found
            if not found:
                break
            behind = Position(order.value_of(found[-1]), found[-1].id)
            for _ in range(data.draw(st.integers(0, 2))):
                is_fewer = data.draw(st.booleans())
                if present and is_fewer:
                    gone = present.pop(data.draw(st.integers(0, len(present) - 1)))
                    await catalog.entries.forget([gone.id], DELETED, now_ms=NOW, link_ms=0)
                    always.discard(gone)
                elif len(present) < 20:
                    present.append(await save_drawn(catalog, data))

    assert seen == in_order(seen, order)
    assert len(set(seen)) == len(seen)
    assert all(fits(entry, selection) for entry in seen)
    assert {entry for entry in always if fits(entry, selection)} <= set(seen)


async def save_drawn(catalog: Catalog, data: st.DataObject) -> Entry:
    """Save an entry that is like others in some respects, and unlike any in its key."""
    entry, _ = await save(
        catalog,
        with_hash(data.draw(KEYS), next(numbers)),
        scope=data.draw(REFS),
        version=data.draw(VERSIONS),
        size_bytes=data.draw(st.integers(0, 3)),
        now_ms=NOW + data.draw(st.integers(0, 3)),
    )
    return entry


def test_what_many_fit_is_read_in_order_and_never_sorted(file: Path) -> None:
    plans: list[str] = []
    engine = create_engine(f"sqlite:///{file}")
    with engine.connect() as connection:
        upgrade(connection)
        connection.exec_driver_sql("INSERT INTO repositories (id, name) VALUES (1, 'octo/hello')")
        connection.exec_driver_sql(
            "INSERT INTO tallies VALUES (1, 'main', 'npm-<hash>', 'v', 9, 9)"
        )

        @event.listens_for(connection, "before_cursor_execute")
        def explain(
            _: object, cursor: sqlite3.Cursor, statement: str, values: tuple[int], *_others: object
        ) -> None:
            cursor.execute(f"EXPLAIN QUERY PLAN {statement}", values)
            plans.extend(f"{statement}\n{step[3]}" for step in cursor.fetchall())

        for selection in (
            Selection(),
            Selection(prefix="npm-"),
            Selection(prefix="npm-1"),
            Selection(ref="main"),
            Selection(ref="main", prefix="npm-"),
            Selection(ref="main", version="v"),
            Selection(family="npm-<hash>"),
            Selection(version="v"),
        ):
            for order in ORDERS:
                for behind in (None, Position(5, 5)):
                    selected = selecting.Selected(connection, 1, selection)
                    selected.ids(order, count=10_000, behind=behind, offset=0, limit=30)
    engine.dispose()

    assert len([plan for plan in plans if "USING COVERING INDEX ix_entries_" in plan]) > 0
    assert [plan for plan in plans if "TEMP B-TREE" in plan] == []


async def test_refs_and_families_are_summed_up_the_largest_first(
    catalog: Catalog, entries: list[Entry]
) -> None:
    refs = await catalog.listing.refs(REPOSITORY)
    families = await catalog.listing.families(REPOSITORY)

    assert refs == sums(entries, RefUsage, lambda entry: entry.scope)
    assert families == sums(entries, FamilyUsage, lambda entry: family_of(entry.key))
    assert await catalog.listing.refs("octo/unheard-of") == []


def sums(
    entries: Sequence[Entry], kind: Callable[[str, int, int], T], name_of: Callable[[Entry], str]
) -> list[T]:
    counts = Counter(map(name_of, entries))
    sizes = Counter[str]()
    for entry in entries:
        sizes[name_of(entry)] += entry.size_bytes
    names = sorted(counts, key=lambda name: (-sizes[name], name))
    return [kind(name, counts[name], sizes[name]) for name in names]


async def test_sums_follow_what_comes_and_goes(catalog: Catalog) -> None:
    first, _ = await save(catalog, "npm-1111111a", size_bytes=5)
    await save(catalog, "npm-2222222b", size_bytes=7)
    await save_snapshot(catalog, "pip", 10, 20)

    await catalog.entries.forget([first.id], DELETED, now_ms=NOW, link_ms=0)

    families = await catalog.listing.families(REPOSITORY)
    assert families == [FamilyUsage("pip", 1, 31), FamilyUsage("npm-<hash>", 1, 7)]
    assert await catalog.repositories.miscounted(repair=False) == []


async def test_wrong_sums_are_found_and_corrected(
    catalog: Catalog, location: CatalogLocation
) -> None:
    await save(catalog, "npm", size_bytes=5)
    await save(catalog, "pip", size_bytes=7)
    for wrong in (
        "UPDATE tallies SET size_bytes = 6 WHERE family = 'npm'",
        "DELETE FROM tallies WHERE family = 'pip'",
        "INSERT INTO tallies VALUES (1, 'x', 'y', 'z', 1, 1)",
    ):
        query(location, wrong)

        assert await catalog.repositories.miscounted(repair=True) == [REPOSITORY]
        assert await catalog.repositories.miscounted(repair=False) == []
        assert len(await catalog.listing.families(REPOSITORY)) == 2


async def test_what_nobody_is_likely_to_restore_counts_once(catalog: Catalog) -> None:
    pull_request = "refs/pull/7/merge"
    old, _ = await save(catalog, "npm-1111111a", size_bytes=1)
    kept, _ = await save(catalog, "npm-2222222b", size_bytes=2)
    await save(catalog, "npm-3333333c", size_bytes=4, now_ms=NOW + 10)
    await save(catalog, "npm-4444444d", size_bytes=8, version="v2")
    await save(catalog, "npm-5555555e", size_bytes=16, scope=pull_request, now_ms=NOW - 5)
    await save(catalog, "npm-6666666f", size_bytes=32, scope=pull_request, now_ms=NOW - 3)
    await save(catalog, "npm-7777777a", size_bytes=64, scope=pull_request, now_ms=NOW)
    await catalog.entries.touch([Access(kept.id, (), NOW + 11)], link_ms=0)

    found = await catalog.listing.unreachable(REPOSITORY, idle_before_ms=NOW - 3)
    nothing = await catalog.listing.unreachable("octo/unheard-of", idle_before_ms=NOW)

    assert old.last_accessed_at == NOW
    assert found == Unreachable(
        idle_pull_request_count=1,
        idle_pull_request_bytes=16,
        superseded_count=2,
        superseded_bytes=1 + 32,
    )
    assert nothing == Unreachable()
