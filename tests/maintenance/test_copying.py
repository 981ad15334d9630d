"""A store is copied whole, in several goes if need be, and while it is in use."""

import asyncio
import dataclasses
from collections.abc import AsyncIterator
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest

from runcache.errors import InvalidSettings
from runcache.locations import parse_store
from runcache.maintenance import Maintenance
from runcache.maintenance.copying import Copying, CopyReport
from runcache.model import PackName
from runcache.progress import Progress, Silence
from runcache.retention import Limits
from runcache.service import CacheService, UploadLimits
from runcache.store.blobs import BlobStore
from runcache.store.local import LocalStore
from runcache.store.opening import open_store
from tests.in_process import MAIN, VERSION, Cache
from tests.maintenance.acts import part_path
from tests.maintenance.backups import Interrupted, StopsAfter


@pytest.fixture
async def target(tmp_path: Path) -> AsyncIterator[BlobStore]:
    with closing(LocalStore(tmp_path / "target")) as store:
        yield store


def in_store(cache: Cache, store: BlobStore) -> Cache:
    """Return the cache as servers see it that were started with another store."""
    service = CacheService(cache.catalog, store, UploadLimits(min_free_bytes=0), now=cache.clock)
    return dataclasses.replace(cache, store=store, service=service)


async def copy(cache: Cache, target: BlobStore, *, progress: Progress | None = None) -> CopyReport:
    return await Copying(cache.catalog, cache.store, target, progress=progress or Silence()).run()


async def is_whole_in(cache: Cache, store: BlobStore, *, entry_count: int) -> bool:
    checked = await Maintenance(cache.catalog, store, Limits(), now=cache.clock).check(
        read_data=True
    )
    return (checked.entry_count, checked.problems) == (entry_count, [])


async def test_everything_is_copied_and_then_nothing(cache: Cache, target: BlobStore) -> None:
    await cache.save_blocks("blocks", [b"one", b"", b"two"])
    await cache.save_snapshot("snapshot", b"pack-1", b"pack-2")

    foreseen = await Copying(cache.catalog, cache.store, target, progress=Silence()).foresee()
    first = await copy(cache, target)
    second = await copy(cache, target)

    assert (foreseen.blob_count, foreseen.size_bytes) == (first.blob_count, first.size_bytes)
    assert (first.blob_count, first.present_count, first.damaged) == (4, 0, [])
    assert (second.blob_count, second.present_count) == (0, 4)
    assert await is_whole_in(cache, target, entry_count=2)


async def test_an_upload_goes_on_in_the_other_store(cache: Cache, target: BlobStore) -> None:
    upload = await cache.reserve("key")
    await cache.write_blocks(upload, [("a", b"first")])
    await copy(cache, target)
    await cache.write_blocks(upload, [("b", b"second")])

    report = await copy(cache, target)
    moved = in_store(cache, target)
    await moved.write_blocks(upload, [("c", b"third")])
    await moved.service.order_blocks(upload.blob, ["a", "b", "c"])
    await moved.service.commit(cache.default, "key", VERSION, len(b"firstsecondthird"))

    assert report.blob_count == 1
    assert await moved.content("key") == b"firstsecondthird"


async def test_a_pack_that_only_a_running_save_holds_is_copied(
    cache: Cache, target: BlobStore
) -> None:
    first = await cache.save_snapshot("first", b"shared")
    upload = await cache.reserve_snapshot("second", bases=[first.id])
    await cache.catalog.entries.forget([first.id], now_ms=cache.clock(), link_ms=0)

    await copy(cache, target)
    moved = in_store(cache, target)
    await moved.write_manifest(upload)
    await moved.service.snapshots.commit(cache.default, upload.id, [PackName(first.id, 0)])

    assert await moved.snapshot("second") == [b"manifest", b"shared"]


async def test_what_was_interrupted_goes_on_and_trusts_only_what_was_verified(
    cache: Cache, tmp_path: Path, target: BlobStore
) -> None:
    for number in range(100):
        await cache.save(f"key-{number}", b"%03d" % number)
    with pytest.raises(Interrupted):
        await copy(cache, target, progress=StopsAfter(80))
    # What a power failure may leave of a file that was not synced: its size, and no bytes.
    copied = sorted((tmp_path / "target").glob("*/*/*"), key=lambda path: path.stat().st_mtime_ns)
    copied[-1].write_bytes(bytes(3))

    report = await copy(cache, target)

    assert report.present_count == 64
    assert report.blob_count == 100 - 64
    assert await is_whole_in(cache, target, entry_count=100)


async def test_what_is_damaged_is_named_and_not_copied(cache: Cache, target: BlobStore) -> None:
    for key in ("cut", "rotten", "whole"):
        await cache.save(key, key.encode())
    await cache.maintenance.settle()
    cut, rotten, _ = await cache.catalog.blobs.committed(limit=9)
    part_path(cache, cut.name).write_bytes(b"c")
    part_path(cache, rotten.name).write_bytes(b"ROTTEN")

    report = await copy(cache, target)

    assert sorted(report.damaged) == [f"octo/hello {MAIN} cut", f"octo/hello {MAIN} rotten"]
    assert report.blob_count == 1
    assert await in_store(cache, target).content("whole") == b"whole"
    assert await in_store(cache, target).content("cut") is None


async def test_saves_and_deletions_meanwhile_are_followed(cache: Cache, target: BlobStore) -> None:
    for number in range(40):
        await cache.save(f"old-{number}", b"%d" % number)
    is_over = asyncio.Event()

    async def be_busy() -> None:
        number = 0
        while not is_over.is_set():
            number += 1
            await cache.save(f"new-{number}", b"new %d" % number)
            old = await cache.catalog.blobs.committed(limit=1)
            await cache.catalog.entries.forget_holders(old[0].name, now_ms=cache.clock())
            cache.clock.advance(timedelta(minutes=5))
            await cache.maintenance.delete_doomed()

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(be_busy())
        report = await copy(cache, target)
        is_over.set()
    last = await copy(cache, target)

    assert (report.damaged, last.damaged) == ([], [])
    entry_count = await cache.catalog.entries.count()
    moved = Maintenance(cache.catalog, target, Limits(), now=cache.clock)
    await moved.prune()
    assert await is_whole_in(cache, target, entry_count=entry_count)


async def test_a_store_of_another_catalog_is_left_alone(cache: Cache, target: BlobStore) -> None:
    await target.claim("0" * 32)

    with pytest.raises(InvalidSettings, match="the target belongs to another catalog"):
        await copy(cache, target)


async def test_nobody_else_gets_the_target(cache: Cache, target: BlobStore) -> None:
    await copy(cache, target)

    assert not await target.claim("0" * 32)
    assert await target.claim(await cache.catalog.identity())


async def test_two_processes_do_not_copy_at_once(cache: Cache, target: BlobStore) -> None:
    async with cache.catalog.exclusively("copy"):
        with pytest.raises(InvalidSettings, match="another process is copying"):
            await copy(cache, target)


@pytest.mark.usefixtures("s3_credentials")
async def test_a_folder_goes_to_a_bucket_and_back(
    cache: Cache, target: BlobStore, s3_store_url: str
) -> None:
    await cache.save_blocks("blocks", [b"one", b"two"])
    await cache.save_snapshot("snapshot", b"pack-1", b"pack-2")

    async with open_store(parse_store(s3_store_url)) as bucket:
        await copy(cache, bucket)
        in_bucket = await is_whole_in(cache, bucket, entry_count=2)
        await copy(in_store(cache, bucket), target)

    assert in_bucket
    assert await is_whole_in(cache, target, entry_count=2)
