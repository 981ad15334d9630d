"""Snapshots in the making, without any bytes."""

import pytest
from msgspec.structs import replace

from runcache.catalog.catalog import Catalog
from runcache.catalog.snapshots import ReceivedBlob
from runcache.errors import (
    EntryExists,
    ManifestMissing,
    PackGone,
    TooManyPacks,
    UploadGone,
    UploadTooLarge,
)
from runcache.locations import CatalogLocation
from runcache.model import MAX_PACKS, PackName
from runcache.store import layout
from tests.catalog.facts import (
    MAIN,
    NOW,
    REPOSITORY,
    VERSION,
    commit_snapshot,
    part,
    query,
    receive_manifest,
    receive_pack,
    reserve_snapshot,
    save,
    save_snapshot,
)

FEATURE = "refs/heads/feature"


async def test_a_pack_keeps_its_blob_when_it_comes_again(catalog: Catalog) -> None:
    upload, _ = await reserve_snapshot(catalog)
    pack = PackName(upload.id, 5)

    first = await catalog.snapshots.open_pack(pack, blob=layout.new_blob_name(), now_ms=NOW)
    again = await catalog.snapshots.open_pack(pack, blob=layout.new_blob_name(), now_ms=NOW)

    assert first == again
    assert len(await catalog.blobs.in_the_making(limit=9)) == 2


async def test_what_a_part_replaces_is_named(catalog: Catalog) -> None:
    upload, _ = await reserve_snapshot(catalog)
    blob = await catalog.snapshots.open_pack(
        PackName(upload.id, 0), blob=layout.new_blob_name(), now_ms=NOW
    )
    parts = [part(10), part(20)]

    replaced = [
        await catalog.snapshots.set_blob(
            upload, blob, ReceivedBlob(new, b"3", b"2"), limit_bytes=20, now_ms=NOW
        )
        for new in parts
    ]

    assert replaced == [[], [parts[0].name]]


async def test_a_part_that_makes_the_upload_too_large_changes_nothing(catalog: Catalog) -> None:
    upload, _ = await reserve_snapshot(catalog)
    pack = await receive_pack(catalog, upload, 0, 10)
    blob = await catalog.snapshots.open_pack(pack, blob="unused", now_ms=NOW)

    with pytest.raises(UploadTooLarge):
        await catalog.snapshots.set_blob(
            upload, blob, ReceivedBlob(part(21), b"3", b"2"), limit_bytes=20, now_ms=NOW
        )

    assert (await commit_snapshot(catalog, upload, pack)).size_bytes == 11


async def test_an_upload_has_so_many_packs_and_no_more(
    catalog: Catalog, location: CatalogLocation
) -> None:
    upload, _ = await reserve_snapshot(catalog)
    pack = await receive_pack(catalog, upload, 0, 1)
    query(location, "UPDATE uploads SET block_count = ?", MAX_PACKS)

    with pytest.raises(TooManyPacks):
        await receive_pack(catalog, upload, 1, 1)

    assert await receive_pack(catalog, upload, 0, 2) == pack


async def test_a_pack_without_bytes_cannot_be_committed(catalog: Catalog) -> None:
    upload, _ = await reserve_snapshot(catalog)
    pack = PackName(upload.id, 0)
    await catalog.snapshots.open_pack(pack, blob=layout.new_blob_name(), now_ms=NOW)

    with pytest.raises(PackGone):
        await commit_snapshot(catalog, upload, pack)


async def test_an_upload_that_has_ended_takes_nothing(catalog: Catalog) -> None:
    upload, _ = await reserve_snapshot(catalog)
    pack = await receive_pack(catalog, upload, 0, 1)
    await catalog.uploads.void(upload, now_ms=NOW)

    for act in (
        catalog.snapshots.open_pack(pack, blob=layout.new_blob_name(), now_ms=NOW),
        receive_manifest(catalog, upload),
        catalog.snapshots.commit(upload, [], readable=[MAIN], limit_bytes=None, now_ms=NOW),
    ):
        with pytest.raises(UploadGone):
            await act


async def test_a_commit_needs_a_manifest(catalog: Catalog) -> None:
    upload, _ = await reserve_snapshot(catalog)

    with pytest.raises(ManifestMissing):
        await catalog.snapshots.commit(upload, [], readable=[MAIN], limit_bytes=None, now_ms=NOW)


async def test_a_commit_makes_an_entry_with_digests_of_all_blobs(catalog: Catalog) -> None:
    entry = await save_snapshot(catalog, "key", 10, 20, now_ms=NOW + 5)

    contents = await catalog.entries.contents(entry.id)

    assert contents is not None
    assert contents.entry == entry
    assert (entry.size_bytes, entry.created_at, entry.is_snapshot) == (31, NOW + 5, True)
    assert [(blob.size_bytes, str(blob.pack)) for blob in contents.blobs] == [
        (1, "None"),
        (10, f"{entry.id}-0"),
        (20, f"{entry.id}-1"),
    ]
    committed = await catalog.blobs.of_entry(entry.id)
    assert {(blob.blake3, blob.sha256) for blob in committed} == {(b"3" * 32, b"2" * 32)}


async def test_thousands_of_packs_can_be_committed_and_shared(
    catalog: Catalog, location: CatalogLocation
) -> None:
    upload, _ = await reserve_snapshot(catalog, "first")
    await receive_pack(catalog, upload, 0, 1)
    # Received one by one they would take a minute.
    query(
        location,
        "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n WHERE x < ?)"
        " INSERT INTO blobs (name, repository_id, created_at, upload_id, number)"
        " SELECT 'pack ' || x, 1, 0, ?, x FROM n",
        MAX_PACKS - 1,
        upload.id,
    )
    query(
        location,
        "INSERT INTO parts (blob_id, block_id, name, size_bytes, position, start)"
        " SELECT id, '', 'part', 1, 0, 0 FROM blobs WHERE number > 0",
    )
    packs = [PackName(upload.id, number) for number in range(MAX_PACKS)]

    first = await commit_snapshot(catalog, upload, *packs)
    second, bases = await reserve_snapshot(catalog, "second", bases=None)
    shared = await commit_snapshot(catalog, second, *reversed(packs))

    assert len(bases[0].blobs) == MAX_PACKS + 1
    assert (first.size_bytes, shared.size_bytes) == (MAX_PACKS + 1, MAX_PACKS + 1)
    usage = await catalog.repositories.usage(REPOSITORY)
    assert usage.size_bytes == MAX_PACKS + 2
    ids = [first.id, shared.id]
    assert await catalog.entries.forget(ids, now_ms=NOW, link_ms=0) == 2
    assert (await catalog.repositories.usage(REPOSITORY)).size_bytes == 0


async def test_the_database_itself_refuses_a_second_entry(
    catalog: Catalog, location: CatalogLocation
) -> None:
    await save(catalog, "key")
    upload, _ = await reserve_snapshot(catalog, "other")
    await receive_manifest(catalog, upload)
    query(location, "UPDATE uploads SET key = 'key'")

    with pytest.raises(EntryExists):
        await catalog.snapshots.commit(
            replace(upload, key="key"), [], readable=[MAIN], limit_bytes=None, now_ms=NOW
        )

    assert (await catalog.uploads.get(upload.id, now_ms=NOW)).is_snapshot


async def test_the_newest_of_all_readable_scopes_is_the_base(catalog: Catalog) -> None:
    await save_snapshot(catalog, "old", scope=FEATURE, now_ms=NOW + 1)
    newest = await save_snapshot(catalog, "newest", now_ms=NOW + 2)
    await save_snapshot(catalog, "hidden", scope="refs/heads/x", now_ms=NOW + 3)

    for readable, expected in (
        ((FEATURE, MAIN), ["newest"]),
        ((MAIN, FEATURE), ["newest"]),
        ((FEATURE,), ["old"]),
        (("refs/heads/y",), []),
        ((), []),
    ):
        upload, bases = await reserve_snapshot(catalog, bases=None, readable=readable)
        assert [base.entry.key for base in bases] == expected
        await catalog.uploads.void(upload, now_ms=NOW)
    _, none = await reserve_snapshot(catalog, bases=None, version="other")
    assert none == []
    assert (newest.scope, newest.version) == (MAIN, VERSION)


async def test_bases_come_in_the_order_in_which_they_are_wanted(catalog: Catalog) -> None:
    entries = [await save_snapshot(catalog, f"key-{number}", 1) for number in range(3)]
    wanted = [entries[2].id, entries[0].id, entries[2].id]

    _, bases = await reserve_snapshot(catalog, bases=wanted)

    assert [base.entry for base in bases] == [entries[2], entries[0]]


@pytest.mark.parametrize("bases", [None, [1]])
async def test_what_is_suspect_is_no_base_and_cannot_be_shared(
    catalog: Catalog, bases: list[int] | None
) -> None:
    entry = await save_snapshot(catalog, "suspect", 10)
    await catalog.entries.suspect_all_unproven(now_ms=NOW)

    upload, found = await reserve_snapshot(catalog, bases=bases)

    assert (entry.id, found) == (1, [])
    with pytest.raises(PackGone):
        await commit_snapshot(catalog, upload, PackName(entry.id, 0))


async def test_held_blobs_are_not_to_be_deleted_until_the_upload_ends(catalog: Catalog) -> None:
    entry = await save_snapshot(catalog, "base", 10)
    upload, _ = await reserve_snapshot(catalog, bases=None)
    await catalog.entries.forget([entry.id], now_ms=NOW, link_ms=0)
    later = NOW + 10**9
    held = await catalog.blobs.doomed(now_ms=later, limit=9)

    await catalog.uploads.void(upload, now_ms=NOW)

    assert held == []
    assert len(await catalog.blobs.doomed(now_ms=later, limit=9)) == 3


async def test_a_held_blob_can_be_read(catalog: Catalog) -> None:
    entry = await save_snapshot(catalog, "base", 10)
    _, (base,) = await reserve_snapshot(catalog, bases=None)
    await catalog.entries.forget([entry.id], now_ms=NOW, link_ms=0)

    found = [await catalog.blobs.get(blob.name) for blob in base.blobs]

    assert [blob.size_bytes if blob else None for blob in found] == [1, 10]
