"""A guard changes nothing about a store that works, and ends what one that does not would hang."""

import asyncio
import os
import time
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager, closing
from pathlib import Path
from typing import Final

import pytest
import pytest_asyncio

from runcache.circuits import Circuit
from runcache.errors import StoreUnavailable
from runcache.model import Part
from runcache.store.blobs import BlobStore, FileBytes, Hasher, IncomingPart, KernelBytes
from runcache.store.guarded import GuardedStore, Patience
from runcache.store.local import LocalStore
from runcache.testing.blob_store_suite import BLOB, PART, BlobStoreSuite

SHORT: Final = 0.5
SOON: Final = 10.0


class TestGuardedStore(BlobStoreSuite):
    @pytest_asyncio.fixture
    async def store(self, tmp_path: Path) -> AsyncIterator[BlobStore]:
        circuit = Circuit("store", StoreUnavailable)
        with closing(LocalStore(tmp_path)) as store:
            yield GuardedStore(store, circuit)
            await circuit.close()


class Stuck(LocalStore):
    """A store that takes in what it is given, but for what it is told to be stuck with."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.stuck_with = ""
        self.is_cured = asyncio.Event()

    @asynccontextmanager
    async def receive(  # type: ignore[override]
        self, blob: str, part: str, *, hasher: Hasher | None = None
    ) -> AsyncIterator["StuckPart"]:
        try:
            async with super().receive(blob, part, hasher=hasher) as incoming:
                yield StuckPart(self, incoming)
        finally:
            await self.wait("leave")

    async def read(
        self, blob: str, part: Part, offset: int, count: int
    ) -> AsyncGenerator[FileBytes, None]:
        async with aclosing(super().read(blob, part, offset, count)) as pieces:
            async for piece in pieces:
                yield piece
                await self.wait("read")

    async def wait(self, what: str) -> None:
        if what == self.stuck_with:
            await self.is_cured.wait()


class StuckPart:
    def __init__(self, store: Stuck, part: IncomingPart) -> None:
        self._store = store
        self._part = part

    @property
    def size_bytes(self) -> int:
        return self._part.size_bytes

    async def write(self, data: bytes | memoryview | KernelBytes) -> None:
        await self._store.wait("write")
        await self._part.write(data)

    async def hand_over(self) -> None:
        await self._store.wait("hand_over")
        await self._part.hand_over()


class SlowBytes:
    """Bytes that a client is in no hurry to send."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self.descriptor, self._sink = os.pipe()
        os.set_blocking(self.descriptor, False)
        self.size_bytes = 4

    async def readable(self) -> None:
        await asyncio.sleep(self._seconds)
        await asyncio.to_thread(os.write, self._sink, b"slow")

    def close(self) -> None:
        os.close(self.descriptor)
        os.close(self._sink)


@pytest.fixture
async def stuck(tmp_path: Path) -> AsyncIterator[Stuck]:
    with closing(Stuck(tmp_path)) as store:
        yield store


@pytest.fixture
async def guarded(stuck: Stuck) -> AsyncIterator[GuardedStore]:
    patience = Patience(
        look_seconds=SHORT, piece_seconds=SHORT, whole_seconds=SHORT, tidy_up_seconds=SHORT
    )
    circuit = Circuit("store", StoreUnavailable)
    yield GuardedStore(stuck, circuit, patience)
    stuck.is_cured.set()
    # What is still to be done, threads do, which need the loop.
    await circuit.close()


async def put(store: GuardedStore, data: bytes | KernelBytes = b"data") -> Part:
    async with store.receive(BLOB, PART) as part:
        await part.write(data)
        await part.hand_over()
    return Part(PART, 0, part.size_bytes)


@pytest.mark.parametrize("what", ["write", "hand_over"])
async def test_an_upload_into_a_store_that_is_stuck_ends(
    what: str, stuck: Stuck, guarded: GuardedStore
) -> None:
    stuck.stuck_with = what
    begun = time.monotonic()

    with pytest.raises(StoreUnavailable, match="the store did not answer"):
        await put(guarded)
    assert time.monotonic() - begun < SOON


async def test_nobody_waits_for_a_store_that_does_not_tidy_up(
    stuck: Stuck, guarded: GuardedStore
) -> None:
    stuck.stuck_with = "leave"
    begun = time.monotonic()

    await put(guarded)
    assert time.monotonic() - begun < SOON


async def test_a_download_from_a_store_that_is_stuck_ends_behind_what_came(
    stuck: Stuck, guarded: GuardedStore
) -> None:
    part = await put(guarded)
    stuck.stuck_with = "read"
    pieces = guarded.read(BLOB, part, 0, 4)

    assert await anext(pieces)
    with pytest.raises(StoreUnavailable, match="the store did not answer"):
        await anext(pieces)


async def test_the_time_that_a_client_takes_is_not_the_stores(guarded: GuardedStore) -> None:
    with closing(SlowBytes(4 * SHORT)) as data:
        part = await put(guarded, data)

    assert part.size_bytes == 4
