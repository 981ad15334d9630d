"""Blobs: their parts page by page, their proofs, and their end."""

import asyncio
import itertools
import random
from collections.abc import Iterator
from contextlib import AsyncExitStack

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runcache.catalog.catalog import Catalog
from runcache.catalog.opening import open_catalog
from runcache.errors import BlobMissing
from runcache.locations import CatalogLocation
from runcache.model import Blob, Part, Span
from tests.catalog.facts import (
    FOREVER,
    NOW,
    add_blocks,
    query,
    receive_pack,
    reserve,
    reserve_snapshot,
    save,
)

_numbers = itertools.count()


async def save_blocks(catalog: Catalog, sizes: list[int], *, seed: int = 0) -> str:
    """Save blocks of these sizes, sent in another order, and return the name of the blob."""
    upload = await reserve(catalog, f"key-{next(_numbers)}")
    shuffler = random.Random(seed)
    sent = shuffler.sample(range(len(sizes)), len(sizes))
    ids = await add_blocks(catalog, upload, [sizes[number] for number in sent])
    order = [ids[sent.index(number)] for number in range(len(sizes))]
    await catalog.uploads.order_blocks(upload.blob, order, now_ms=NOW)
    await catalog.uploads.commit(upload, size_bytes=sum(sizes), now_ms=NOW)
    return upload.blob


async def parts_of(catalog: Catalog, blob: str, span: Span) -> list[Part]:
    return [part async for page in catalog.blobs.parts(blob, span) for part in page]


@pytest.fixture(scope="module")
def running(shared_location: CatalogLocation) -> Iterator[tuple[asyncio.Runner, Catalog]]:
    with asyncio.Runner() as runner:
        stack = AsyncExitStack()
        yield runner, runner.run(stack.enter_async_context(open_catalog(shared_location)))
        runner.run(stack.aclose())


def test_a_span_is_answered_with_the_parts_that_hold_its_bytes(
    running: tuple[asyncio.Runner, Catalog], examples: settings
) -> None:
    @examples
    @given(
        sizes=st.lists(st.sampled_from([0, 0, 1, 2, 3]), min_size=1, max_size=12),
        ends=st.tuples(st.integers(0, 36), st.integers(0, 36)),
        seed=st.integers(0, 9),
    )
    def check(sizes: list[int], ends: tuple[int, int], seed: int) -> None:
        runner, catalog = running
        start, end = sorted(min(end, sum(sizes)) for end in ends)
        blob = runner.run(save_blocks(catalog, sizes, seed=seed))

        parts = runner.run(parts_of(catalog, blob, Span(start, end)))

        starts = [sum(sizes[:number]) for number in range(len(sizes))]
        holding = [
            (at, size)
            for at, size in zip(starts, sizes, strict=True)
            if start < end and at < end and at + size > start
        ]
        assert [(part.start, part.size_bytes) for part in parts] == holding

    check()


async def test_committed_blobs_are_found_by_name_and_added_up(catalog: Catalog) -> None:
    assert await catalog.blobs.committed_totals() == (0, 0)
    blobs = [await save_blocks(catalog, sizes) for sizes in ([1, 2], [4])]
    pending = await reserve(catalog, "not-committed")

    found = await catalog.blobs.committed_named(blobs[0])

    assert found is not None
    assert (found.name, found.size_bytes) == (blobs[0], 3)
    assert await catalog.blobs.committed_named(pending.blob) is None
    assert await catalog.blobs.committed_totals() == (2, 7)


async def test_a_blob_of_many_parts_comes_in_pages(catalog: Catalog) -> None:
    sizes = [number % 3 for number in range(600)]
    blob = await save_blocks(catalog, sizes)

    pages = [page async for page in catalog.blobs.parts(blob, Span(0, sum(sizes)))]

    assert len(pages) >= 3
    assert max(map(len, pages)) <= 256
    assert [part.size_bytes for page in pages for part in page if part.size_bytes] == [
        size for size in sizes if size
    ]


async def test_bytes_behind_the_last_part_are_missing(catalog: Catalog) -> None:
    _, blob = await save(catalog, size_bytes=10)

    for name, span in ((blob, Span(0, 11)), (blob, Span(10, 11)), ("f" * 32, Span(0, 1))):
        with pytest.raises(BlobMissing):
            await parts_of(catalog, name, span)
    assert await parts_of(catalog, blob, Span(10, 10)) == []


async def test_only_committed_blobs_can_be_read(catalog: Catalog) -> None:
    upload = await reserve(catalog, "key")
    assert await catalog.blobs.get(upload.blob) is None

    await catalog.uploads.commit(upload, size_bytes=0, now_ms=NOW + 7)

    assert await catalog.blobs.get(upload.blob) == Blob(upload.blob, 0, NOW + 7)
    assert await catalog.blobs.get("f" * 32) is None


async def test_blobs_in_the_making_are_known_too(catalog: Catalog) -> None:
    upload = await reserve(catalog, "making")
    _, saved = await save(catalog, "saved")
    names = [upload.blob, saved, "f" * 32]

    assert await catalog.blobs.known(names) == {upload.blob, saved}


async def test_a_doomed_blob_that_is_held_is_not_to_be_deleted(catalog: Catalog) -> None:
    entry, blob = await save(catalog)
    await catalog.entries.forget([entry.id], now_ms=NOW, link_ms=0)

    await catalog.blobs.hold([blob], until=NOW + 500_000)
    await catalog.blobs.hold([blob, "f" * 32], until=NOW + 400_000)

    assert await catalog.blobs.doomed(now_ms=NOW + 499_999, limit=9) == []
    assert [found.name for found in await catalog.blobs.doomed(now_ms=NOW + 500_000, limit=9)] == [
        blob
    ]


async def test_a_blob_that_was_held_before_it_was_doomed_is_held_still(catalog: Catalog) -> None:
    entry, blob = await save(catalog)

    await catalog.blobs.hold([blob], until=NOW + 500_000)
    await catalog.entries.forget([entry.id], now_ms=NOW, link_ms=0)

    assert await catalog.blobs.doomed(now_ms=NOW + 499_999, limit=9) == []
    assert len(await catalog.blobs.doomed(now_ms=NOW + 500_000, limit=9)) == 1


async def test_removed_blobs_take_their_parts_along_and_only_doomed_ones_are(
    catalog: Catalog, location: CatalogLocation
) -> None:
    gone, gone_blob = await save(catalog, "gone", size_bytes=30)
    _, kept_blob = await save(catalog, "kept")
    await catalog.entries.forget([gone.id], now_ms=NOW, link_ms=0)
    ids = [int(str(row[0])) for row in query(location, "SELECT id FROM blobs")]
    doomed_bytes = await catalog.blobs.doomed_bytes()

    await catalog.blobs.remove(ids)

    assert await catalog.blobs.known([gone_blob, kept_blob]) == {kept_blob}
    assert query(location, "SELECT count(*) FROM parts") == [(1,)]
    assert (doomed_bytes, await catalog.blobs.doomed_bytes()) == (30, 0)


async def test_doomed_blobs_are_listed_in_pages(catalog: Catalog) -> None:
    ids = [(await save(catalog, f"key-{number}"))[0].id for number in range(5)]
    await catalog.entries.forget(ids, now_ms=NOW, link_ms=0)

    first = await catalog.blobs.doomed(now_ms=FOREVER, limit=2)
    rest = await catalog.blobs.doomed(now_ms=FOREVER, after_id=first[-1].id, limit=9)

    assert len({blob.name for blob in (*first, *rest)}) == 5


async def test_what_is_committed_is_unsettled_until_its_proof(catalog: Catalog) -> None:
    await reserve(catalog, "making")
    _, blob = await save(catalog, "saved")
    entry, _ = await save(catalog, "gone")
    await catalog.entries.forget([entry.id], now_ms=NOW, link_ms=0)

    (unsettled,) = await catalog.blobs.unsettled(limit=9)
    await catalog.blobs.record_digest(unsettled.id, b"d" * 32)
    (hashed,) = await catalog.blobs.unsettled(limit=9)
    await catalog.blobs.record_durable(unsettled.id, now_ms=NOW)

    assert (unsettled.name, unsettled.size_bytes, unsettled.sha256) == (blob, 10, None)
    assert hashed.sha256 == b"d" * 32
    assert await catalog.blobs.unsettled(limit=9) == []
    (committed,) = await catalog.blobs.committed(limit=9)
    assert (committed.name, committed.sha256) == (blob, b"d" * 32)


async def test_the_entries_of_a_blob_are_named(catalog: Catalog) -> None:
    _, blob = await save(catalog, "one")
    await save(catalog, "two")

    assert await catalog.blobs.holders(blob) == ["octo/hello refs/heads/main one"]
    assert await catalog.blobs.holders("f" * 32) == []


async def test_committed_blobs_are_walked_over_in_pages(catalog: Catalog) -> None:
    await reserve(catalog, "making")
    gone, _ = await save(catalog, "gone")
    await catalog.entries.forget([gone.id], now_ms=NOW, link_ms=0)
    blobs = [(await save(catalog, f"key-{number}"))[1] for number in range(5)]

    first = await catalog.blobs.committed(limit=2)
    rest = await catalog.blobs.committed(after_id=first[-1].id, limit=9)

    assert [blob.name for blob in (*first, *rest)] == blobs


async def test_blobs_of_uploads_are_walked_over_in_pages(catalog: Catalog) -> None:
    await save(catalog, "saved")
    voided = await reserve(catalog, "void")
    await catalog.uploads.void(voided, now_ms=NOW)
    upload, _ = await reserve_snapshot(catalog, "snapshot")
    for number in range(2):
        await receive_pack(catalog, upload, number, 1)

    first = await catalog.blobs.in_the_making(limit=1)
    rest = await catalog.blobs.in_the_making(after_id=first[0][0], limit=9)

    assert [name for _, name in first] == [upload.blob]
    assert len(rest) == 2


async def test_parts_are_found_by_the_names_of_their_blobs(catalog: Catalog) -> None:
    names = [(await save(catalog, f"key-{number}", size_bytes=number))[1] for number in range(3)]

    parts = await catalog.blobs.parts_by_name([*names[1:], "f" * 32])

    sizes = {name: [part.size_bytes for part in found] for name, found in parts.items()}
    assert sizes == {names[1]: [1], names[2]: [2], "f" * 32: []}
