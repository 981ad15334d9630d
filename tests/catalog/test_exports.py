"""What a backup reads of a catalog comes in pages, and makes another catalog the same."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final

import pytest

from runcache.catalog.catalog import Catalog
from runcache.catalog.exported import ExportedEntry, Record
from runcache.catalog.opening import open_catalog
from runcache.locations import SqliteFile
from tests.catalog.facts import NOW, add_blocks, reserve, save

# More than a page has.
MANY: Final = 60


async def entries_of(catalog: Catalog) -> list[ExportedEntry]:
    return [entry async for page in catalog.exports.entries() for entry in page]


async def records_of(catalog: Catalog) -> list[Record]:
    return [record async for page in catalog.exports.records() for record in page]


@pytest.fixture
async def other(tmp_path: Path) -> AsyncIterator[Catalog]:
    async with open_catalog(SqliteFile(tmp_path / "other.sqlite3")) as catalog:
        yield catalog


async def fill(catalog: Catalog, entries: list[ExportedEntry], records: list[Record]) -> None:
    await catalog.imports.begin("backup")
    for repository in sorted({entry.repository for entry in entries}):
        blobs = [b for e in entries if e.repository == repository for b in e.blobs]
        empty = await catalog.imports.reserve(repository, blobs)
        parts = {blob.name: "0" * 16 for blob in empty}
        await catalog.imports.fill(parts, empty, now_ms=NOW)
    await catalog.imports.add_entries(entries)
    await catalog.imports.add_records(records)
    await catalog.imports.finish(now_ms=NOW)


async def test_all_entries_come_the_newest_first(catalog: Catalog) -> None:
    saved = [(await save(catalog, f"key-{number}", size_bytes=number))[0] for number in range(MANY)]

    exported = await entries_of(catalog)

    assert [(entry.id, entry.key, entry.size_bytes) for entry in exported] == [
        (entry.id, entry.key, entry.size_bytes) for entry in reversed(saved)
    ]


async def test_an_entry_that_takes_the_place_of_another_is_not_there_twice(
    catalog: Catalog,
) -> None:
    old, _ = await save(catalog, "replaced")
    for number in range(MANY):
        await save(catalog, f"key-{number}")
    pages = catalog.exports.entries()

    first = await anext(pages)
    await catalog.entries.forget([old.id], now_ms=NOW, link_ms=0)
    await save(catalog, "replaced")
    rest = [entry async for page in pages for entry in page]

    keys = [entry.key for entry in (*first, *rest)]
    assert len(keys) == len(set(keys)) == MANY


async def test_what_is_not_committed_is_not_there(catalog: Catalog) -> None:
    await add_blocks(catalog, await reserve(catalog), [1, 2])

    assert await entries_of(catalog) == []


async def test_a_catalog_that_was_filled_is_exported_alike(
    catalog: Catalog, other: Catalog
) -> None:
    for number in range(3):
        await save(catalog, f"key-{number}", repository=f"octo/repo-{number % 2}")
    entries, records = await entries_of(catalog), await records_of(catalog)

    await fill(other, entries, records)
    back = await entries_of(other)
    assert [entry.id for entry in back] == [entry.id for entry in entries]
    assert await records_of(other) == records
    assert await other.repositories.miscounted(repair=False) == []
    assert await other.repositories.usage("octo/repo-0") == await catalog.repositories.usage(
        "octo/repo-0"
    )


async def test_no_id_is_given_twice_after_a_catalog_was_filled(
    catalog: Catalog, other: Catalog
) -> None:
    entry, _ = await save(other, "former")
    entries = [exported async for page in other.exports.entries() for exported in page]

    await fill(catalog, entries, [])
    upload = await reserve(catalog, "next")

    assert upload.id == entry.id + 1


async def test_a_catalog_is_filled_from_one_backup_only(catalog: Catalog) -> None:
    assert await catalog.imports.may_begin("one")
    await catalog.imports.begin("one")

    assert await catalog.imports.may_begin("one")
    assert not await catalog.imports.may_begin("another")


async def test_a_catalog_with_something_in_it_is_not_filled(catalog: Catalog) -> None:
    await reserve(catalog)

    assert not await catalog.imports.may_begin("backup")


async def test_every_blob_that_may_have_bytes_is_named_with_all_its_parts(
    catalog: Catalog,
) -> None:
    entry, _ = await save(catalog, "doomed", size_bytes=7)
    await catalog.entries.forget([entry.id], now_ms=NOW, link_ms=0)
    upload = await reserve(catalog, "in the making")
    await add_blocks(catalog, upload, [3, 4])

    stored = await catalog.blobs.stored(limit=9)
    sizes = {
        blob.name: [part.size_bytes for part in await catalog.blobs.all_parts(blob.name)]
        for blob in stored
    }

    assert sizes[upload.blob] == [3, 4]
    assert sorted(sizes.values()) == [[3, 4], [7]]
    assert await catalog.blobs.stored(after_id=stored[0].id, limit=9) == stored[1:]
