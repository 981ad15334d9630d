"""A job that dies between reserving and committing does not lock its key for a day."""

from datetime import timedelta
from pathlib import Path

import pytest

from runcache.errors import EntryExists, UploadGone
from tests.in_process import VERSION, body_of, job, open_cache


async def test_another_job_may_have_a_key_that_is_silent_for_minutes(tmp_path: Path) -> None:
    async with open_cache(tmp_path) as cache:
        abandoned = await cache.reserve("key", grant=job())
        cache.clock.advance(timedelta(minutes=5, seconds=1))

        await cache.save("key", b"of another job", grant=job())

        assert await cache.content("key") == b"of another job"
        with pytest.raises(UploadGone):
            await cache.service.write_whole(abandoned.blob, body_of(b"x"), announced_bytes=1)


async def test_a_job_that_sends_blocks_keeps_its_key(tmp_path: Path) -> None:
    async with open_cache(tmp_path) as cache:
        slow = await cache.reserve("key", grant=job())
        cache.clock.advance(timedelta(minutes=4))
        await cache.write_blocks(slow, [("a", b"a")])
        cache.clock.advance(timedelta(minutes=4))

        with pytest.raises(EntryExists):
            await cache.service.reserve(job(), "key", VERSION)


async def test_a_job_in_the_middle_of_a_long_body_keeps_its_key(tmp_path: Path) -> None:
    async with open_cache(tmp_path) as cache:
        slow = await cache.reserve("key", grant=job())
        cache.clock.advance(timedelta(minutes=4))
        await cache.maintenance.keep([], written=[slow.blob], lease=timedelta(minutes=5))
        cache.clock.advance(timedelta(minutes=4))

        with pytest.raises(EntryExists):
            await cache.service.reserve(job(), "key", VERSION)
