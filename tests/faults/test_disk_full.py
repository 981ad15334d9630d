"""A full disk: the job is told, the server goes on, and the key is free for the next one."""

import asyncio
import os
import resource
from pathlib import Path

from runcache.testing import LiveServer
from tests.faults.conftest import StartServer
from tests.faults.raw_job import VERSION, RawJob

MIB = 1024 * 1024


async def test_a_disk_that_fills_up_during_an_upload_frees_the_key(server: LiveServer) -> None:
    async with RawJob(server) as job, RawJob(server) as another:
        link = (await job.reserve("big")).body["signed_upload_url"]
        taken = await another.reserve("big")
        # A limit on file sizes fails in write(2), as a full disk does.
        resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE, (4 * MIB, -1))

        refused = await job.put(link, os.urandom(8 * MIB))

        resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE, (-1, -1))
        assert taken.status == 409
        assert refused.status == 507
        assert refused.headers["x-ms-error-code"] == "InsufficientStorage"
        assert "<Message>the cache server's disk is full</Message>" in refused.body
        assert (await another.save("big", b"smaller")).body["ok"] is True
        assert await another.content("big") == b"smaller"
        assert await _sizes_on_disk(server.data / "blobs") == [len(b"smaller")]


async def test_an_upload_that_would_leave_too_little_is_refused_in_every_dialect(
    start_server: StartServer,
) -> None:
    server = await asyncio.to_thread(start_server, min_free="1000TB")
    async with RawJob(server) as job:
        over_v2 = await job.reserve("any")
        over_v1 = await job.request(
            "POST",
            f"{job.url}/_apis/artifactcache/caches",
            json={"key": "any", "version": VERSION},
            headers={"Authorization": f"Bearer {job.token}"},
        )
        ready = await job.request("GET", f"{job.url}/readyz")

    assert over_v2.status == 200
    assert over_v2.body["ok"] is False
    assert "disk is full" in over_v2.body["message"]
    assert over_v1.status == 507
    assert "disk is full" in over_v1.body["message"]
    assert ready.status == 503
    assert "disk is full" in ready.body["store"]


async def _sizes_on_disk(blobs: Path) -> list[int]:
    """Return the sizes of all parts."""

    def sizes() -> list[int]:
        return [file.stat().st_size for file in blobs.glob("*/*/*")]

    return await asyncio.to_thread(sizes)
