"""Bytes that come out of a bucket over connections that break."""

import os
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing, closing
from typing import Final
from urllib.parse import urlsplit

import pytest
import pytest_asyncio

from runcache.errors import BlobMissing, StoreUnavailable
from runcache.locations import Bucket, parse_store
from runcache.model import Part
from runcache.store.s3 import S3Store
from runcache.store.s3_connection import S3Connection
from runcache.testing import FaultProxy
from runcache.testing.blob_store_suite import BLOB, PART, get, get_range, put
from runcache.testing.faults import Cut
from tests.engines.seaweedfs import SeaweedFS

pytestmark = pytest.mark.usefixtures("s3_credentials")

MIB: Final = 1024 * 1024
DATA: Final = os.urandom(12 * MIB)


@pytest.fixture
def proxy(seaweedfs: SeaweedFS) -> Iterator[FaultProxy]:
    address = urlsplit(seaweedfs.endpoint)
    assert address.hostname is not None
    assert address.port is not None
    with FaultProxy(address.hostname, address.port) as proxy:
        yield proxy


@pytest_asyncio.fixture
async def store(s3_store_url: str, proxy: FaultProxy) -> AsyncIterator[S3Store]:
    location = parse_store(s3_store_url)
    assert isinstance(location, Bucket)
    through = Bucket(location.name, location.prefix, f"http://{proxy.address}", location.region)
    with closing(S3Store(await S3Connection.opened(through))) as store:
        yield store


async def test_what_breaks_off_goes_on_where_it_was(store: S3Store, proxy: FaultProxy) -> None:
    part = await put(store, BLOB, PART, DATA)

    # A reset takes along what the kernel holds for the reader, which is less than this.
    with proxy.injected(Cut(after_bytes=9 * MIB)):
        whole = await get(store, BLOB, part)
        some = await get_range(store, BLOB, part, 1_000_001, 11_000_003)

    assert whole == DATA
    assert some == DATA[1_000_001:][:11_000_003]


async def test_what_breaks_off_at_once_again_and_again_is_given_up(
    store: S3Store, proxy: FaultProxy
) -> None:
    part = await put(store, BLOB, PART, DATA)

    with proxy.injected(Cut(after_bytes=100_000)), pytest.raises(StoreUnavailable):
        await get(store, BLOB, part)

    assert await get(store, BLOB, part) == DATA


async def test_what_is_deleted_while_it_breaks_off_is_missing(
    store: S3Store, proxy: FaultProxy
) -> None:
    part = await put(store, BLOB, PART, DATA)
    read = bytearray()

    async def read_on() -> None:
        async with aclosing(store.read(BLOB, part, 0, len(DATA))) as pieces:
            async for piece in pieces:
                read.extend(piece)
                if len(read) == len(piece):
                    await store.delete(BLOB)
                    proxy.inject(Cut(after_bytes=3 * MIB))

    with pytest.raises(BlobMissing):
        await read_on()

    assert DATA.startswith(read)


@pytest.mark.parametrize("offset", [0, len(DATA) - 1, len(DATA), len(DATA) + MIB])
async def test_a_large_part_that_lost_its_end_is_missing_wherever_it_is_read(
    store: S3Store, offset: int
) -> None:
    part = await put(store, BLOB, PART, DATA)
    longer = Part(part.name, 0, part.size_bytes + 8 * MIB)

    for count in (1, 5 * MIB):
        with pytest.raises(BlobMissing):
            await get_range(store, BLOB, longer, offset, count)
