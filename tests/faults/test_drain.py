"""SIGTERM: what is under way ends well, what is new is refused, and then the process ends."""

import asyncio
import os
import signal

from runcache.testing import LiveServer
from tests.faults.conftest import StartServer
from tests.faults.native_job import NativeJob
from tests.faults.raw_job import RawJob

MIB = 1024 * 1024


async def test_an_upload_in_blocks_is_finished_after_sigterm(server: LiveServer) -> None:
    data = os.urandom(3 * MIB)
    async with RawJob(server) as job:
        link = (await job.reserve("half-done")).body["signed_upload_url"]
        await job.put_block(link, "a", data[:MIB])

        server.process.send_signal(signal.SIGTERM)
        await _is_draining(job)
        refused = await job.reserve("too-late")
        await job.put_block(link, "b", data[MIB:])
        await job.put_block_list(link, ["a", "b"])
        finalized = await job.finalize("half-done", len(data))
        assert await asyncio.to_thread(server.process.wait, 20) == 0

        assert (refused.status, refused.body["code"]) == (503, "unavailable")
        assert finalized.body["ok"] is True
        await asyncio.to_thread(server.restart)
        assert await job.content("half-done") == data


async def test_a_snapshot_is_finished_after_sigterm(server: LiveServer) -> None:
    packs = [os.urandom(5 * MIB), os.urandom(MIB)]
    async with NativeJob(server) as job:
        upload_id = await job.upload("half-done")
        await job.put_pack(upload_id, 0, packs[0])

        server.process.send_signal(signal.SIGTERM)
        await _is_draining(job)
        refused = await job.reserve_snapshot("too-late")
        await job.put_pack(upload_id, 1, packs[1])
        await job.put_manifest(upload_id)
        committed = await job.commit(upload_id, [f"{upload_id}-0", f"{upload_id}-1"])
        assert await asyncio.to_thread(server.process.wait, 20) == 0

        assert (refused.status, refused.body["code"]) == (503, "unavailable")
        assert committed.status == 200
        await asyncio.to_thread(server.restart)
        assert await job.snapshot("half-done") == packs


async def test_a_download_is_finished_after_sigterm(server: LiveServer) -> None:
    data = os.urandom(64 * MIB)
    async with RawJob(server) as job:
        await job.save("whole", data)
        link = (await job.find("whole")).body["signed_download_url"]
        async with job.session.get(link) as response:
            begun = await response.content.readexactly(MIB)

            server.process.send_signal(signal.SIGTERM)
            await _is_draining(job)
            rest = await response.content.read()

        assert begun + rest == data
        assert await asyncio.to_thread(server.process.wait, 20) == 0


async def test_an_idle_server_ends_at_once_although_connections_are_open(
    server: LiveServer,
) -> None:
    async with RawJob(server) as job:
        await job.find("nothing")

        assert await asyncio.to_thread(server.stop) == 0


async def test_a_second_sigterm_does_not_wait(start_server: StartServer) -> None:
    server = await asyncio.to_thread(start_server, drain_for="1h")
    async with RawJob(server) as job:
        await job.save("whole", os.urandom(64 * MIB))
        link = (await job.find("whole")).body["signed_download_url"]
        async with job.session.get(link) as response:
            await response.content.readexactly(MIB)
            server.process.send_signal(signal.SIGTERM)
            await _is_draining(job)

            server.process.send_signal(signal.SIGTERM)

            assert await asyncio.to_thread(server.process.wait, 20) == 0


async def test_drain_for_ends_the_patience(start_server: StartServer) -> None:
    server = await asyncio.to_thread(start_server, drain_for="1s")
    async with RawJob(server) as job:
        await job.save("whole", os.urandom(64 * MIB))
        link = (await job.find("whole")).body["signed_download_url"]
        async with job.session.get(link) as response:
            await response.content.readexactly(MIB)

            assert await asyncio.to_thread(server.stop) == 0


async def _is_draining(job: RawJob) -> None:
    """Return once the server says that it takes no new uploads."""
    async with asyncio.timeout(10):
        while True:
            answer = await job.request("GET", f"{job.url}/readyz")
            if answer.status == 503:
                assert "uploads" in answer.body
                return
