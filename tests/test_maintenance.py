"""Looking after what is kept: forget, prune, settle, recover, check."""

import asyncio
import hashlib
import os
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import aclosing
from datetime import timedelta
from pathlib import Path

import pytest

from runcache.catalog.references import GRACE_MS
from runcache.errors import UploadGone
from runcache.maintenance import ForgetReport
from runcache.model import PackName, Span, Usage
from runcache.retention import Limits, Reason
from runcache.server.background import LEASE, LEASE_EVERY_SECONDS
from runcache.service import UploadLimits
from runcache.store import layout
from runcache.store.local import LocalStore
from tests.in_process import REPOSITORY, VERSION, Cache, Clock, body_of, job, open_cache

DAY = timedelta(days=1)
LINK_TTL = timedelta(hours=1)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def cache(tmp_path: Path, clock: Clock) -> AsyncIterator[Cache]:
    async with open_cache(tmp_path, clock=clock) as cache:
        yield cache


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


class TestForget:
    """Which entries go."""

    async def test_within_the_limits_nothing_does(self, cache: Cache) -> None:
        await save_each(cache, {"a": 100, "b": 100})

        report = await forget_with(cache, Limits(repo_limit_bytes=200, min_free_bytes=0))

        assert report.entry_count == 0
        assert await keys_left(cache) == {"a", "b"}

    async def test_a_week_after_its_last_access_an_entry_does(
        self, cache: Cache, clock: Clock
    ) -> None:
        for key in ("read", "unread"):
            await cache.save(key)
        clock.advance(6 * DAY)
        await access(cache, "read")
        clock.advance(1 * DAY + timedelta(milliseconds=1))

        report = await forget_with(cache, Limits(min_free_bytes=0))

        assert report.by_reason == Counter({Reason.UNUSED: 1})
        assert await keys_left(cache) == {"read"}

    async def test_above_the_limit_the_least_recently_used_do(self, cache: Cache) -> None:
        await save_each(cache, {"a": 100, "b": 100, "c": 100, "d": 100})
        await access(cache, "a")

        report = await forget_with(cache, Limits(repo_limit_bytes=250, min_free_bytes=0))

        assert report.by_reason == Counter({Reason.REPO_LIMIT: 2})
        assert report.size_bytes == 200
        assert await keys_left(cache) == {"a", "d"}

    async def test_one_that_alone_exceeds_the_limit_does_and_nothing_else(
        self, cache: Cache
    ) -> None:
        await save_each(cache, {"a": 100, "huge": 251, "b": 100})

        report = await forget_with(cache, Limits(repo_limit_bytes=250, min_free_bytes=0))

        assert report.by_reason == Counter({Reason.OVERSIZED: 1})
        assert await keys_left(cache) == {"a", "b"}

    async def test_each_repository_has_a_limit_of_its_own(self, cache: Cache) -> None:
        other = job(repository="octo/other")
        await save_each(cache, {"a": 100, "b": 100})
        for key in ("c", "d"):
            await cache.save(key, b"x" * 60, grant=other)

        await forget_with(cache, Limits(repo_limit_bytes=150, min_free_bytes=0))

        assert await keys_left(cache) == {"b"}
        assert len(await cache.service.newest(other, "", limit=9)) == 2

    async def test_above_the_total_limit_those_of_all_repositories_do(self, cache: Cache) -> None:
        other = job(repository="octo/other")
        await cache.save("oldest", b"x" * 100, grant=other)
        cache.clock.advance(timedelta(seconds=1))
        await save_each(cache, {"a": 100, "huge": 301, "b": 100})

        report = await forget_with(
            cache, Limits(total_limit_bytes=250, repo_limit_bytes=10_000, min_free_bytes=0)
        )

        assert report.by_reason == Counter({Reason.OVERSIZED: 1, Reason.TOTAL_LIMIT: 1})
        assert await keys_left(cache) == {"a", "b"}
        assert await cache.service.newest(other, "", limit=9) == []

    async def test_more_than_one_page_of_entries_can_go(self, cache: Cache) -> None:
        await save_many(cache, 520)
        cache.clock.advance(timedelta(seconds=1))
        await cache.save("last", b"x")

        report = await forget_with(cache, Limits(repo_limit_bytes=1, min_free_bytes=0))

        assert report.by_reason == Counter({Reason.REPO_LIMIT: 520})
        assert await keys_left(cache) == {"last"}

    async def test_more_than_one_page_of_unused_entries_can_go(
        self, cache: Cache, clock: Clock
    ) -> None:
        await save_many(cache, 520)
        clock.advance(8 * DAY)
        await cache.save("last", b"x")

        report = await forget_with(cache, Limits(min_free_bytes=0))

        assert report.by_reason == Counter({Reason.UNUSED: 520})
        assert await keys_left(cache) == {"last"}


def _used_bytes(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


class SmallDisk(LocalStore):
    """A store on a disk of 1000 bytes that holds nothing else."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.root = root

    async def free_bytes(self) -> int:
        return 1000 - await self.run(_used_bytes, self.root)


async def test_on_a_full_disk_entries_go_until_min_free_is_left(tmp_path: Path) -> None:
    store = SmallDisk(tmp_path / "blobs")
    limits = Limits(min_free_bytes=400)
    async with open_cache(tmp_path, limits=limits, wrapped_store=lambda _: store) as cache:
        await save_each(cache, {"a": 300, "b": 300, "c": 200})

        foreseen = await cache.maintenance.forget(dry_run=True)
        report = await cache.maintenance.forget()
        again = await cache.maintenance.forget()

        assert report.by_reason == foreseen.by_reason == Counter({Reason.MIN_FREE: 1})
        assert await keys_left(cache) == {"b", "c"}
        # Bytes that only wait for their links to end count as free already.
        assert again.entry_count == 0
    store.close()


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
            part.hand_over()

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
                read += piece.file.read(piece.count)
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
                read += piece.file.read(piece.count)
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


async def leave_behind(cache: Cache, blob: str, data: bytes = b"torn") -> str:
    """Leave a part as a request does that is cut off between its file and its row."""
    name = layout.new_part_name()
    async with cache.store.receive(blob, name) as part:
        await part.write(data)
        part.hand_over()
    return name


class TestSettle:
    """What is proven after a commit."""

    async def test_digest_and_durability_are(self, cache: Cache) -> None:
        await cache.save_blocks("key", [b"in ", b"blocks"])
        hit = await cache.find("key")
        assert hit is not None

        assert await cache.maintenance.settle() == 0

        (blob,) = await cache.catalog.blobs.committed(limit=9)
        assert blob.sha256 == hashlib.sha256(b"in blocks").digest()

    async def test_nothing_is_proven_twice(self, cache: Cache) -> None:
        await cache.save("key")

        await cache.maintenance.settle()

        assert await cache.catalog.blobs.unsettled(limit=9) == []
        assert await cache.maintenance.settle() == 0

    async def test_what_a_killed_request_left_beside_an_entry_is_deleted(
        self, cache: Cache
    ) -> None:
        await cache.save("key", b"data")
        hit = await cache.find("key")
        assert hit is not None
        await leave_behind(cache, hit.blob)

        await cache.maintenance.settle()

        assert len(cache.files()[hit.blob]) == 1
        assert await cache.content("key") == b"data"

    async def test_an_entry_that_lost_bytes_is_forgotten(self, cache: Cache) -> None:
        await cache.save("lost", b"data")
        await cache.save("kept", b"data")
        hit = await cache.find("lost")
        assert hit is not None
        await cache.store.delete(hit.blob)

        assert await cache.maintenance.settle() == 1

        assert await keys_left(cache) == {"kept"}

    async def test_an_entry_that_was_forgotten_meanwhile_is_no_damage(
        self, cache: Cache, clock: Clock
    ) -> None:
        await cache.save("key", b"data")
        await cache.catalog.entries.forget([1], now_ms=clock(), link_ms=0)
        clock.advance(DAY)
        await cache.maintenance.prune()

        assert await cache.maintenance.settle() == 0


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

    async def test_counts_are_right_afterwards(self, cache: Cache) -> None:
        await cache.maintenance.recover("boot one")
        for number in range(5):
            await cache.save(f"key-{number}", b"data")

        await cache.maintenance.recover("boot two")

        assert await cache.catalog.repositories.usage(REPOSITORY) == Usage(REPOSITORY, 0, 0)
        assert (await cache.maintenance.check()).problems == []


def part_path(cache: Cache, blob: str) -> Path:
    (path,) = (cache.folder / "blobs" / blob[:2] / blob).iterdir()
    return path


class TestCheck:
    """What is found to be wrong."""

    async def test_nothing_is_where_all_is_well(self, cache: Cache) -> None:
        await cache.save("one", b"data")
        await cache.save_blocks("two", [b"in ", b"blocks"])
        await cache.reserve("upload")
        await cache.maintenance.settle()

        report = await cache.maintenance.check(read_data=True)

        assert (report.entry_count, report.size_bytes, report.problems) == (2, 13, [])

    @pytest.mark.parametrize("size_bytes", [None, 0, 3, 5])
    async def test_bytes_that_are_missing_are(self, cache: Cache, size_bytes: int | None) -> None:
        await cache.save("damaged", b"data")
        await cache.save("whole", b"data")
        hit = await cache.find("damaged")
        assert hit is not None
        path = part_path(cache, hit.blob)
        path.unlink() if size_bytes is None else os.truncate(path, size_bytes)

        (problem,) = (await cache.maintenance.check()).problems
        assert (problem.kind, problem.is_repaired) == ("damaged", False)
        assert problem.subject == "octo/hello refs/heads/main damaged"
        assert await keys_left(cache) == {"damaged", "whole"}

        (problem,) = (await cache.maintenance.check(repair=True)).problems
        assert problem.is_repaired
        assert await keys_left(cache) == {"whole"}
        assert (await cache.maintenance.check()).problems == []

    async def test_a_bit_that_flipped_is_when_the_data_is_read(self, cache: Cache) -> None:
        await cache.save("rotten", b"data")
        await cache.maintenance.settle()
        hit = await cache.find("rotten")
        assert hit is not None
        part_path(cache, hit.blob).write_bytes(b"dat!")

        assert (await cache.maintenance.check()).problems == []
        (problem,) = (await cache.maintenance.check(read_data=True, repair=True)).problems

        assert problem.detail == "its bytes have changed"
        assert await cache.find("rotten") is None

    async def test_what_no_row_names_is(self, cache: Cache) -> None:
        orphan = layout.new_blob_name()
        await leave_behind(cache, orphan)

        (found,) = (await cache.maintenance.check()).problems
        (repaired,) = (await cache.maintenance.check(repair=True)).problems

        assert (found.kind, found.subject, found.is_repaired) == ("orphan", orphan, False)
        assert repaired.is_repaired
        assert cache.files() == {}

    async def test_the_bytes_of_an_evicted_entry_are_not_a_problem(
        self, cache: Cache, clock: Clock
    ) -> None:
        await cache.save("key", b"data")
        await cache.catalog.entries.forget([1], now_ms=clock(), link_ms=3_600_000)

        report = await cache.maintenance.check(read_data=True, repair=True)

        assert report.problems == []
        assert len(cache.files()) == 1

    async def test_a_part_that_a_row_names_is_never_deleted_by_a_repair(self, cache: Cache) -> None:
        upload = await cache.reserve("key")
        await cache.write_blocks(upload, [("A", b"data")])

        await cache.maintenance.check(read_data=True, repair=True)

        await cache.service.order_blocks(upload.blob, ["A"])
        await cache.service.commit(cache.default, "key", VERSION, 4)
        assert await cache.content("key") == b"data"


async def test_what_a_late_writer_left_beside_an_entry_is_found_and_removed(cache: Cache) -> None:
    # It was still writing when the entry was settled, and was killed then.
    await cache.save("key", b"data")
    hit = await cache.find("key")
    assert hit is not None
    name = layout.new_part_name()
    async with cache.store.receive(hit.blob, name) as part:
        await part.write(b"late")
        await cache.maintenance.settle()
        part.hand_over()

    (found,) = (await cache.maintenance.check(repair=True)).problems

    assert found.subject == f"{hit.blob}/{name}"
    assert len(cache.files()[hit.blob]) == 1
    assert await cache.content("key") == b"data"


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


async def sweep_once(cache: Cache) -> None:
    await cache.maintenance.forget()
    await cache.maintenance.prune()


async def snapshot_keys(cache: Cache, *keys: str) -> set[str]:
    return {key for key in keys if await cache.snapshot(key) is not None}


async def blob_of_size(cache: Cache, size_bytes: int) -> str:
    blobs = await cache.catalog.blobs.committed(limit=99)
    (name,) = [blob.name for blob in blobs if blob.size_bytes == size_bytes]
    return name


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
