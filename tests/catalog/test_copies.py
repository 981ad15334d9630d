"""Copies: which blobs get one, and how it takes their place."""

from typing import Final

from runcache.catalog.blobs import CommittedBlob
from runcache.catalog.catalog import Catalog
from runcache.catalog.references import GRACE_MS
from runcache.model import Part, Span
from tests.catalog.facts import FOREVER, NOW, REPOSITORY, add_blocks, reserve, save

UNTIL: Final = NOW + 10 * GRACE_MS
LINKS_UNTIL: Final = NOW + 1_000
COPY: Final = "c" * 32
PART: Final = "a" * 16


async def save_blocks(catalog: Catalog, key: str, *sizes: int) -> int:
    upload = await reserve(catalog, key)
    ids = await add_blocks(catalog, upload, sizes)
    await catalog.uploads.order_blocks(upload.blob, ids, now_ms=NOW)
    entry = await catalog.uploads.commit(upload, size_bytes=sum(sizes), now_ms=NOW)
    return entry.id


async def settle(catalog: Catalog) -> None:
    for blob in await catalog.blobs.unsettled(limit=99):
        await catalog.blobs.record_digest(blob.id, b"d" * 32)
        await catalog.blobs.record_durable(blob.id, now_ms=NOW)


async def source(catalog: Catalog, *sizes: int) -> CommittedBlob:
    """Save a blob of several parts, which is proven, and promise a copy of it."""
    await save_blocks(catalog, "key", *sizes)
    await settle(catalog)
    (blob,) = await catalog.copies.composable(limit=9)
    await catalog.copies.make(blob, COPY, until=UNTIL, now_ms=NOW)
    return blob


async def swap(catalog: Catalog, blob: CommittedBlob, now_ms: int = NOW) -> bool:
    return await catalog.copies.swap(blob, COPY, PART, links_until=LINKS_UNTIL, now_ms=now_ms)


async def test_proven_blobs_of_several_parts_get_one(catalog: Catalog) -> None:
    await save(catalog, "whole")
    await save_blocks(catalog, "one block", 7)
    first = await save_blocks(catalog, "first", 3, 4)
    second = await save_blocks(catalog, "second", 3, 4, 5)
    gone = await save_blocks(catalog, "gone", 3, 4)
    unproven = await catalog.copies.composable(limit=9)
    await settle(catalog)
    await catalog.entries.forget([gone], now_ms=NOW, link_ms=0)

    pages = [await catalog.copies.composable(limit=1)]
    while pages[-1]:
        pages.append(await catalog.copies.composable(after_id=pages[-1][-1].id, limit=1))

    names = [
        found.blobs[0].name
        for entry_id in (first, second)
        if (found := await catalog.entries.contents(entry_id))
    ]
    assert unproven == []
    assert [blob.name for page in pages for blob in page] == names


async def test_a_swap_changes_where_the_bytes_are_and_nothing_else(catalog: Catalog) -> None:
    blob = await source(catalog, 3, 4)
    usage = await catalog.repositories.usage(REPOSITORY)

    is_swapped = await swap(catalog, blob)

    (copy,) = await catalog.blobs.committed(limit=9)
    assert is_swapped
    assert (copy.name, copy.size_bytes, copy.sha256) == (COPY, 7, b"d" * 32)
    parts = [part async for page in catalog.blobs.parts(COPY, Span(0, 7)) for part in page]
    assert parts == [Part(PART, 0, 7)]
    assert await catalog.repositories.usage(REPOSITORY) == usage
    assert await catalog.repositories.miscounted(repair=False) == []
    assert await catalog.copies.composable(limit=9) == []
    assert await catalog.blobs.unsettled(limit=9) == []
    assert await catalog.blobs.doomed(now_ms=LINKS_UNTIL - 1, limit=9) == []
    (former,) = await catalog.blobs.doomed(now_ms=LINKS_UNTIL, limit=9)
    assert former.name == blob.name


async def test_a_lease_of_a_reader_reaches_beyond_the_links(catalog: Catalog) -> None:
    blob = await source(catalog, 3, 4)
    await catalog.blobs.hold([blob.name], until=FOREVER)

    await swap(catalog, blob)

    assert await catalog.blobs.doomed(now_ms=UNTIL, limit=9) == []


async def test_nothing_is_swapped_twice_or_for_an_entry_that_is_gone(catalog: Catalog) -> None:
    blob = await source(catalog, 3, 4)
    first = await swap(catalog, blob)
    second = await swap(catalog, blob)
    (copy,) = await catalog.blobs.committed(limit=9)
    (entry,) = await catalog.entries.newest(REPOSITORY, ["refs/heads/main"], "", limit=9)
    await catalog.entries.forget([entry.id], now_ms=NOW, link_ms=0)

    assert (first, second) == (True, False)
    assert not await swap(catalog, copy)


async def test_a_copy_that_has_ended_or_was_given_up_is_not_taken(catalog: Catalog) -> None:
    blob = await source(catalog, 3, 4)

    late = await swap(catalog, blob, now_ms=UNTIL - GRACE_MS)
    await catalog.copies.give_up(COPY, now_ms=NOW)
    given_up = await swap(catalog, blob)

    assert not late
    assert not given_up
    assert [gone.name for gone in await catalog.blobs.doomed(now_ms=NOW, limit=9)] == [COPY]
