"""New blobs are proven, and damage is found."""

import hashlib
import os

import pytest

from runcache.store import layout
from tests.in_process import VERSION, Cache, Clock
from tests.maintenance.acts import DAY, keys_left, leave_behind, part_path


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
        await part.hand_over()

    (found,) = (await cache.maintenance.check(repair=True)).problems

    assert found.subject == f"{hit.blob}/{name}"
    assert len(cache.files()[hit.blob]) == 1
    assert await cache.content("key") == b"data"
