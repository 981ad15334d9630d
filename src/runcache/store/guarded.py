"""A guard around a store that may be away."""

import asyncio
from collections.abc import (
    AsyncGenerator,
    AsyncIterator,
    Awaitable,
    Collection,
    Mapping,
    Sequence,
)
from contextlib import AbstractAsyncContextManager, aclosing, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

from runcache.circuits import Circuit
from runcache.model import Part
from runcache.store import layout
from runcache.store.blobs import BlobStore, Hasher, IncomingPart, KernelBytes, Piece

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """How long is waited for the store, without the time that a client takes.

    `look_seconds` is for the look that a lookup waits for, `piece_seconds` for each piece of a
    part, `whole_seconds` for its end, `task_seconds` for what no client waits for, and
    `tidy_up_seconds` for what is done after a failure.
    """

    look_seconds: float = 0.6
    piece_seconds: float = 10
    whole_seconds: float = 10
    task_seconds: float = 30
    tidy_up_seconds: float = 1


class GuardedStore:
    """A store whose every answer comes in time, or not at all (`BlobStore` is the contract)."""

    def __init__(
        self, store: BlobStore, circuit: Circuit, patience: Patience | None = None
    ) -> None:
        self._store = store
        self._circuit = circuit
        self._patience = patience or Patience()

    @property
    def is_durable_at_once(self) -> bool:
        """See `BlobStore.is_durable_at_once`."""
        return self._store.is_durable_at_once

    @asynccontextmanager
    async def receive(
        self, blob: str, part: str, *, hasher: Hasher | None = None
    ) -> AsyncIterator["_GuardedPart"]:
        """See `BlobStore.receive`. What is left behind is not waited for when the store is away."""
        await self._prove()
        receiving = self._store.receive(blob, part, hasher=hasher)
        incoming = await receiving.__aenter__()
        try:
            yield _GuardedPart(incoming, self._circuit, self._patience)
        finally:
            await self._circuit.ended(
                _left(receiving), within_seconds=self._patience.tidy_up_seconds
            )

    async def read(
        self, blob: str, part: Part, offset: int, count: int
    ) -> AsyncGenerator[Piece, None]:
        """See `BlobStore.read`."""
        await self._prove()
        seconds = self._patience.piece_seconds
        async with aclosing(self._store.read(blob, part, offset, count)) as pieces:
            while True:
                with self._circuit.judging():
                    piece = await _in_time(anext(pieces, None), self._circuit, seconds)
                if piece is None:
                    return
                yield piece

    async def first_incomplete(self, blobs: Mapping[str, Sequence[Part]]) -> str | None:
        """See `BlobStore.first_incomplete`."""
        if not blobs:
            await self._prove()
            return None
        return await self._circuit.call(
            partial(self._store.first_incomplete, blobs),
            within_seconds=self._patience.look_seconds,
        )

    async def feed(self, blob: str, parts: Sequence[Part], hasher: Hasher) -> None:
        """See `BlobStore.feed`, which takes as long as the bytes do."""
        self._circuit.require()
        with self._circuit.judging():
            await self._store.feed(blob, parts, hasher)

    async def sync(self, blob: str) -> None:
        """See `BlobStore.sync`."""
        await self._store.sync(blob)

    async def unclaimed(self, blob: str, *, is_committed: bool = False) -> list[str]:
        """See `BlobStore.unclaimed`."""
        return await self._circuit.call(
            partial(self._store.unclaimed, blob, is_committed=is_committed),
            within_seconds=self._patience.task_seconds,
        )

    async def delete_parts(self, blob: str, parts: Collection[str]) -> None:
        """See `BlobStore.delete_parts`."""
        if parts:
            await self._circuit.call(
                partial(self._store.delete_parts, blob, parts),
                within_seconds=self._patience.task_seconds,
            )

    async def delete(self, blob: str) -> None:
        """See `BlobStore.delete`."""
        await self._circuit.call(
            partial(self._store.delete, blob), within_seconds=self._patience.task_seconds
        )

    async def tidy(self) -> None:
        """See `BlobStore.tidy`, which takes as long as there is much to do."""
        self._circuit.require()
        with self._circuit.judging():
            await self._store.tidy()

    async def names(self) -> AsyncIterator[list[str]]:
        """See `BlobStore.names`."""
        self._circuit.require()
        with self._circuit.judging():
            async for page in self._store.names():
                yield page

    async def claim(self, catalog_id: str) -> bool:
        """See `BlobStore.claim`."""
        return await self._circuit.call(
            partial(self._store.claim, catalog_id), within_seconds=self._patience.task_seconds
        )

    async def free_bytes(self) -> int | None:
        """See `BlobStore.free_bytes`."""
        await self._prove()
        return await self._store.free_bytes()

    async def _prove(self) -> None:
        """Make sure that a store is there that may be away, before something long is begun."""
        if self._circuit.is_in_doubt:
            absent = Part(layout.new_part_name(), 0, 1)
            await self.first_incomplete({layout.new_blob_name(): [absent]})


class _GuardedPart:
    """A part whose bytes the store takes in time (`IncomingPart` is the contract)."""

    def __init__(self, part: IncomingPart, circuit: Circuit, patience: Patience) -> None:
        self._part = part
        self._circuit = circuit
        self._patience = patience

    @property
    def size_bytes(self) -> int:
        """See `IncomingPart.size_bytes`."""
        return self._part.size_bytes

    async def write(self, data: bytes | memoryview | KernelBytes) -> None:
        """See `IncomingPart.write`."""
        # Some bytes go no further than to a buffer yet: that is no proof.
        with self._circuit.judging(is_proof=False):
            seconds = self._patience.piece_seconds
            try:
                async with asyncio.timeout(seconds) as limit:
                    if not isinstance(data, bytes | memoryview):
                        data = _Awaited(data, limit, seconds)
                    await self._part.write(data)
            except TimeoutError as exc:
                raise self._circuit.too_slow(seconds) from exc

    async def hand_over(self) -> None:
        """See `IncomingPart.hand_over`."""
        seconds = self._patience.whole_seconds
        with self._circuit.judging():
            await _in_time(self._part.hand_over(), self._circuit, seconds)


class _Awaited:
    """Bytes for which the client may take its time, without being counted as the store's."""

    def __init__(self, data: KernelBytes, limit: asyncio.Timeout, seconds: float) -> None:
        self._data = data
        self._limit = limit
        self._seconds = seconds

    @property
    def descriptor(self) -> int:
        return self._data.descriptor

    @property
    def size_bytes(self) -> int:
        return self._data.size_bytes

    async def readable(self) -> None:
        self._limit.reschedule(None)
        await self._data.readable()
        self._limit.reschedule(asyncio.get_running_loop().time() + self._seconds)


async def _in_time(answer: Awaitable[T], circuit: Circuit, seconds: float) -> T:
    try:
        async with asyncio.timeout(seconds):
            return await answer
    except TimeoutError as exc:
        raise circuit.too_slow(seconds) from exc


async def _left(receiving: AbstractAsyncContextManager[IncomingPart]) -> None:
    await receiving.__aexit__(None, None, None)
