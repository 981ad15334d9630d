"""Recovering, several processes at once, and what snapshots need of all acts."""

import asyncio
import hashlib
from collections import Counter
from datetime import timedelta
from pathlib import Path

import pytest

from runcache.errors import UploadGone
from runcache.model import PackName, Usage
from runcache.retention import Limits, Reason
from runcache.service import UploadLimits
from tests.in_process import REPOSITORY, Cache, Clock, body_of, job, open_cache
from tests.maintenance.acts import (
    DAY,
    blob_of_size,
    forget_with,
    keys_left,
    leave_behind,
    part_path,
    save_each,
    snapshot_keys,
    sweep_once,
)


class TestRecover:
    """What is trusted after a start."""

    async def test_everything_is_if_only_the_process_was_killed(self, cache: Cache) -> None:
        assert await cache.maintenance.recover("boot one") == 0
        await cache.save("key", b"data")
        upload = await cache.reserve("upload")

        assert await cache.maintenance.recover("boot one") == 0

        assert await cache.content("key") == b"data"
        await cache.service.write_whole(upload.blob, body_of(b"x"), announced_bytes=1)

    async def test_after_a_power_failure_only_what_is_durable_is(self, cache: Cache) -> None:
        await cache.maintenance.recover("boot one")
        await cache.save("durable", b"durable")
        await cache.maintenance.settle()
        await cache.save("torn perhaps", b"data")
        upload = await cache.reserve("upload")

        lost = await cache.maintenance.recover("boot two")

        assert lost == 1
        assert await cache.content("durable") == b"durable"
        assert await keys_left(cache) == {"durable"}
        with pytest.raises(UploadGone):
            await cache.service.write_whole(upload.blob, body_of(b"x"), announced_bytes=1)
        for key in ("torn perhaps", "upload"):
            await cache.save(key, b"anew", grant=job())

    async def test_what_has_a_digest_is_a_miss_until_it_is_verified(self, cache: Cache) -> None:
        await cache.maintenance.recover("boot one")
        for key in ("right", "wrong"):
            await cache.save(key, b"data")
        right, wrong = await cache.catalog.blobs.unsettled(limit=9)
        await cache.catalog.blobs.record_digest(right.id, hashlib.sha256(b"data").digest())
        await cache.catalog.blobs.record_digest(wrong.id, b"?" * 32)

        lost = await cache.maintenance.recover("boot two")
        at_first = [await cache.content(key) for key in ("right", "wrong")]
        damaged = await cache.maintenance.settle()

        assert (lost, at_first, damaged) == (0, [None, None], 1)
        assert await cache.content("right") == b"data"
        assert await cache.content("wrong") is None
        assert await keys_left(cache) == {"right"}

    async def test_of_processes_that_start_at_once_one_distrusts(
        self, cache: Cache, tmp_path: Path
    ) -> None:
        await cache.maintenance.recover("boot one")
        await cache.save("torn perhaps", b"data")
        async with open_cache(tmp_path) as other:
            lost = await asyncio.gather(
                *(one.maintenance.recover("boot two") for one in (cache, other))
            )
            upload = await other.reserve("upload")
            again = await cache.maintenance.recover("boot two")
            await other.service.write_whole(upload.blob, body_of(b"x"), announced_bytes=1)

        assert sorted(lost) == [0, 1]
        assert again == 0

    async def test_counts_are_right_afterwards(self, cache: Cache) -> None:
        await cache.maintenance.recover("boot one")
        for number in range(5):
            await cache.save(f"key-{number}", b"data")

        await cache.maintenance.recover("boot two")

        assert await cache.catalog.repositories.usage(REPOSITORY) == Usage(REPOSITORY, 0, 0)
        assert (await cache.maintenance.check()).problems == []


async def test_sweeps_of_two_processes_do_not_disturb_each_other(
    cache: Cache, tmp_path: Path
) -> None:
    await save_each(cache, {f"key-{number}": 10 for number in range(30)})
    limits = Limits(repo_limit_bytes=100, min_free_bytes=0)
    async with (
        open_cache(tmp_path, clock=cache.clock, limits=limits) as one,
        open_cache(tmp_path, clock=cache.clock, limits=limits) as two,
    ):
        await asyncio.gather(
            one.maintenance.forget(),
            two.maintenance.forget(),
            one.maintenance.prune(),
            two.maintenance.prune(),
        )

    assert await keys_left(cache) == {f"key-{number}" for number in range(20, 30)}
    assert (await cache.maintenance.check()).problems == []


async def test_what_one_process_has_swept_lately_no_other_sweeps(
    cache: Cache, tmp_path: Path
) -> None:
    every = timedelta(hours=1)
    async with open_cache(tmp_path, clock=cache.clock) as other:
        assert await cache.maintenance.sweep(every=every) is not None

        assert await other.maintenance.sweep(every=every) is None
        assert await other.maintenance.sweep() is not None
        cache.clock.advance(every / 2)
        assert await other.maintenance.sweep(every=every) is not None


async def test_one_process_at_a_time_settles_and_the_next_one_finds_what_it_left(
    cache: Cache, tmp_path: Path
) -> None:
    await cache.save("key", b"data")
    async with open_cache(tmp_path) as other:
        async with cache.catalog.exclusively("settle"):
            settling = asyncio.create_task(other.maintenance.settle())
            # Longer than it would take alone.
            await cache.save("another", b"data")
            unsettled = await cache.catalog.blobs.unsettled(limit=9)
        assert await settling == 0

    assert len(unsettled) == 2
    assert await cache.catalog.blobs.unsettled(limit=9) == []


async def test_saving_and_sweeping_at_once_keeps_the_newest_whole(tmp_path: Path) -> None:
    limits = Limits(repo_limit_bytes=50, min_free_bytes=0, link_ttl=timedelta(0))
    async with open_cache(
        tmp_path, limits=limits, upload_limits=UploadLimits(min_free_bytes=0)
    ) as cache:
        is_done = asyncio.Event()

        async def save(number: int) -> None:
            await cache.save(f"key-{number}", f"{number:010}".encode(), grant=job())
            cache.clock.advance(timedelta(seconds=20))

        async def sweep() -> None:
            while not is_done.is_set():
                await cache.maintenance.forget()
                await cache.maintenance.prune()
                await cache.maintenance.settle()

        sweeping = asyncio.ensure_future(sweep())
        for number in range(60):
            await save(number)
        is_done.set()
        await sweeping
        await sweep_once(cache)

        left = await keys_left(cache)
        assert left == {f"key-{number}" for number in range(55, 60)}
        for key in left:
            data = await cache.content(key)
            assert data is not None
            assert int(data) == int(key.removeprefix("key-"))
        assert (await cache.maintenance.check(read_data=True)).problems == []


class TestSnapshots:
    """Entries of several blobs, which others may share: each manifest here has eight bytes."""

    async def save_shared(self, cache: Cache, *sizes: int) -> None:
        """Save three snapshots that share the first pack, each with one of its own."""
        common, *own = sizes
        first = await cache.save_snapshot("first", b"c" * common, b"x" * own[0])
        for key, size in zip(("second", "third"), own[1:], strict=True):
            cache.clock.advance(timedelta(seconds=1))
            await cache.save_snapshot(
                key, b"x" * size, bases="auto", shared=[PackName(first.id, 0)]
            )
        cache.clock.advance(timedelta(seconds=1))

    async def test_entries_go_until_what_is_left_fits(self, cache: Cache) -> None:
        await self.save_shared(cache, 500, 10, 20, 30)
        used_bytes = (await cache.service.usage(REPOSITORY)).size_bytes

        report = await forget_with(
            cache, Limits(repo_limit_bytes=used_bytes - 19, min_free_bytes=0)
        )

        # The first one frees 18 bytes, since the others have its large pack too.
        assert used_bytes == 3 * 8 + 500 + 60
        assert (report.entry_count, report.size_bytes) == (2, 18 + 28)
        assert await snapshot_keys(cache, "first", "second", "third") == {"third"}
        assert (await cache.service.usage(REPOSITORY)).size_bytes == 8 + 500 + 30

    async def test_all_of_them_go_if_what_they_share_does_not_fit(self, cache: Cache) -> None:
        await self.save_shared(cache, 500, 10, 20, 30)

        report = await forget_with(cache, Limits(repo_limit_bytes=500, min_free_bytes=0))

        assert report.by_reason == Counter({Reason.OVERSIZED: 3})
        assert await cache.service.usage(REPOSITORY) == Usage(REPOSITORY, 0, 0)
        assert report.size_bytes == 3 * 8 + 500 + 60

    async def test_a_used_one_keeps_what_it_shares_with_unused_ones(
        self, cache: Cache, clock: Clock
    ) -> None:
        await self.save_shared(cache, 50, 1, 2, 3)
        clock.advance(6 * DAY)
        assert await cache.snapshot("second") is not None
        await cache.service.record_accesses(link_ms=0)
        clock.advance(2 * DAY)

        await forget_with(cache, Limits(min_free_bytes=0))
        await cache.maintenance.prune()
        clock.advance(DAY)
        await cache.maintenance.prune()

        assert await cache.snapshot("second") == [b"manifest", b"xx", b"c" * 50]
        assert len(cache.files()) == 3

    async def test_what_a_killed_request_left_in_a_pack_is_deleted(self, cache: Cache) -> None:
        upload = await cache.reserve_snapshot("key")
        pack = await cache.write_pack(upload, 0, b"data")
        await cache.write_manifest(upload)
        for blob in cache.files():
            await leave_behind(cache, blob)

        await cache.maintenance.prune()

        assert sorted(map(len, cache.files().values())) == [1, 1]
        await cache.service.snapshots.commit(cache.default, upload.id, [pack])
        assert await cache.snapshot("key") == [b"manifest", b"data"]

    async def test_every_blob_is_proven(self, cache: Cache) -> None:
        await cache.save_snapshot("key", b"one", b"two")

        assert await cache.maintenance.settle() == 0

        assert await cache.catalog.blobs.unsettled(limit=9) == []

    async def test_after_a_power_failure_one_is_a_miss_until_all_of_it_is_verified(
        self, cache: Cache
    ) -> None:
        await cache.maintenance.recover("boot one")
        first = await cache.save_snapshot("first", b"common")
        await cache.maintenance.settle()
        await cache.save_snapshot("second", b"new", shared=[PackName(first.id, 0)])
        torn = await cache.save_snapshot("torn", b"torn", b"data")
        (pack,) = [b for b in await cache.catalog.blobs.of_entry(torn.id) if b.size_bytes == 8][:1]
        part_path(cache, pack.name).write_bytes(bytes(8))
        upload = await cache.reserve_snapshot("upload", bases=[first.id])

        lost = await cache.maintenance.recover("boot two")
        at_first = await snapshot_keys(cache, "first", "second", "torn")
        damaged = await cache.maintenance.settle()

        assert (lost, at_first, damaged) == (0, {"first"}, 1)
        assert await cache.snapshot("second") == [b"manifest", b"new", b"common"]
        assert await snapshot_keys(cache, "first", "second", "torn") == {"first", "second"}
        with pytest.raises(UploadGone):
            await cache.write_manifest(upload)
        assert (await cache.maintenance.check(read_data=True)).problems == []

    async def test_a_check_looks_once_at_what_is_shared(self, cache: Cache) -> None:
        await self.save_shared(cache, 500, 10, 20, 30)

        report = await cache.maintenance.check(read_data=True)

        assert (report.entry_count, report.size_bytes) == (3, 3 * 8 + 500 + 60)
        assert report.problems == []

    @pytest.mark.parametrize("is_settled", [True, False])
    async def test_a_pack_that_rots_damages_all_that_have_it(
        self, cache: Cache, *, is_settled: bool
    ) -> None:
        # Packs have a digest from the start, archives only behind their commit.
        await self.save_shared(cache, 500, 10, 20, 30)
        if is_settled:
            await cache.maintenance.settle()
        await cache.save_snapshot("other", b"whole")
        part_path(cache, await blob_of_size(cache, 500)).write_bytes(b"!" * 500)

        assert (await cache.maintenance.check()).problems == []
        found = (await cache.maintenance.check(read_data=True, repair=True)).problems

        assert [problem.subject.rpartition(" ")[2] for problem in found] == [
            "first",
            "second",
            "third",
        ]
        assert {problem.detail for problem in found} == {"its bytes have changed"}
        assert await keys_left(cache) == {"other"}
        assert (await cache.maintenance.check(read_data=True)).problems == []

    async def test_an_entry_that_lost_several_packs_is_one_problem(self, cache: Cache) -> None:
        await cache.save_snapshot("key", b"1", b"22")
        for size_bytes in (1, 2):
            part_path(cache, await blob_of_size(cache, size_bytes)).unlink()

        (problem,) = (await cache.maintenance.check()).problems

        assert (problem.subject, problem.detail) == (
            "octo/hello refs/heads/main key",
            "bytes are missing",
        )

    async def test_verifying_one_entry_reads_no_other(self, cache: Cache) -> None:
        await self.save_shared(cache, 500, 10, 20, 30)
        for size_bytes in (500, 10):
            part_path(cache, await blob_of_size(cache, size_bytes)).write_bytes(b"!" * size_bytes)
        shared = await blob_of_size(cache, 500)

        damaged = await cache.maintenance.verify(2)

        assert damaged == [shared]
        assert await keys_left(cache) == set()
        assert await cache.maintenance.verify(2) == []
        assert await cache.maintenance.verify(99) == []

    async def test_what_has_no_digest_yet_is_verified_by_its_size(self, cache: Cache) -> None:
        await cache.save("key", b"data")

        assert await cache.maintenance.verify(1) == []

        part_path(cache, await blob_of_size(cache, 4)).unlink()
        assert len(await cache.maintenance.verify(1)) == 1
        assert await keys_left(cache) == set()
