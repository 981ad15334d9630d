"""Downloads of what is read often come from the disk of the server, whatever the store is."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

import pytest
from structlog.testing import capture_logs

from tests.faults.raw_job import RawJob
from tests.server.serving import Served, serving

DATA: Final = bytes(range(256)) * 4096 * 2
BLOCKS: Final = 4


@asynccontextmanager
async def with_read_cache(folder: Path, *, store: str | None = None) -> AsyncIterator[RawJob]:
    location = store or (folder / "blobs").as_uri()
    async with (
        serving(folder, read_cache="16MB", store=location) as server,
        RawJob(server) as job,
    ):
        yield job


def files_of(folder: Path) -> list[Path]:
    """Return the files that are kept whole."""
    return [path for path in (folder / "read-cache").glob("*/*") if not path.suffix]


async def keep(job: RawJob, folder: Path) -> Path:
    """Save an entry, read it until it is kept, and return its file."""
    await job.save("key", DATA, blocks=BLOCKS)
    # Its digest is taken behind the commit: without one nothing is kept.
    while not await asyncio.to_thread(files_of, folder):
        assert await job.content("key") == DATA
    (file,) = await asyncio.to_thread(files_of, folder)
    return file


async def values(job: RawJob) -> dict[str, float]:
    text = (await job.request("GET", f"{job.url}/metrics")).body
    lines = [line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#")]
    return {
        name.removeprefix("runcache_read_cache_"): float(value)
        for name, value in lines
        if name.startswith("runcache_read_cache_")
    }


@pytest.mark.usefixtures("s3_credentials")
async def test_what_is_read_often_does_not_come_from_the_bucket(
    tmp_path: Path, s3_store_url: str
) -> None:
    async with with_read_cache(tmp_path, store=s3_store_url) as job:
        file = await keep(job, tmp_path)
        link = await job.download_link("key")
        assert link is not None
        before = await values(job)

        contents = await asyncio.gather(*(job.get(link) for _ in range(8)))
        part = await job.request("GET", link, headers={"Range": "bytes=1000000-1000009"})
        after = await values(job)

    assert set(contents) == {DATA}
    assert part.body == DATA[1_000_000:1_000_010]
    assert await asyncio.to_thread(file.read_bytes) == DATA
    assert after["misses_total"] == before["misses_total"] > 0
    assert after["hits_total"] - before["hits_total"] == 8 * BLOCKS + 1
    assert after["bytes_total"] - before["bytes_total"] == 8 * len(DATA) + 10


async def test_a_damaged_file_is_read_from_the_store_again_and_told(tmp_path: Path) -> None:
    async with with_read_cache(tmp_path) as job:
        file = await keep(job, tmp_path)
        await asyncio.to_thread(file.write_bytes, DATA[::-1])

        with capture_logs() as logs:
            content = await job.content("key")
        damaged = (await values(job))["damaged_files_total"]

    assert content == DATA
    assert damaged == 1
    told = [log for log in logs if log["event"] == "read_cache.damaged"]
    assert [(log["log_level"], log["blob"]) for log in told] == [("error", file.name)]


async def test_it_goes_on_after_a_restart(tmp_path: Path) -> None:
    async with with_read_cache(tmp_path) as job:
        await keep(job, tmp_path)

    async with with_read_cache(tmp_path) as job:
        assert await job.content("key") == DATA

        async def is_read_locally() -> bool:
            assert await job.content("key") == DATA
            return (await values(job))["hits_total"] > 0

        async with asyncio.timeout(10):
            while not await is_read_locally():
                pass


async def test_without_a_size_nothing_is_kept(server: Served) -> None:
    async with RawJob(server) as job:
        await job.save("key", DATA)
        for _ in range(3):
            assert await job.content("key") == DATA
        counted = await values(job)

    assert not await asyncio.to_thread((server.settings.data / "read-cache").exists)
    assert set(counted.values()) == {0}
