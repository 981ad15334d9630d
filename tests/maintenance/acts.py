"""What tests of the upkeep do with a cache, and ask of it."""

import asyncio
from datetime import timedelta
from pathlib import Path
from typing import Final

from runcache.maintenance import ForgetReport
from runcache.retention import Limits
from runcache.store import layout
from tests.in_process import Cache, open_cache

DAY: Final = timedelta(days=1)
LINK_TTL: Final = timedelta(hours=1)


async def access(cache: Cache, key: str) -> str:
    """Look a key up, write that down, and return the blob that a link would lead to."""
    hit = await cache.find(key)
    assert hit is not None
    assert hit.entry.key == key
    await cache.service.record_accesses(link_ms=LINK_TTL // timedelta(milliseconds=1))
    return hit.blob


async def keys_left(cache: Cache) -> set[str]:
    entries = await cache.service.newest(cache.default, "", limit=10_000)
    return {entry.key for entry in entries}


async def save_each(cache: Cache, sizes: dict[str, int]) -> None:
    """Save entries of these sizes, each a second after the one before."""
    for key, size_bytes in sizes.items():
        await cache.save(key, b"x" * size_bytes)
        cache.clock.advance(timedelta(seconds=1))


async def save_many(cache: Cache, count: int) -> None:
    await asyncio.gather(*(cache.save(f"key-{number}", b"x") for number in range(count)))


async def forget_with(cache: Cache, limits: Limits) -> ForgetReport:
    async with open_cache(cache.folder, clock=cache.clock, limits=limits) as limited:
        foreseen = await limited.maintenance.forget(dry_run=True)
        before = await keys_left(cache)
        forgotten = await limited.maintenance.forget()
    # What a dry run says is what happens.
    assert len(before - await keys_left(cache)) <= forgotten.entry_count == foreseen.entry_count
    assert foreseen.size_bytes == forgotten.size_bytes
    assert foreseen.by_reason == forgotten.by_reason
    return forgotten


async def leave_behind(cache: Cache, blob: str, data: bytes = b"torn") -> str:
    """Leave a part as a request does that is cut off between its file and its row."""
    name = layout.new_part_name()
    async with cache.store.receive(blob, name) as part:
        await part.write(data)
        await part.hand_over()
    return name


def part_path(cache: Cache, blob: str) -> Path:
    (path,) = (cache.folder / "blobs" / blob[:2] / blob).iterdir()
    return path


async def sweep_once(cache: Cache) -> None:
    await cache.maintenance.forget()
    await cache.maintenance.prune()


async def snapshot_keys(cache: Cache, *keys: str) -> set[str]:
    return {key for key in keys if await cache.snapshot(key) is not None}


async def blob_of_size(cache: Cache, size_bytes: int) -> str:
    blobs = await cache.catalog.blobs.committed(limit=99)
    (name,) = [blob.name for blob in blobs if blob.size_bytes == size_bytes]
    return name
