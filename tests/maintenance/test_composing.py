"""Blobs of several parts become one object, and nobody notices."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing
from datetime import timedelta
from pathlib import Path
from typing import Final

import pytest

from runcache.catalog.references import GRACE_MS
from runcache.errors import BlobMissing
from runcache.maintenance.composing import AGAIN_AFTER, WITHIN
from runcache.model import Blob, Span
from runcache.service import UploadLimits
from runcache.testing.blob_store_suite import bytes_of
from tests.folder_direct import FolderDirect
from tests.in_process import Cache, Clock, open_cache
from tests.maintenance.acts import LINK_TTL, access

BLOCKS: Final = (b"one ", b"two ", b"three")
WHOLE: Final = b"one two three"


class Halting(FolderDirect):
    """A store that stands still while it composes, until it may go on."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.is_at_it = asyncio.Event()
        self.may_go_on = asyncio.Event()

    async def compose(self, *arguments: object, **named: object) -> bool:
        self.is_at_it.set()
        await self.may_go_on.wait()
        return await super().compose(*arguments, **named)  # type: ignore[arg-type]


@pytest.fixture
def store(tmp_path: Path) -> FolderDirect:
    return FolderDirect(tmp_path / "blobs")


@pytest.fixture
async def cache(tmp_path: Path, clock: Clock, store: FolderDirect) -> AsyncIterator[Cache]:
    async with open_cache(tmp_path, clock=clock, direct=store) as cache:
        yield cache


async def blob_of(cache: Cache, key: str = "key") -> Blob:
    return await cache.service.blob(await access(cache, key))


async def composed(cache: Cache) -> int:
    report = await cache.maintenance.compose()
    assert report is not None
    return report.blob_count


class TestSwap:
    """What is the same, and what is not."""

    async def test_an_entry_in_blocks_is_one_object_afterwards(self, cache: Cache) -> None:
        entry = await cache.save_blocks("key", BLOCKS)
        before = await blob_of(cache)
        usage = await cache.service.usage("octo/hello")
        unproven = await composed(cache)
        await cache.maintenance.settle()

        proven = await composed(cache)

        after = await blob_of(cache)
        assert (unproven, proven, await composed(cache)) == (0, 1, 0)
        assert before.whole is None
        assert after.whole is not None
        assert after.name != before.name
        assert (after.size_bytes, after.created_at) == (before.size_bytes, before.created_at)
        assert await cache.content("key") == WHOLE
        assert await cache.catalog.entries.get(entry.id) is not None
        assert await cache.service.usage("octo/hello") == usage

    async def test_its_digest_and_its_proof_are_those_of_the_blocks(self, cache: Cache) -> None:
        await cache.save_blocks("key", BLOCKS)
        await cache.maintenance.settle()
        (before,) = await cache.catalog.blobs.committed(limit=9)

        await composed(cache)

        (after,) = await cache.catalog.blobs.committed(limit=9)
        assert after.sha256 == before.sha256 is not None
        assert await cache.catalog.blobs.unsettled(limit=9) == []
        assert (await cache.maintenance.check(read_data=True)).problems == []

    async def test_links_to_the_blocks_work_as_long_as_links_do_and_then_they_are_gone(
        self, cache: Cache, clock: Clock
    ) -> None:
        await cache.save_blocks("key", BLOCKS)
        await cache.maintenance.settle()
        # Nobody has looked for it for long: only who asked right before the swap has a link.
        clock.advance(timedelta(days=6))
        hit = await cache.find("key")
        assert hit is not None
        await composed(cache)
        clock.advance(LINK_TTL)
        await cache.maintenance.prune()

        assert await cache.read(hit.blob) == WHOLE

        clock.advance(timedelta(milliseconds=GRACE_MS + 1))
        await cache.maintenance.prune()
        with pytest.raises(BlobMissing):
            await cache.service.blob(hit.blob)
        assert [len(parts) for parts in cache.files().values()] == [1]
        assert await cache.content("key") == WHOLE

    async def test_who_reads_the_blocks_reads_them_to_their_end(
        self, cache: Cache, clock: Clock
    ) -> None:
        await cache.save_blocks("key", BLOCKS)
        await cache.maintenance.settle()
        blob = await blob_of(cache)
        read = bytearray()

        async with aclosing(cache.service.read(blob, Span(0, blob.size_bytes))) as pieces:
            async for piece in pieces:
                read += await asyncio.to_thread(bytes_of, piece)
                await composed(cache)
                for _ in range(3):
                    await cache.maintenance.keep(
                        cache.service.blobs_being_read(), lease=2 * LINK_TTL
                    )
                    clock.advance(LINK_TTL)
                    await cache.maintenance.prune()

        assert read == WHOLE

    async def test_a_download_over_an_old_link_is_a_restore_of_the_entry(
        self, cache: Cache
    ) -> None:
        entry = await cache.save_blocks("key", BLOCKS)
        await cache.maintenance.settle()
        old = await access(cache, "key")
        await composed(cache)

        await cache.read(old)
        await cache.read(await access(cache, "key"))

        await cache.records.write()
        events = await cache.records.events(None, entry_id=entry.id, limit=9)
        assert [event.kind.value for event in events].count("restored") == 2

    async def test_what_is_one_object_already_stays_as_it_is(self, cache: Cache) -> None:
        await cache.save("one", b"data")
        await cache.save_snapshot("snapshot", b"pack")
        await cache.maintenance.settle()

        assert await composed(cache) == 0

    async def test_empty_blocks_do_not_matter(self, cache: Cache) -> None:
        await cache.save_blocks("key", [b"", b"data", b""])
        await cache.maintenance.settle()

        await composed(cache)

        assert await cache.content("key") == b"data"
        assert (await blob_of(cache)).whole is not None

    async def test_a_store_in_a_folder_composes_nothing(self, tmp_path: Path, clock: Clock) -> None:
        async with open_cache(tmp_path, clock=clock) as cache:
            await cache.save_blocks("key", BLOCKS)
            await cache.maintenance.settle()

            assert await cache.maintenance.compose() is None
            assert await cache.content("key") == WHOLE


class TestInBetween:
    """What others do while the store is at it."""

    async def test_readers_are_served_at_every_moment(self, tmp_path: Path, clock: Clock) -> None:
        store = Halting(tmp_path / "blobs")
        async with (
            open_cache(tmp_path, clock=clock, direct=store) as cache,
            open_cache(tmp_path, clock=clock) as other,
        ):
            await cache.save_blocks("key", BLOCKS)
            await cache.maintenance.settle()
            composing = asyncio.create_task(composed(cache))
            await store.is_at_it.wait()
            contents = [await cache.content("key"), await other.content("key")]
            store.may_go_on.set()
            while not composing.done():
                contents.append(await other.content("key"))
            contents.append(await cache.content("key"))

            assert await composing == 1
            assert set(contents) == {WHOLE}

    async def test_one_replica_does_it_at_a_time(self, tmp_path: Path, clock: Clock) -> None:
        store = Halting(tmp_path / "blobs")
        async with (
            open_cache(tmp_path, clock=clock, direct=store) as cache,
            open_cache(tmp_path, clock=clock, direct=store) as other,
        ):
            await cache.save_blocks("key", BLOCKS)
            await cache.maintenance.settle()
            composing = asyncio.create_task(composed(cache))
            await store.is_at_it.wait()

            assert await other.maintenance.compose() is None

            store.may_go_on.set()
            await composing

    async def test_of_two_that_do_it_all_the_same_one_swaps(
        self, tmp_path: Path, clock: Clock
    ) -> None:
        # As after a lease that was lost: the second one looked before the first one was done.
        store = Halting(tmp_path / "blobs")
        async with open_cache(tmp_path, clock=clock, direct=store) as cache:
            await cache.save_blocks("key", BLOCKS)
            await cache.maintenance.settle()
            (blob,) = await cache.catalog.copies.composable(limit=9)
            copies = ["1" * 32, "2" * 32]
            soon, now = clock() + 10 * GRACE_MS, clock()
            for copy in copies:
                await cache.catalog.copies.make(blob, copy, until=soon, now_ms=now)

            swapped = [
                await cache.catalog.copies.swap(blob, copy, "3" * 16, links_until=0, now_ms=now)
                for copy in copies
            ]

            assert swapped == [True, False]
            hit = await cache.find("key")
            assert hit is None or hit.blob == copies[0]

    async def test_an_entry_that_goes_meanwhile_goes(self, tmp_path: Path, clock: Clock) -> None:
        store = Halting(tmp_path / "blobs")
        async with open_cache(tmp_path, clock=clock, direct=store) as cache:
            entry = await cache.save_blocks("key", BLOCKS)
            await cache.maintenance.settle()
            composing = asyncio.create_task(composed(cache))
            await store.is_at_it.wait()
            await cache.catalog.entries.forget([entry.id], now_ms=clock(), link_ms=0)
            store.may_go_on.set()

            assert await composing == 0
            clock.advance(timedelta(hours=1))
            await cache.maintenance.prune()
            assert cache.files() == {}
            assert (await cache.service.usage("octo/hello")).size_bytes == 0

    async def test_a_copy_that_took_too_long_is_not_taken(
        self, tmp_path: Path, clock: Clock
    ) -> None:
        store = Halting(tmp_path / "blobs")
        async with open_cache(tmp_path, clock=clock, direct=store) as cache:
            await cache.save_blocks("key", BLOCKS)
            await cache.maintenance.settle()
            composing = asyncio.create_task(composed(cache))
            await store.is_at_it.wait()
            clock.advance(WITHIN)
            store.may_go_on.set()

            assert await composing == 0
            await cache.maintenance.prune()
            assert [len(parts) for parts in cache.files().values()] == [3]
            assert await cache.content("key") == WHOLE


class TestFailures:
    """What is left of a copy that failed."""

    async def test_it_is_told_and_tried_again_after_a_while_and_the_others_are_composed(
        self, cache: Cache, store: FolderDirect, clock: Clock
    ) -> None:
        await cache.save_blocks("key", BLOCKS)
        await cache.maintenance.settle()
        store.is_away = True
        failed = await cache.maintenance.compose()
        store.is_away = False
        await cache.save_blocks("other", BLOCKS)
        await cache.maintenance.settle()

        at_once = await composed(cache)
        clock.advance(AGAIN_AFTER)
        later = await composed(cache)

        assert failed is not None
        assert list(failed.failures.values()) == ["the store is away"]
        assert (at_once, later) == (1, 1)
        assert await cache.content("key") == await cache.content("other") == WHOLE

    async def test_a_copy_of_another_size_is_not_taken(self, tmp_path: Path, clock: Clock) -> None:
        class Torn(FolderDirect):
            async def compose(self, *arguments: object, **named: object) -> bool:
                blob, parts = arguments
                return await super().compose(blob, parts[:1], **named)  # type: ignore[arg-type,index]

        async with open_cache(
            tmp_path,
            clock=clock,
            direct=Torn(tmp_path / "blobs"),
            upload_limits=UploadLimits(min_free_bytes=0),
        ) as cache:
            await cache.save_blocks("key", BLOCKS)
            await cache.maintenance.settle()

            assert await composed(cache) == 0
            assert await cache.content("key") == WHOLE
            await cache.maintenance.prune()
            assert [len(parts) for parts in cache.files().values()] == [3]
