"""A cache goes to another store while a server uses it: nothing that was saved is lost."""

import asyncio
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from runcache.testing import LiveServer
from tests.faults.raw_job import RawJob

_MIGRATE: Final = (sys.executable, "-m", "runcache.cli.main", "migrate-store")


async def test_no_save_is_lost_on_the_way_to_another_store(
    tmp_path: Path, s3_store_url: str, s3_environment: Mapping[str, str]
) -> None:
    blobs = (tmp_path / "data" / "blobs").as_uri()
    saved: dict[str, bytes] = {}
    started, migrated = asyncio.Event(), asyncio.Event()
    server = await asyncio.to_thread(
        LiveServer, tmp_path / "data", environ=s3_environment, drain_for="0s"
    )

    async def save_until_migrated(job: RawJob) -> None:
        while not migrated.is_set():
            key, data = f"key-{len(saved)}", b"%d" % len(saved) * 100
            answer = await job.save(key, data, blocks=len(saved) % 3)
            assert answer.body["ok"] is True, answer
            saved[key] = data
            if len(saved) == 20:
                started.set()

    async def migrate() -> None:
        command = (*_MIGRATE, "--data", str(server.data), blobs, s3_store_url)
        await asyncio.to_thread(_run, command, s3_environment)

    async with RawJob(server) as job:
        link = await job.upload_link("begun before")
        await job.put_block(link, "a", b"first")
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(save_until_migrated(job))
            await started.wait()
            await migrate()
            migrated.set()
        old_link = await job.download_link("key-0")
        await job.put_block(link, "b", b"second")
        await asyncio.to_thread(server.stop)
        await migrate()

    moved = await asyncio.to_thread(
        LiveServer,
        tmp_path / "data",
        environ=s3_environment,
        store=s3_store_url,
        port=server.url.rpartition(":")[2].strip("/"),
    )
    async with RawJob(moved, token=job.token) as job:
        assert (await job.put_block_list(link, ["a", "b"])).status == 201
        assert (await job.finalize("begun before", len(b"firstsecond"))).body["ok"] is True
        restored = {key: await job.content(key) for key in saved}
        assert restored == saved
        assert await job.content("begun before") == b"firstsecond"
        assert old_link is not None
        assert await job.get(old_link) == saved["key-0"]
    await asyncio.to_thread(moved.stop)


def _run(command: tuple[str, ...], environ: Mapping[str, str]) -> None:
    subprocess.run(command, env=environ, capture_output=True, check=True)
