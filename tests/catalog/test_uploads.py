"""Uploads: who gets a key, what becomes of blocks, and when an entry comes to be."""

import asyncio
import itertools

import pytest
from msgspec.structs import replace

from runcache.catalog.catalog import Catalog
from runcache.catalog.parts import NewPart
from runcache.errors import (
    EntryExists,
    InvalidBlockList,
    SizeMismatch,
    UploadGone,
    UploadTooLarge,
)
from runcache.locations import CatalogLocation
from runcache.model import MAX_BLOCKS, Part, Span, Upload
from tests.catalog.facts import (
    FOREVER,
    MAIN,
    NOW,
    REPOSITORY,
    VERSION,
    add_blocks,
    part,
    query,
    reserve,
    save,
)


async def parts_of(catalog: Catalog, upload: Upload, size_bytes: int) -> list[Part]:
    pages = [page async for page in catalog.blobs.parts(upload.blob, Span(0, size_bytes))]
    return list(itertools.chain(*pages))


async def test_another_job_cannot_have_a_reserved_key(catalog: Catalog) -> None:
    await reserve(catalog, "key")

    with pytest.raises(EntryExists) as refused:
        await reserve(catalog, "key")

    assert (refused.value.key, refused.value.scope) == ("key", MAIN)
    assert "already exists" in str(refused.value)


@pytest.mark.parametrize(
    "elsewhere",
    [{"scope": "refs/heads/x"}, {"version": "v2"}, {"repository": "octo/other"}, {"key": "KEY"}],
)
async def test_the_same_key_elsewhere_is_another(
    catalog: Catalog, elsewhere: dict[str, str]
) -> None:
    place = {"key": "key", "repository": REPOSITORY, "scope": MAIN, "version": VERSION}
    await save(catalog, **place)  # type: ignore[arg-type]  # all of them are texts

    entry, _ = await save(catalog, **{**place, **elsewhere})  # type: ignore[arg-type]  # as above

    assert entry.id > 1


async def test_the_same_job_may_reserve_again_and_its_older_upload_is_void(
    catalog: Catalog,
) -> None:
    older = await reserve(catalog, job="job")

    newer = await reserve(catalog, job="job")

    assert newer.id > older.id
    assert newer.blob != older.blob
    with pytest.raises(UploadGone):
        await catalog.uploads.of_blob(older.blob, now_ms=NOW)
    with pytest.raises(UploadGone):
        await catalog.uploads.add_block(older.blob, part(1, "A"), limit_bytes=None, now_ms=NOW)
    assert [doomed.name for doomed in await catalog.blobs.doomed(now_ms=NOW, limit=9)] == [
        older.blob
    ]


async def test_an_upload_that_expired_gives_its_key_to_anybody(catalog: Catalog) -> None:
    expired = await reserve(catalog, expires_at=NOW + 10)

    with pytest.raises(EntryExists):
        await reserve(catalog, now_ms=NOW + 9)
    newer = await reserve(catalog, now_ms=NOW + 10)

    assert newer.id > expired.id
    with pytest.raises(UploadGone):
        await catalog.uploads.get(expired.id, now_ms=NOW)


async def test_an_upload_that_expired_is_gone_for_its_own_job_too(catalog: Catalog) -> None:
    upload = await reserve(catalog, expires_at=NOW + 10)
    await catalog.uploads.set_whole(upload.blob, part(1), limit_bytes=None, now_ms=NOW)

    assert await catalog.uploads.of_key(REPOSITORY, MAIN, "key", VERSION, now_ms=NOW + 10) is None
    with pytest.raises(UploadGone):
        await catalog.uploads.commit(upload, size_bytes=1, now_ms=NOW + 10)
    with pytest.raises(UploadGone):
        await catalog.uploads.set_whole(upload.blob, part(1), limit_bytes=None, now_ms=NOW + 10)
    with pytest.raises(UploadGone):
        await catalog.uploads.order_blocks(upload.blob, [], now_ms=NOW + 10)


async def test_a_saved_key_cannot_be_reserved(catalog: Catalog) -> None:
    entry, _ = await save(catalog, "key")

    with pytest.raises(EntryExists):
        await reserve(catalog, "key")

    await catalog.entries.forget([entry.id], now_ms=NOW, link_ms=0)
    assert (await reserve(catalog, "key")).id > entry.id


async def test_the_database_itself_refuses_a_second_entry(
    catalog: Catalog, location: CatalogLocation
) -> None:
    # An upload that slipped past every look at what is saved.
    _, _ = await save(catalog, "key")
    upload = await reserve(catalog, "other")
    await catalog.uploads.set_whole(upload.blob, part(3), limit_bytes=None, now_ms=NOW)
    query(location, "UPDATE uploads SET key = 'key'")

    with pytest.raises(EntryExists):
        await catalog.uploads.commit(replace(upload, key="key"), size_bytes=3, now_ms=NOW)

    usage = await catalog.repositories.usage(REPOSITORY)
    assert (usage.entry_count, usage.size_bytes) == (1, 10)
    assert await catalog.repositories.miscounted(repair=False) == []
    # All of it was undone, so the upload is still there.
    assert (await catalog.uploads.get(upload.id, now_ms=NOW)).blob == upload.blob


async def test_an_entry_has_the_id_of_its_upload_and_no_id_is_given_twice(
    catalog: Catalog,
) -> None:
    upload = await reserve(catalog, "one")
    await catalog.uploads.set_whole(upload.blob, part(3), limit_bytes=None, now_ms=NOW)

    entry = await catalog.uploads.commit(upload, size_bytes=3, now_ms=NOW + 5)

    assert entry.id == upload.id
    assert (entry.created_at, entry.last_accessed_at, entry.size_bytes) == (NOW + 5, NOW + 5, 3)
    await catalog.entries.forget([entry.id], now_ms=NOW, link_ms=0)
    assert (await reserve(catalog, "two")).id > entry.id


async def test_a_commit_can_happen_once(catalog: Catalog) -> None:
    upload = await reserve(catalog)
    await catalog.uploads.set_whole(upload.blob, part(3), limit_bytes=None, now_ms=NOW)

    outcomes = await asyncio.gather(
        *(catalog.uploads.commit(upload, size_bytes=3, now_ms=NOW) for _ in range(5)),
        return_exceptions=True,
    )

    assert sum(isinstance(outcome, UploadGone) for outcome in outcomes) == 4


@pytest.mark.parametrize("announced", [0, 9, 11])
async def test_a_commit_of_another_size_fails_and_the_upload_goes_on(
    catalog: Catalog, announced: int
) -> None:
    upload = await reserve(catalog)
    await catalog.uploads.set_whole(upload.blob, part(10), limit_bytes=None, now_ms=NOW)

    with pytest.raises(SizeMismatch) as refused:
        await catalog.uploads.commit(upload, size_bytes=announced, now_ms=NOW)

    assert (refused.value.announced_bytes, refused.value.received_bytes) == (announced, 10)
    entry = await catalog.uploads.commit(upload, size_bytes=10, now_ms=NOW)
    assert entry.size_bytes == 10


async def test_blocks_that_were_not_ordered_are_not_part_of_an_entry(catalog: Catalog) -> None:
    upload = await reserve(catalog)
    await add_blocks(catalog, upload, [10, 20])

    with pytest.raises(SizeMismatch):
        await catalog.uploads.commit(upload, size_bytes=30, now_ms=NOW)


async def test_an_upload_without_a_byte_is_an_entry_without_a_byte(catalog: Catalog) -> None:
    upload = await reserve(catalog)

    entry = await catalog.uploads.commit(upload, size_bytes=0, now_ms=NOW)

    assert entry.size_bytes == 0
    assert await parts_of(catalog, upload, 0) == []


async def test_blocks_make_the_blob_in_the_order_of_the_list(catalog: Catalog) -> None:
    upload = await reserve(catalog)
    sent = {block_id: part(size, block_id) for block_id, size in (("A", 1), ("B", 20), ("C", 3))}
    for block in sent.values():
        await catalog.uploads.add_block(upload.blob, block, limit_bytes=None, now_ms=NOW)

    dropped = await catalog.uploads.order_blocks(upload.blob, ["C", "A"], now_ms=NOW)
    await catalog.uploads.commit(upload, size_bytes=4, now_ms=NOW)

    assert dropped == [sent["B"].name]
    assert await parts_of(catalog, upload, 4) == [
        Part(sent["C"].name, 0, 3),
        Part(sent["A"].name, 3, 1),
    ]
    assert await catalog.blobs.part_names(upload.blob) == {sent["A"].name, sent["C"].name}


async def test_a_block_with_the_same_id_replaces_the_first(catalog: Catalog) -> None:
    upload = await reserve(catalog)
    first, second = part(10, "A"), part(4, "A")

    replaced = [
        await catalog.uploads.add_block(upload.blob, block, limit_bytes=12, now_ms=NOW)
        for block in (first, second)
    ]
    await catalog.uploads.order_blocks(upload.blob, ["A"], now_ms=NOW)

    assert replaced == [None, first.name]
    assert await parts_of(catalog, upload, 4) == [Part(second.name, 0, 4)]


async def test_a_whole_body_replaces_what_was_there(catalog: Catalog) -> None:
    upload = await reserve(catalog)
    blocks = [part(5, "A"), part(6, "B")]
    for block in blocks:
        await catalog.uploads.add_block(upload.blob, block, limit_bytes=None, now_ms=NOW)
    whole = part(7)

    replaced = await catalog.uploads.set_whole(upload.blob, whole, limit_bytes=None, now_ms=NOW)

    assert sorted(replaced) == sorted(block.name for block in blocks)
    assert await parts_of(catalog, upload, 7) == [Part(whole.name, 0, 7)]


async def test_a_list_with_an_unknown_block_changes_nothing(catalog: Catalog) -> None:
    upload = await reserve(catalog)
    ids = await add_blocks(catalog, upload, [1, 2])

    with pytest.raises(InvalidBlockList):
        await catalog.uploads.order_blocks(upload.blob, [*ids, "never sent"], now_ms=NOW)

    assert sorted(await catalog.uploads.block_ids(upload.blob)) == ids
    assert await catalog.uploads.order_blocks(upload.blob, ids, now_ms=NOW) == []


async def test_an_upload_takes_as_many_blocks_as_the_protocol_allows(
    catalog: Catalog, location: CatalogLocation
) -> None:
    upload = await reserve(catalog)
    query(location, "UPDATE uploads SET block_count = ?", MAX_BLOCKS - 1)

    async def add(block: NewPart) -> None:
        await catalog.uploads.add_block(upload.blob, block, limit_bytes=None, now_ms=NOW)

    await add(part(1, "last"))
    with pytest.raises(InvalidBlockList, match="50000"):
        await add(part(1, "one too many"))
    await add(part(2, "last"))


async def test_the_limit_counts_all_blocks_and_a_replaced_one_once(catalog: Catalog) -> None:
    upload = await reserve(catalog)

    async def add(block: NewPart) -> None:
        await catalog.uploads.add_block(upload.blob, block, limit_bytes=10, now_ms=NOW)

    await add(part(6, "A"))
    await add(part(4, "B"))
    await add(part(6, "A"))
    with pytest.raises(UploadTooLarge):
        await add(part(1, "C"))
    with pytest.raises(UploadTooLarge):
        await catalog.uploads.set_whole(upload.blob, part(11), limit_bytes=10, now_ms=NOW)

    assert sorted(await catalog.uploads.block_ids(upload.blob)) == ["A", "B"]


async def test_fifty_thousand_blocks_are_ordered_committed_and_read(
    catalog: Catalog, location: CatalogLocation
) -> None:
    upload = await reserve(catalog)
    (blob_id,) = query(location, "SELECT id FROM blobs")[0]
    query(
        location,
        "WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 49999)"
        " INSERT INTO parts (blob_id, block_id, name, size_bytes)"
        " SELECT ?, substr(CAST(100000 + i AS text), 2), 'part ' || i, 7 FROM n",
        blob_id,
    )
    ids = [f"{number:05}" for number in reversed(range(MAX_BLOCKS))]

    async with asyncio.timeout(30):
        await catalog.uploads.order_blocks(upload.blob, ids, now_ms=NOW)
        entry = await catalog.uploads.commit(upload, size_bytes=7 * MAX_BLOCKS, now_ms=NOW)
        parts = await parts_of(catalog, upload, entry.size_bytes)

    assert [part.start for part in parts] == [7 * number for number in range(MAX_BLOCKS)]
    assert parts[0].name == f"part {MAX_BLOCKS - 1}"


async def test_a_void_upload_frees_its_key_and_dooms_its_bytes(catalog: Catalog) -> None:
    upload = await reserve(catalog)

    await catalog.uploads.void(upload, now_ms=NOW)
    await catalog.uploads.void(upload, now_ms=NOW)

    await reserve(catalog)
    doomed = await catalog.blobs.doomed(now_ms=NOW, limit=9)
    assert [blob.name for blob in doomed] == [upload.blob]


async def test_what_was_committed_cannot_be_voided(catalog: Catalog) -> None:
    upload = await reserve(catalog)
    entry = await catalog.uploads.commit(upload, size_bytes=0, now_ms=NOW)

    await catalog.uploads.void(upload, now_ms=NOW)

    assert await catalog.entries.get(entry.id) is not None
    assert await catalog.blobs.doomed(now_ms=FOREVER, limit=9) == []


async def test_expired_uploads_are_listed_in_pages(catalog: Catalog) -> None:
    uploads = [
        await reserve(catalog, f"key-{number}", expires_at=NOW + number) for number in range(5)
    ]

    first = await catalog.uploads.expired(now_ms=NOW + 3, limit=3)
    rest = await catalog.uploads.expired(now_ms=NOW + 3, after_id=first[-1].id, limit=3)

    assert [*first, *rest] == uploads[:4]
    assert await catalog.uploads.after(uploads[2].id) == uploads[3:]


async def test_a_block_that_comes_again_after_the_list_keeps_its_place(catalog: Catalog) -> None:
    # A request that its client gave up may be worked off late.
    upload = await reserve(catalog)
    ids = await add_blocks(catalog, upload, [10, 10])
    await catalog.uploads.order_blocks(upload.blob, ids, now_ms=NOW)
    again = part(10, ids[0])

    await catalog.uploads.add_block(upload.blob, again, limit_bytes=None, now_ms=NOW)

    await catalog.uploads.commit(upload, size_bytes=20, now_ms=NOW)
    parts = await parts_of(catalog, upload, 20)
    assert parts[0] == Part(again.name, 0, 10)
    assert [found.start for found in parts] == [0, 10]


async def test_a_block_of_another_size_after_the_list_must_be_listed_again(
    catalog: Catalog,
) -> None:
    upload = await reserve(catalog)
    ids = await add_blocks(catalog, upload, [10, 10])
    await catalog.uploads.order_blocks(upload.blob, ids, now_ms=NOW)
    await catalog.uploads.add_block(upload.blob, part(4, ids[0]), limit_bytes=None, now_ms=NOW)

    # What is still in order has this size, but begins at byte 10.
    with pytest.raises(InvalidBlockList):
        await catalog.uploads.commit(upload, size_bytes=10, now_ms=NOW)
    with pytest.raises(SizeMismatch):
        await catalog.uploads.commit(upload, size_bytes=14, now_ms=NOW)

    await catalog.uploads.order_blocks(upload.blob, ids, now_ms=NOW)
    assert (await catalog.uploads.commit(upload, size_bytes=14, now_ms=NOW)).size_bytes == 14
