"""A cache in a process that dies at a given step, which is any change of catalog or store.

Without a kill nothing of this is different; with one, nothing is tidied up, as with SIGKILL.
"""

import asyncio
import os
from collections.abc import (
    AsyncGenerator,
    AsyncIterator,
    Awaitable,
    Callable,
    Collection,
    Mapping,
    Sequence,
)
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Final, TypeVar

from sqlalchemy import Connection

from runcache.catalog.connections import Connections
from runcache.model import (
    Grant,
    PackName,
    Part,
    Permission,
    ScopePermission,
    Span,
    Upload,
)
from runcache.retention import Limits
from runcache.store.blobs import BlobStore, Hasher, IncomingPart, KernelBytes, Piece
from tests.folder_direct import FolderDirect, direct_of
from tests.in_process import MAIN, REPOSITORY, VERSION, Cache, Clock, body_of, open_cache

T = TypeVar("T")

KILLED: Final = 99
# The same job before and after the kill.
JOB: Final = Grant(REPOSITORY, (ScopePermission(MAIN, Permission.READ_WRITE),), job="job")
LIMITS: Final = Limits(repo_limit_bytes=100, min_free_bytes=0, link_ttl=timedelta(0))
SAVED: Final = {"old": b"o" * 60, "new": b"n" * 50}
# A snapshot besides, with one pack; its manifest has eight bytes.
BASE: Final = b"who"


class Life:
    """Steps that are left until the end of this process."""

    def __init__(self, steps: int) -> None:
        self._steps = steps

    def step(self) -> None:
        if self._steps == 0:
            os._exit(KILLED)
        self._steps -= 1

    async def after(self, act: Awaitable[T]) -> T:
        """Do something, with a chance to die before anything else is done."""
        done = await act
        self.step()
        return done


class DyingConnections:
    """Connections in a process that may die (`Connections` is the contract)."""

    def __init__(self, connections: Connections, life: Life) -> None:
        self._connections = connections
        self._life = life

    async def look_up(self, work: Callable[[Connection], T]) -> T:
        return await self._connections.look_up(work)

    async def read(self, work: Callable[[Connection], T]) -> T:
        return await self._connections.read(work)

    async def read_long(self, work: Callable[[Connection], T]) -> T:
        return await self._connections.read_long(work)

    async def write(self, work: Callable[[Connection], T]) -> T:
        return await self._life.after(self._connections.write(work))

    def exclusively(self, name: str, *, wait: bool = False) -> AbstractAsyncContextManager[bool]:
        return self._connections.exclusively(name, wait=wait)


class DyingPart:
    """A part that is being received in a process that may die."""

    def __init__(self, part: IncomingPart, life: Life) -> None:
        self._part = part
        self._life = life

    @property
    def size_bytes(self) -> int:
        return self._part.size_bytes

    async def write(self, data: bytes | memoryview | KernelBytes) -> None:
        await self._life.after(self._part.write(data))

    async def hand_over(self) -> None:
        await self._part.hand_over()


class DyingStore:
    """A store in a process that may die (`BlobStore` is the contract)."""

    def __init__(self, store: BlobStore, life: Life) -> None:
        self._store = store
        self._life = life

    @asynccontextmanager
    async def receive(
        self, blob: str, part: str, *, hasher: Hasher | None = None
    ) -> AsyncIterator[IncomingPart]:
        async with self._store.receive(blob, part, hasher=hasher) as incoming:
            self._life.step()
            yield DyingPart(incoming, self._life)
        self._life.step()

    @property
    def is_durable_at_once(self) -> bool:
        return self._store.is_durable_at_once

    def read(self, blob: str, part: Part, offset: int, count: int) -> AsyncGenerator[Piece, None]:
        return self._store.read(blob, part, offset, count)

    async def first_incomplete(self, blobs: Mapping[str, Sequence[Part]]) -> str | None:
        return await self._store.first_incomplete(blobs)

    async def feed(self, blob: str, parts: Sequence[Part], hasher: Hasher) -> None:
        await self._life.after(self._store.feed(blob, parts, hasher))

    async def sync(self, blob: str) -> None:
        await self._life.after(self._store.sync(blob))

    async def unclaimed(self, blob: str, *, is_committed: bool = False) -> list[str]:
        return await self._store.unclaimed(blob, is_committed=is_committed)

    async def delete_parts(self, blob: str, parts: Collection[str]) -> None:
        await self._life.after(self._store.delete_parts(blob, parts))

    async def delete(self, blob: str) -> None:
        await self._life.after(self._store.delete(blob))

    async def tidy(self) -> None:
        await self._life.after(self._store.tidy())

    def names(self) -> AsyncIterator[list[str]]:
        return self._store.names()

    async def claim(self, catalog_id: str) -> bool:
        return await self._store.claim(catalog_id)

    async def free_bytes(self) -> int | None:
        return await self._store.free_bytes()


async def save_whole(cache: Cache) -> None:
    """Save `key` in one piece, after an upload of another one was given up."""
    given_up = await cache.reserve("key", grant=JOB)
    await cache.service.write_whole(given_up.blob, body_of(b"given up"), announced_bytes=None)
    await cache.save("key", b"whole", grant=JOB)


async def save_blocks(cache: Cache) -> None:
    """Save `key` in blocks, of which one is sent twice and one is not wanted in the end."""
    upload = await cache.reserve("key", grant=JOB)
    await cache.write_blocks(upload, [("B", b"le"), ("X", b"not this"), ("A", b"?"), ("A", b"who")])
    await cache.service.order_blocks(upload.blob, ["A", "B"])
    await cache.service.commit(JOB, "key", VERSION, 5)


async def save_ranges(cache: Cache) -> None:
    """Save `key` as clients of protocol v1 do."""
    upload = await cache.reserve("key", grant=JOB)
    await cache.service.write_range(upload, Span(3, 5), body_of(b"l", b"e"))
    await cache.service.write_range(upload, Span(0, 3), body_of(b"who"))
    await cache.service.commit_ranges(JOB, upload.id, 5)


async def save_snapshot(cache: Cache) -> None:
    """Save `key` as a snapshot that shares a pack, after an upload of it was given up."""
    await cache.reserve_snapshot("key", bases="auto", grant=JOB)
    upload = await cache.reserve_snapshot("key", bases="auto", grant=JOB)
    await cache.write_pack(upload, 0, b"torn", grant=JOB)
    await cache.write_pack(upload, 1, b"not named", grant=JOB)
    await _commit_snapshot(cache, upload)


async def save_snapshot_of_evicted(cache: Cache) -> None:
    """Save `key` as a snapshot that shares a pack of an entry which is evicted meanwhile."""
    upload = await cache.reserve_snapshot("key", bases="auto", grant=JOB)
    (base,) = await cache.service.newest(JOB, "base", limit=1)
    await cache.catalog.entries.forget([base.id], now_ms=cache.clock(), link_ms=0)
    cache.clock.advance(timedelta(hours=1))
    await cache.maintenance.prune()
    await _commit_snapshot(cache, upload)


async def _commit_snapshot(cache: Cache, upload: Upload) -> None:
    own = await cache.write_pack(upload, 0, b"le", grant=JOB)
    await cache.write_manifest(upload, grant=JOB)
    shared = PackName(len(SAVED) + 1, 0)
    await cache.service.snapshots.commit(JOB, upload.id, [shared, own])


async def save_and_settle(cache: Cache) -> None:
    """Save `key`, and prove it."""
    await cache.save("key", b"whole", grant=JOB)
    await cache.maintenance.settle()


async def save_and_sweep(cache: Cache) -> None:
    """Save `key`, and do what a server does then and later: the entry `old` has to go."""
    await cache.save("key", b"whole", grant=JOB)
    await cache.reserve("never finished", grant=JOB)
    await cache.maintenance.forget()
    cache.clock.advance(timedelta(days=2))
    await cache.maintenance.prune()


async def save_and_compose(cache: Cache) -> None:
    """Save `key` in two blocks, and let the store compose them."""
    await cache.save_blocks("key", [b"who", b"le"], grant=JOB)
    await cache.maintenance.settle()
    await cache.maintenance.compose()
    cache.clock.advance(timedelta(hours=1))
    await cache.maintenance.prune()


async def save_directly(cache: Cache) -> None:
    """Save `key` as a snapshot whose own bytes go past the server, some of them in vain."""
    service = direct_of(cache)
    store = service.store
    assert isinstance(store, FolderDirect)
    upload = await cache.reserve_snapshot("key", bases="auto", grant=JOB)
    own = PackName(upload.id, 0)
    for pack, data in ((own, b"torn"), (own, b"le"), (None, b"manifest")):
        sent = await store.send(cache, upload, data, grant=JOB)
        await service.take(JOB, upload.id, pack, sha256=sent)
    await store.send(cache, upload, b"nobody says so", grant=JOB)
    shared = PackName(len(SAVED) + 1, 0)
    await cache.service.snapshots.commit(JOB, upload.id, [shared, own])


async def expire(cache: Cache) -> None:
    """Leave an upload of `key` unfinished for too long."""
    upload = await cache.reserve("key", grant=JOB)
    await cache.write_blocks(upload, [("A", b"one"), ("B", b"two")])
    cache.clock.advance(timedelta(days=2))
    await cache.maintenance.prune()


SCENARIOS: Final[dict[str, Callable[[Cache], Awaitable[None]]]] = {
    act.__name__: act
    for act in (
        save_whole,
        save_blocks,
        save_ranges,
        save_snapshot,
        save_snapshot_of_evicted,
        save_and_settle,
        save_and_sweep,
        save_and_compose,
        save_directly,
        expire,
    )
}


def prepare(folder: Path) -> None:
    """Make a cache that holds what `SAVED` says, and `base`."""

    async def run() -> None:
        async with open_cache(folder, limits=LIMITS) as cache:
            for key, data in SAVED.items():
                await cache.save(key, data, grant=JOB)
                cache.clock.advance(timedelta(seconds=1))
            await cache.save_snapshot("base", BASE, grant=JOB)
            await cache.maintenance.settle()

    asyncio.run(run())


def live(folder: Path, scenario: str, steps: int) -> None:
    """Go through a scenario on the cache in `folder`, and die after so many steps."""
    life = Life(steps)

    async def run() -> None:
        async with open_cache(
            folder,
            clock=Clock(Clock().now_ms + 60_000),
            limits=LIMITS,
            wrapped_connections=lambda connections: DyingConnections(connections, life),
            wrapped_store=lambda store: DyingStore(store, life),
            direct=FolderDirect(folder / "blobs", life.step),
        ) as cache:
            await SCENARIOS[scenario](cache)

    asyncio.run(run())
