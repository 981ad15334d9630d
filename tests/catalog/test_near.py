"""What is near a lookup, and that finding it never takes long."""

from typing import Final

import pytest
from sqlalchemy.dialects import sqlite

from runcache.catalog.catalog import Catalog
from runcache.catalog.near import AROUND, FOUND, WINDOW, Neighbourhood, Questions
from runcache.locations import CatalogLocation
from tests.catalog.facts import MAIN, NOW, REPOSITORY, query, reserve, save

FEATURE: Final = "refs/heads/feature"
PULL: Final = "refs/pull/7/merge"


async def near(
    catalog: Catalog, *keys: str, only_scopes: bool = False, repository: str = REPOSITORY
) -> Neighbourhood:
    return await catalog.near.of(
        repository, keys, [keys[0].upper()], [FEATURE, MAIN], only_scopes=only_scopes
    )


def keys_in(found: Neighbourhood) -> list[str]:
    return [kept.entry.key for kept in found.entries]


async def test_the_same_key_is_found_in_all_versions_and_scopes(catalog: Catalog) -> None:
    for number, scope in enumerate((PULL, FEATURE, MAIN)):
        await save(catalog, "npm-1", scope=scope, version=f"v{number}")

    found = await near(catalog, "npm-1")

    # Those that the lookup searches come first.
    assert sorted(kept.entry.scope for kept in found.entries[:2]) == [FEATURE, MAIN]
    assert [kept.entry.scope for kept in found.entries[2:]] == [PULL]
    assert not any(kept.is_suspect for kept in found.entries)


@pytest.mark.parametrize("key", ["NPM-1", "npm-1-x", "npm-0", "npm-2", "gradle-8"])
async def test_what_is_near_is_found_and_be_it_by_age(catalog: Catalog, key: str) -> None:
    entry, _ = await save(catalog, key)

    (kept,) = (await near(catalog, "npm-1", "np")).entries

    assert kept.entry == entry


async def test_only_the_scopes_of_a_job_are_looked_at(catalog: Catalog) -> None:
    for key in ("npm-1", "npm-2", "NPM-1"):
        await save(catalog, key, scope=PULL)
        await reserve(catalog, f"{key}-x", scope=PULL)
    await save(catalog, "npm-3", scope=MAIN)
    await reserve(catalog, "npm-1-y", scope=MAIN)

    found = await near(catalog, "npm-1", "npm-", only_scopes=True)

    assert keys_in(found) == ["npm-3"]
    assert [reserved.key for reserved in found.reserved] == ["npm-1-y"]


async def test_what_is_reserved_is_found_with_its_times(catalog: Catalog) -> None:
    await reserve(catalog, "npm-1", expires_at=NOW + 5)
    await reserve(catalog, "gradle-8")

    (reserved,) = (await near(catalog, "npm-1")).reserved

    assert (reserved.scope, reserved.key, reserved.version) == (MAIN, "npm-1", "v1")
    assert (reserved.created_at, reserved.active_at, reserved.expires_at) == (NOW, NOW, NOW + 5)


async def test_nothing_is_near_in_another_repository(catalog: Catalog) -> None:
    await save(catalog, "npm-1")
    await save(catalog, "gradle-8", repository="octo/other")

    assert await near(catalog, "npm-1", repository="octo/new") == Neighbourhood()
    assert keys_in(await near(catalog, "npm-1", repository="octo/other")) == ["gradle-8"]


async def test_of_many_only_some_are_read(catalog: Catalog, location: CatalogLocation) -> None:
    entry, _ = await save(catalog, "npm-1", scope=PULL)
    multiply(location, entry.id, 3 * WINDOW)

    found = await near(catalog, "npm-1", "npm-")
    hidden = await near(catalog, "npm-1", "npm-", only_scopes=True)

    assert FOUND <= len(found.entries) <= 3 * FOUND + 4 * AROUND
    assert hidden == Neighbourhood()


@pytest.mark.usefixtures("catalog")
@pytest.mark.parametrize("location", ["sqlite"], indirect=True)
async def test_no_question_reads_more_than_an_index_gives(location: CatalogLocation) -> None:
    questions = Questions(1, ["npm-1", "npm-"], ["NPM-1"], [FEATURE, MAIN])

    for only_scopes in (False, True):
        for statement in questions.all(only_scopes=only_scopes):
            compiled = statement.compile(
                dialect=sqlite.dialect(), compile_kwargs={"literal_binds": True}
            )
            plan = [str(row[-1]) for row in query(location, f"EXPLAIN QUERY PLAN {compiled}")]
            searches = [step for step in plan if "entries" in step]
            assert len(searches) == 2, plan
            assert all(step.startswith("SEARCH entries USING") for step in searches), plan
            assert not any("TEMP B-TREE" in step for step in plan), plan


def multiply(location: CatalogLocation, entry_id: int, count: int) -> None:
    """Copy an entry under keys that begin like its own."""
    query(
        location,
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?)"
        " INSERT INTO entries (id, repository_id, scope, key, version, size_bytes, created_at,"
        " last_accessed_at, family) SELECT id + i, repository_id, scope, key || '-' || i, version,"
        " size_bytes, created_at + i, last_accessed_at, family FROM entries, n WHERE id = ?",
        count,
        entry_id,
    )
