"""Saves, restores and sweeps where the bytes are in a bucket, of which many are parts."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Final

import pytest
import pytest_asyncio

from runcache.locations import Bucket, parse_store
from runcache.retention import Limits
from runcache.service import UploadLimits
from runcache.store.s3 import S3Store
from runcache.store.s3_connection import S3Connection
from runcache.testing.blob_store_suite import names_in
from tests.in_process import VERSION, Cache, body_of, open_cache

pytestmark = pytest.mark.usefixtures("s3_credentials")

BLOCKS: Final = 2000


@pytest_asyncio.fixture
async def store(s3_store_url: str) -> AsyncIterator[S3Store]:
    location = parse_store(s3_store_url)
    assert isinstance(location, Bucket)
    with closing(S3Store(await S3Connection.opened(location), grace=timedelta(0))) as store:
        yield store


@pytest_asyncio.fixture
async def cache(tmp_path: Path, store: S3Store) -> AsyncIterator[Cache]:
    limits = Limits(link_ttl=timedelta(0))
    async with open_cache(tmp_path, limits=limits, wrapped_store=lambda _: store) as cache:
        yield cache


async def test_an_upload_of_thousands_of_blocks_is_saved_restored_and_swept(
    cache: Cache, store: S3Store
) -> None:
    blocks = {f"{number:06}": f"block {number};".encode() for number in range(BLOCKS)}
    data = b"".join(blocks.values())
    upload = await cache.reserve("key")
    turns = asyncio.Semaphore(32)

    async def send(block_id: str) -> None:
        async with turns:
            body = body_of(blocks[block_id])
            await cache.service.write_block(upload.blob, block_id, body, announced_bytes=None)

    await asyncio.gather(*map(send, reversed(blocks)))
    await cache.service.order_blocks(upload.blob, list(blocks))
    before = await store.unclaimed(upload.blob)
    await cache.service.commit(cache.default, "key", VERSION, len(data))

    assert await cache.content("key") == data
    # A commit makes rows of what is there already.
    assert await store.unclaimed(upload.blob) == before
    assert (await cache.maintenance.check(read_data=False)).problems == []
    await cache.catalog.entries.forget([1], now_ms=cache.clock(), link_ms=0)
    cache.clock.advance(timedelta(days=1))
    assert (await cache.maintenance.prune()).blob_count == 1
    assert await names_in(store) == []


async def test_what_a_killed_upload_left_in_a_committed_blob_goes_when_it_is_settled(
    cache: Cache, store: S3Store
) -> None:
    await cache.save("key", b"data")
    hit = await cache.find("key")
    assert hit is not None
    async with store.receive(hit.blob, "f" * 16) as incoming:
        await incoming.write(b"sent, and never entered in the catalog")
        await incoming.hand_over()

    await cache.maintenance.settle()

    assert len(await store.unclaimed(hit.blob)) == 1
    assert await cache.content("key") == b"data"


async def test_a_power_failure_of_the_machine_loses_nothing(cache: Cache) -> None:
    await cache.maintenance.recover("boot one")
    await cache.save("key", b"data")

    assert await cache.maintenance.recover("boot two") == 0
    assert await cache.content("key") == b"data"


async def test_no_bucket_is_ever_full_by_min_free(tmp_path: Path, store: S3Store) -> None:
    async with open_cache(
        tmp_path,
        limits=Limits(min_free_bytes=2**62),
        upload_limits=UploadLimits(min_free_bytes=2**62),
        wrapped_store=lambda _: store,
    ) as cache:
        await cache.save("key", b"data")
        report = await cache.maintenance.forget()

        assert report.entry_count == 0
        assert await cache.content("key") == b"data"
