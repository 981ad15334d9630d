"""Entries: what is found, in which order they go, and what becomes of their bytes."""

import pytest

from runcache.catalog.catalog import Catalog
from runcache.catalog.entries import BATCH, BLOBS_AT_ONCE, Access
from runcache.catalog.parts import NewPart
from runcache.catalog.references import GRACE_MS
from runcache.locations import CatalogLocation
from runcache.matching import keys_of, walk
from runcache.model import Entry, EntryBlob, PackName, Usage
from runcache.retention import EntryUse
from tests.catalog.facts import (
    FOREVER,
    MAIN,
    NOW,
    REPOSITORY,
    VERSION,
    query,
    reserve,
    reserve_snapshot,
    save,
    save_many,
    save_snapshot,
)

HOUR_MS = 3_600_000


def access(entry: Entry, blob: str, at: int) -> Access:
    return Access(entry.id, (EntryBlob(blob, entry.size_bytes),), at)


async def doomed_at(catalog: Catalog, now_ms: int) -> list[str]:
    return [blob.name for blob in await catalog.blobs.doomed(now_ms=now_ms, limit=99)]


async def test_what_was_saved_is_found_under_exactly_that(catalog: Catalog) -> None:
    entry, blob = await save(catalog, "key")

    found = await catalog.entries.get(entry.id)

    assert found == entry
    contents = await catalog.entries.contents(entry.id)
    assert contents is not None
    assert (contents.entry, contents.blobs) == (entry, (EntryBlob(blob, 10),))
    assert await catalog.entries.saved_as(REPOSITORY, MAIN, "key", VERSION) == entry
    for place in (
        ("octo/x", MAIN, "key", VERSION),
        (REPOSITORY, "refs/heads/x", "key", VERSION),
        (REPOSITORY, MAIN, "ke", VERSION),
        (REPOSITORY, MAIN, "key", "v2"),
    ):
        assert await catalog.entries.saved_as(*place) is None
    assert await catalog.entries.get(entry.id + 1) is None


async def test_the_newest_are_listed_first_whatever_their_version(catalog: Catalog) -> None:
    old, _ = await save(catalog, "npm-1", now_ms=NOW)
    new, _ = await save(catalog, "npm-2", now_ms=NOW + 2, version="v2")
    same, _ = await save(catalog, "npm-3", now_ms=NOW + 2, scope="refs/heads/x")
    await save(catalog, "pip-1", now_ms=NOW + 3)
    await save(catalog, "npm-4", now_ms=NOW + 3, scope="refs/heads/hidden")

    scopes = [MAIN, "refs/heads/x"]
    listed = await catalog.entries.newest(REPOSITORY, scopes, "npm-", limit=9)

    assert listed == [same, new, old]
    assert await catalog.entries.newest(REPOSITORY, scopes, "npm-", limit=1) == [same]
    assert len(await catalog.entries.newest(REPOSITORY, [MAIN], "", limit=9)) == 3


async def test_an_access_moves_the_time_forward_and_never_back(catalog: Catalog) -> None:
    entry, blob = await save(catalog)

    async def access_at(now_ms: int) -> int:
        await catalog.entries.touch([access(entry, blob, now_ms)], link_ms=HOUR_MS)
        found = await catalog.entries.get(entry.id)
        assert found is not None
        return found.last_accessed_at

    assert await access_at(NOW + 5) == NOW + 5
    assert await access_at(NOW + 3) == NOW + 5
    assert await access_at(NOW + 6) == NOW + 6


async def test_a_link_given_just_before_an_entry_went_keeps_its_bytes(catalog: Catalog) -> None:
    entry, blob = await save(catalog)
    await catalog.entries.forget([entry.id], now_ms=NOW, link_ms=HOUR_MS)

    # The lookup came first; it is only written down later.
    await catalog.entries.touch([access(entry, blob, NOW - 1 + 60_000)], link_ms=HOUR_MS)

    link_ends = NOW - 1 + 60_000 + HOUR_MS
    assert await doomed_at(catalog, link_ends + GRACE_MS - 1) == []
    assert await doomed_at(catalog, link_ends + GRACE_MS) == [blob]


async def test_a_forgotten_entry_is_gone_at_once_and_its_bytes_when_no_link_leads_there(
    catalog: Catalog,
) -> None:
    entry, blob = await save(catalog)
    await catalog.entries.touch([access(entry, blob, NOW + 100)], link_ms=HOUR_MS)

    dropped = await catalog.entries.forget([entry.id], now_ms=NOW + 200, link_ms=HOUR_MS)

    assert dropped == 1
    assert await catalog.entries.get(entry.id) is None
    steps = walk([MAIN], keys_of("key"))
    assert await catalog.entries.find(REPOSITORY, [VERSION], steps) is None
    assert await catalog.repositories.usage(REPOSITORY) == Usage(REPOSITORY, 0, 0)
    found = await catalog.blobs.get(blob)
    assert found is not None
    link_ends = NOW + 100 + HOUR_MS
    assert await doomed_at(catalog, link_ends + GRACE_MS - 1) == []
    assert await doomed_at(catalog, link_ends + GRACE_MS) == [blob]


async def test_an_entry_nobody_looked_at_for_long_keeps_its_bytes_for_a_moment(
    catalog: Catalog,
) -> None:
    # A lookup of the last second may not be written down yet.
    entry, blob = await save(catalog, now_ms=NOW - 10 * HOUR_MS)

    await catalog.entries.forget([entry.id], now_ms=NOW, link_ms=HOUR_MS)

    assert await doomed_at(catalog, NOW + GRACE_MS - 1) == []
    assert await doomed_at(catalog, NOW + GRACE_MS) == [blob]


async def test_forgetting_again_counts_nothing(catalog: Catalog) -> None:
    entry, _ = await save(catalog, "key")
    other, _ = await save(catalog, "other")

    assert await catalog.entries.forget([entry.id, entry.id], now_ms=NOW, link_ms=0) == 1
    assert await catalog.entries.forget([entry.id], now_ms=NOW, link_ms=0) == 0
    assert await catalog.entries.forget([], now_ms=NOW, link_ms=0) == 0

    assert await catalog.repositories.usage(REPOSITORY) == Usage(REPOSITORY, 1, other.size_bytes)


async def test_more_than_one_batch_can_be_forgotten_at_once(
    catalog: Catalog, location: CatalogLocation
) -> None:
    saved = await save_many(catalog, location, BATCH + 1)

    ids = [entry.id for entry, _ in saved]
    assert await catalog.entries.forget(ids, now_ms=NOW, link_ms=0) == BATCH + 1

    assert await catalog.repositories.usage(REPOSITORY) == Usage(REPOSITORY, 0, 0)
    assert await catalog.repositories.miscounted(repair=False) == []


@pytest.fixture
async def used(catalog: Catalog) -> list[Entry]:
    """Return entries of two repositories, the one that was used longest ago first."""
    entries: list[Entry] = []
    for number, (size_bytes, repository) in enumerate(
        [(10, REPOSITORY), (200, REPOSITORY), (30, "octo/other"), (400, "octo/other")]
    ):
        entry, _ = await save(
            catalog,
            f"key-{number}",
            size_bytes=size_bytes,
            repository=repository,
            now_ms=NOW + number,
        )
        entries.append(entry)
    return entries


def ids(uses: list[EntryUse]) -> list[int]:
    return [use.entry_id for use in uses]


async def test_retention_looks_first_at_what_was_used_longest_ago(
    catalog: Catalog, used: list[Entry]
) -> None:
    least = catalog.entries.least_recently_used

    assert ids(await least(None)) == [entry.id for entry in used]
    assert ids(await least(REPOSITORY)) == [entry.id for entry in used[:2]]
    assert ids(await least("octo/unheard-of")) == []
    assert ids(await least(None, accessed_before=NOW + 2)) == [entry.id for entry in used[:2]]
    assert ids(await least(None, accessed_from=NOW + 2)) == [entry.id for entry in used[2:]]
    [first, *_] = await least(None)
    assert ids(await least(None, behind=first, limit=2)) == [entry.id for entry in used[1:3]]


async def test_retention_looks_at_the_oversized_apart_from_the_others(
    catalog: Catalog, used: list[Entry]
) -> None:
    large = await catalog.entries.least_recently_used(None, larger_than=100)
    others = await catalog.entries.least_recently_used(None, at_most=100)

    assert ids(large) == [used[number].id for number in (1, 3)]
    assert ids(others) == [used[number].id for number in (0, 2)]
    assert [(use.size_bytes, use.blobs[0].references) for use in large[:1]] == [(200, 1)]


async def test_after_an_unclean_stop_only_what_is_durable_is_found(catalog: Catalog) -> None:
    durable, _ = await save(catalog, "durable")
    hashed, hashed_blob = await save(catalog, "hashed")
    bare, bare_blob = await save(catalog, "bare")
    for blob in await catalog.blobs.unsettled(limit=9):
        if blob.name != bare_blob:
            await catalog.blobs.record_digest(blob.id, b"x" * 32)
        if blob.name not in {hashed_blob, bare_blob}:
            await catalog.blobs.record_durable(blob.id, now_ms=NOW)

    lost = await catalog.entries.suspect_all_unproven(now_ms=NOW)

    async def is_found(key: str) -> bool:
        steps = walk([MAIN], keys_of(key))
        return await catalog.entries.find(REPOSITORY, [VERSION], steps) is not None

    assert lost == 1
    assert [await is_found(key) for key in ("durable", "hashed", "bare")] == [True, False, False]
    assert await catalog.entries.get(bare.id) is None
    assert await catalog.blobs.get(hashed_blob) is None
    assert await catalog.blobs.get(bare_blob) is None
    # The one that is to be verified still has its key; afterwards it is found again.
    (unsettled,) = await catalog.blobs.unsettled(limit=9)
    await catalog.blobs.record_durable(unsettled.id, now_ms=NOW)
    assert await is_found("hashed")
    assert await catalog.entries.get(hashed.id) is not None
    assert await catalog.entries.get(durable.id) is not None


async def test_entries_of_a_repository_are_counted_with_their_unique_bytes(
    catalog: Catalog,
) -> None:
    upload = await reserve(catalog, "blocks")
    for block in (NewPart("A", "a" * 16, 7), NewPart("B", "b" * 16, 8)):
        await catalog.uploads.add_block(upload.blob, block, limit_bytes=None, now_ms=NOW)
    await catalog.uploads.order_blocks(upload.blob, ["B"], now_ms=NOW)
    await catalog.uploads.commit(upload, size_bytes=8, now_ms=NOW)
    await save(catalog, "whole", size_bytes=5)

    assert await catalog.repositories.usage(REPOSITORY) == Usage(REPOSITORY, 2, 13)
    assert await doomed_at(catalog, FOREVER) == []


async def find_all(catalog: Catalog, key: str, *whole: str) -> tuple[list[str], set[str]]:
    """Return the packs of what is found, and the blobs whose parts are to be looked for."""
    steps = walk([MAIN], keys_of(key))
    found = await catalog.entries.find(REPOSITORY, [VERSION], steps, every_blob=True, whole=whole)
    assert found is not None
    assert found.blobs[0].pack is None
    return [str(blob.pack) for blob in found.blobs[1:]], set(found.parts)


async def test_a_snapshot_is_found_with_all_blobs_and_their_parts(catalog: Catalog) -> None:
    entry = await save_snapshot(catalog, "key", 10, 20)
    archive, archive_blob = await save(catalog, "archive")
    contents = await catalog.entries.contents(entry.id)
    assert contents is not None
    names = {blob.name for blob in contents.blobs}

    assert await find_all(catalog, "key") == ([f"{entry.id}-0", f"{entry.id}-1"], names)
    assert (await find_all(catalog, "key", *names))[1] == set()
    assert await find_all(catalog, "archive") == ([], {archive_blob})
    assert not archive.is_snapshot


async def test_a_lookup_of_the_older_protocols_has_the_first_blob_alone(catalog: Catalog) -> None:
    await save_snapshot(catalog, "key", 10, 20)

    found = await catalog.entries.find(REPOSITORY, [VERSION], walk([MAIN], keys_of("key")))

    assert found is not None
    assert [blob.size_bytes for blob in found.blobs] == [1]
    assert [list(map(len, parts)) for parts in [found.parts.values()]] == [[1]]


async def test_links_given_to_a_base_keep_its_bytes_and_are_no_access(catalog: Catalog) -> None:
    entry, blob = await save(catalog)
    link = Access(entry.id, (EntryBlob(blob, 10),), NOW + 1000, is_use=False)

    await catalog.entries.touch([link], link_ms=HOUR_MS)
    await catalog.entries.forget([entry.id], now_ms=NOW + 2000, link_ms=0)

    assert await doomed_at(catalog, NOW + 1000 + HOUR_MS + GRACE_MS - 1) == []
    assert await doomed_at(catalog, NOW + 1000 + HOUR_MS + GRACE_MS) == [blob]


async def test_many_links_are_written_down_at_once(
    catalog: Catalog, location: CatalogLocation
) -> None:
    saved = await save_many(catalog, location, BATCH + 1)
    gone, gone_blob = saved[0]
    await catalog.entries.forget([gone.id], now_ms=NOW, link_ms=0)

    await catalog.entries.touch(
        [access(entry, blob, NOW + 5) for entry, blob in saved], link_ms=HOUR_MS
    )

    assert await doomed_at(catalog, NOW + 5 + HOUR_MS + GRACE_MS - 1) == []
    assert await doomed_at(catalog, NOW + 5 + HOUR_MS + GRACE_MS) == [gone_blob]
    left = await catalog.entries.newest(REPOSITORY, [MAIN], "", limit=BATCH + 1)
    assert {entry.last_accessed_at for entry in left} == {NOW + 5}


async def test_retention_looks_at_fewer_entries_if_they_have_many_blobs(
    catalog: Catalog, location: CatalogLocation
) -> None:
    entries = [await save_snapshot(catalog, f"key-{number}", 1) for number in range(4)]
    query(
        location,
        "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n WHERE x < ?)"
        " INSERT INTO blobs (name, repository_id, created_at) SELECT 'more ' || x, 1, 0 FROM n",
        BLOBS_AT_ONCE // 2,
    )
    query(
        location,
        "INSERT INTO entry_blobs (entry_id, position, blob_id)"
        " SELECT entries.id, blobs.id, blobs.id FROM entries"
        " JOIN blobs ON entries.id < 4 AND blobs.name LIKE 'more %'",
    )

    pages: list[list[EntryUse]] = []
    last = None
    while page := await catalog.entries.least_recently_used(REPOSITORY, behind=last):
        pages.append(page)
        last = page[-1]

    assert [ids(page) for page in pages] == [[1], [2], [3, 4]]
    assert await catalog.entries.forget([1, 2, 3, 4], now_ms=NOW, link_ms=0) == len(entries)


async def test_all_that_have_a_damaged_blob_are_forgotten_and_nobody_holds_it(
    catalog: Catalog, location: CatalogLocation
) -> None:
    first = await save_snapshot(catalog, "first", 10)
    await save_snapshot(catalog, "second", 20, shared=[PackName(first.id, 0)])
    other = await save_snapshot(catalog, "other", 30)
    await reserve_snapshot(catalog, "upload", bases=[first.id])
    contents = await catalog.entries.contents(first.id)
    assert contents is not None
    damaged = contents.blobs[1].name

    assert await catalog.entries.forget_holders(damaged, now_ms=NOW) == 2
    assert await catalog.entries.forget_holders(damaged, now_ms=NOW) == 0

    assert await catalog.entries.newest(REPOSITORY, [MAIN], "", limit=9) == [other]
    assert query(location, "SELECT count(*) FROM holds") == [(1,)]


async def test_after_an_unclean_stop_an_entry_is_trusted_when_all_its_blobs_are(
    catalog: Catalog,
) -> None:
    first = await save_snapshot(catalog, "first", 10)
    second = await save_snapshot(catalog, "second", 20, shared=[PackName(first.id, 0)])
    for blob in await catalog.blobs.of_entry(first.id):
        await catalog.blobs.record_durable(blob.id, now_ms=NOW)

    lost = await catalog.entries.suspect_all_unproven(now_ms=NOW)
    found = [await catalog.entries.contents(entry.id) for entry in (first, second)]
    of_second = await catalog.blobs.of_entry(second.id)
    readable = [await catalog.blobs.get(blob.name) for blob in of_second]
    trusted = []
    for unsettled in await catalog.blobs.unsettled(limit=9):
        await catalog.blobs.record_durable(unsettled.id, now_ms=NOW)
        trusted.append(await catalog.entries.contents(second.id) is not None)

    assert lost == 0
    assert [contents is not None for contents in found] == [True, False]
    # What is proven can be read, also if another entry that has it is not.
    assert sorted(blob.size_bytes for blob in readable if blob) == [10]
    assert trusted == [False, True]


async def test_after_an_unclean_stop_links_lead_to_no_torn_bytes(catalog: Catalog) -> None:
    entry, blob = await save(catalog, "evicted just now")
    await catalog.entries.forget([entry.id], now_ms=NOW, link_ms=HOUR_MS)

    await catalog.entries.suspect_all_unproven(now_ms=NOW)

    assert await catalog.blobs.get(blob) is None
