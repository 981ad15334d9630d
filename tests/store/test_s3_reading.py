"""Bytes that come out of a bucket over connections that break."""

import os
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing, closing
from typing import Final
from urllib.parse import urlsplit

import pytest
import pytest_asyncio

from runcache.circuits import Circuit
from runcache.errors import BlobMissing, StoreUnavailable
from runcache.locations import Bucket, parse_store
from runcache.model import Part
from runcache.store.blobs import ArrivingBytes
from runcache.store.guarded import GuardedStore, Patience
from runcache.store.s3 import S3Store
from runcache.store.s3_connection import S3Connection
from runcache.testing import FaultProxy
from runcache.testing.blob_store_suite import BLOB, PART, bytes_of, get, get_range, put
from runcache.testing.faults import Cut, HalfOpen, Reset, Throttle
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

    # Not even the head of an answer comes.
    with proxy.injected(Cut(after_bytes=100)), pytest.raises(StoreUnavailable):
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
                data = bytes_of(piece)
                read.extend(data)
                if len(read) == len(data):
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


async def test_large_parts_stay_in_the_kernel_and_share_a_connection(store: S3Store) -> None:
    part = await put(store, BLOB, PART, DATA)
    descriptors = set()

    for offset in (0, 5 * MIB, len(DATA) - 3 * MIB):
        read = bytearray()
        async with aclosing(store.read(BLOB, part, offset, 3 * MIB)) as pieces:
            async for piece in pieces:
                assert isinstance(piece, ArrivingBytes)
                descriptors.add(piece.descriptor)
                read += piece.take()
        assert read == DATA[offset : offset + 3 * MIB]

    assert len(descriptors) == 1


async def test_connections_that_died_while_nobody_read_are_not_used_again(
    store: S3Store, proxy: FaultProxy
) -> None:
    part = await put(store, BLOB, PART, DATA)
    before = await get(store, BLOB, part)

    with proxy.injected(Reset()):
        pass

    assert before == await get(store, BLOB, part) == DATA


async def test_whoever_goes_away_in_the_middle_leaves_no_connection_to_others(
    store: S3Store,
) -> None:
    part = await put(store, BLOB, PART, DATA)

    async with aclosing(store.read(BLOB, part, 0, len(DATA))) as pieces:
        piece = await anext(pieces)
        begun = bytes_of(piece)

    assert begun
    assert await get(store, BLOB, part) == DATA


async def test_any_piece_may_be_taken_bit_by_bit(store: S3Store) -> None:
    part = await put(store, BLOB, PART, DATA)
    read = bytearray()

    async with aclosing(store.read(BLOB, part, 0, len(DATA))) as pieces:
        async for piece in pieces:
            assert isinstance(piece, ArrivingBytes)
            some = os.read(piece.descriptor, min(piece.arrived_bytes, 100_000))
            piece.taken_bytes += len(some)
            read += some

    assert read == DATA


async def test_through_a_proxy_large_parts_come_as_well(
    s3_store_url: str, seaweedfs: SeaweedFS, monkeypatch: pytest.MonkeyPatch
) -> None:
    # SeaweedFS takes requests for whole addresses like any other.
    monkeypatch.setenv("http_proxy", seaweedfs.endpoint)
    monkeypatch.setenv("no_proxy", "")
    location = parse_store(s3_store_url)
    assert isinstance(location, Bucket)
    with closing(S3Store(await S3Connection.opened(location))) as store:
        part = await put(store, BLOB, PART, DATA)
        async with aclosing(store.read(BLOB, part, 0, len(DATA))) as pieces:
            read = [piece async for piece in pieces]

    assert all(isinstance(piece, bytes) for piece in read)
    assert b"".join(map(bytes_of, read)) == DATA


async def test_a_bucket_that_falls_silent_in_the_middle_is_given_up_in_time(
    store: S3Store, proxy: FaultProxy
) -> None:
    part = await put(store, BLOB, PART, DATA)
    circuit = Circuit("store", StoreUnavailable)
    guarded = GuardedStore(store, circuit, Patience(piece_seconds=0.5))
    read = bytearray()

    async def read_on() -> None:
        async with aclosing(guarded.read(BLOB, part, 0, len(DATA))) as pieces:
            async for piece in pieces:
                proxy.inject(HalfOpen())
                read.extend(bytes_of(piece))

    with pytest.raises(StoreUnavailable, match=r"did not answer within 0\.5 s"):
        await read_on()
    proxy.heal()

    assert 0 < len(read) < len(DATA)
    assert DATA.startswith(read)
    assert circuit.is_in_doubt
    assert await get(store, BLOB, part) == DATA


async def test_a_slow_bucket_gives_every_byte(store: S3Store, proxy: FaultProxy) -> None:
    part = await put(store, BLOB, PART, DATA)

    with proxy.injected(Throttle(bytes_per_second=8 * MIB)):
        assert await get_range(store, BLOB, part, 1, 4 * MIB) == DATA[1:][: 4 * MIB]
