"""Which bytes go, and which stay."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing
from datetime import timedelta

import pytest

from runcache.catalog.references import GRACE_MS
from runcache.errors import UploadGone
from runcache.model import Span
from runcache.server.background import LEASE, LEASE_EVERY_SECONDS
from runcache.store import layout
from runcache.testing.blob_store_suite import bytes_of
from tests.in_process import VERSION, Cache, Clock
from tests.maintenance.acts import DAY, LINK_TTL, access, leave_behind


class TestPrune:
    """Which bytes go."""

    async def test_those_of_an_evicted_entry_do_when_its_links_have_ended(
        self, cache: Cache, clock: Clock
    ) -> None:
        await cache.save("key", b"data")
        clock.advance(timedelta(minutes=30))
        blob = await access(cache, "key")
        await cache.catalog.entries.forget([1], now_ms=clock(), link_ms=3_600_000)
        clock.advance(LINK_TTL - timedelta(milliseconds=1))

        early = await cache.maintenance.prune()
        data = await cache.read(blob)
        # Whoever began to read in the last moment has a while to say so.
        clock.advance(timedelta(milliseconds=GRACE_MS + 1))
        foreseen = await cache.maintenance.prune(dry_run=True)
        late = await cache.maintenance.prune()

        assert (early.blob_count, data) == (0, b"data")
        assert (late.blob_count, late.size_bytes) == (1, 4)
        assert foreseen == late
        assert cache.files() == {}
        assert (await cache.maintenance.prune()).blob_count == 0

    async def test_those_of_an_expired_upload_do(self, cache: Cache, clock: Clock) -> None:
        upload = await cache.reserve("expired")
        await cache.write_blocks(upload, [("A", b"one"), ("B", b"two")])
        clock.advance(timedelta(hours=23))
        going_on = await cache.reserve("going on")
        await cache.write_blocks(going_on, [("A", b"one")])
        clock.advance(timedelta(hours=1))

        foreseen = await cache.maintenance.prune(dry_run=True)
        report = await cache.maintenance.prune()

        assert foreseen.expired_upload_count == report.expired_upload_count == 1
        assert set(cache.files()) == {going_on.blob}
        with pytest.raises(UploadGone):
            await cache.service.order_blocks(upload.blob, ["A", "B"])
        await cache.service.order_blocks(going_on.blob, ["A"])

    async def test_those_that_no_row_names_do(self, cache: Cache) -> None:
        await cache.save("key", b"data")
        orphan = layout.new_blob_name()
        async with cache.store.receive(orphan, layout.new_part_name()) as part:
            await part.write(b"left behind")
            await part.hand_over()

        foreseen = await cache.maintenance.prune(dry_run=True)
        is_there = orphan in cache.files()
        report = await cache.maintenance.prune()

        assert (foreseen.orphan_count, is_there, report.orphan_count) == (1, True, 1)
        assert orphan not in cache.files()
        assert await cache.content("key") == b"data"

    async def test_those_that_a_killed_request_left_in_an_upload_do(self, cache: Cache) -> None:
        upload = await cache.reserve("key")
        await cache.write_blocks(upload, [("A", b"data")])
        await leave_behind(cache, upload.blob)

        await cache.maintenance.prune()

        assert len(cache.files()[upload.blob]) == 1
        await cache.service.order_blocks(upload.blob, ["A"])
        await cache.service.commit(cache.default, "key", VERSION, 4)
        assert await cache.content("key") == b"data"

    async def test_those_that_are_being_received_do_not(self, cache: Cache) -> None:
        upload = await cache.reserve("key")
        has_begun, may_end = asyncio.Event(), asyncio.Event()

        async def body() -> AsyncIterator[bytes]:
            yield b"da"
            has_begun.set()
            await may_end.wait()
            yield b"ta"

        sending = asyncio.ensure_future(
            cache.service.write_whole(upload.blob, body(), announced_bytes=4)
        )
        await has_begun.wait()
        await cache.maintenance.prune()
        may_end.set()
        await sending
        await cache.maintenance.prune()

        await cache.service.commit(cache.default, "key", VERSION, 4)
        assert await cache.content("key") == b"data"

    async def test_those_of_a_transfer_do_not_until_it_ends(
        self, cache: Cache, clock: Clock
    ) -> None:
        await cache.save_blocks("key", [b"one", b"two", b"three"])
        blob = await cache.service.blob(await access(cache, "key"))
        await cache.catalog.entries.forget([1], now_ms=clock(), link_ms=3_600_000)
        read = bytearray()

        async with aclosing(cache.service.read(blob, Span(0, 11))) as pieces:
            async for piece in pieces:
                read += await asyncio.to_thread(bytes_of, piece)
                await cache.maintenance.keep(cache.service.blobs_being_read(), lease=LEASE)
                for _ in range(3 * LEASE // timedelta(seconds=LEASE_EVERY_SECONDS)):
                    clock.advance(timedelta(seconds=LEASE_EVERY_SECONDS))
                    await cache.maintenance.prune()
                    await cache.maintenance.keep(cache.service.blobs_being_read(), lease=LEASE)

        assert read == b"onetwothree"
        clock.advance(LINK_TTL)
        await cache.maintenance.prune()
        assert cache.files() == {}

    async def test_those_of_a_transfer_that_has_just_begun_do_not(
        self, cache: Cache, clock: Clock
    ) -> None:
        # A server says what is being read once a minute: the first minute must be covered too.
        await cache.save_blocks("key", [b"one", b"two"])
        blob = await cache.service.blob(await access(cache, "key"))
        await cache.catalog.entries.forget([1], now_ms=clock(), link_ms=3_600_000)
        clock.advance(LINK_TTL - timedelta(milliseconds=1))
        read = bytearray()

        async with aclosing(cache.service.read(blob, Span(0, 6))) as pieces:
            async for piece in pieces:
                read += await asyncio.to_thread(bytes_of, piece)
                clock.advance(timedelta(seconds=LEASE_EVERY_SECONDS))
                await cache.maintenance.prune()
                await cache.maintenance.keep(cache.service.blobs_being_read(), lease=LEASE)

        assert read == b"onetwo"

    async def test_many_uploads_and_blobs_are_looked_at_in_pages(
        self, cache: Cache, clock: Clock
    ) -> None:
        for number in range(510):
            await cache.reserve(f"key-{number}")
        clock.advance(2 * DAY)

        report = await cache.maintenance.prune()

        assert report.expired_upload_count == 510
        assert report.blob_count == 510
