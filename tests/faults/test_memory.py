"""Slow clients, many at once: what they are sent or send is not kept in memory."""

import asyncio
import os
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, contextmanager
from typing import Final
from urllib.parse import urlsplit

from runcache.testing import LiveServer
from tests.faults.native_job import NativeJob
from tests.faults.raw_job import RawJob
from tests.faults.raw_socket import slow_connection

KIB: Final = 1024
MIB: Final = 1024 * KIB
CLIENTS: Final = 8
ENTRY_BYTES: Final = 256 * MIB
UPLOAD_BYTES: Final = 16 * MIB
LIMIT_BYTES: Final = 200 * 10**6


async def test_slow_uploads_and_downloads_cost_no_memory(server: LiveServer) -> None:
    before = await asyncio.to_thread(server.rss_bytes)
    async with RawJob(server) as job:
        await _save_large(job)
        link = await job.download_link("large")
        assert link is not None
        links = [await job.upload_link(f"slow{number}") for number in range(CLIENTS)]

        highest = before
        with ExitStack() as stack:
            readers = [stack.enter_context(_reader(link)) for _ in range(CLIENTS)]
            async with asyncio.TaskGroup() as group:
                uploads = [group.create_task(job.put(link, _trickle())) for link in links]
                while not all(upload.done() for upload in uploads):
                    for reader in readers:
                        assert await asyncio.to_thread(reader.recv, 4096)
                    highest = max(highest, await asyncio.to_thread(server.rss_bytes))
                    await asyncio.sleep(0.02)

        assert [upload.result().status for upload in uploads] == [201] * CLIENTS
        assert highest < LIMIT_BYTES, f"{highest / MIB:.0f} MiB, from {before / MIB:.0f} MiB"
        assert (await job.finalize("slow0", UPLOAD_BYTES)).body["ok"] is True


async def test_packs_cost_no_memory_however_large_they_are(server: LiveServer) -> None:
    pack = bytes(64 * MIB)
    async with NativeJob(server) as job:
        upload_id = await job.upload("large")
        highest = 0
        async with asyncio.TaskGroup() as group:
            uploads = [
                group.create_task(job.put_pack(upload_id, number, pack))
                for number in range(CLIENTS)
            ]
            while not all(upload.done() for upload in uploads):
                highest = max(highest, await asyncio.to_thread(server.rss_bytes))
                await asyncio.sleep(0.02)

        assert [upload.result().status for upload in uploads] == [204] * CLIENTS
        assert highest < LIMIT_BYTES, f"{highest / MIB:.0f} MiB"
        await job.put_manifest(upload_id)
        names = [f"{upload_id}-{number}" for number in range(CLIENTS)]
        committed = await job.commit(upload_id, names)
        assert committed.body["size_bytes"] > CLIENTS * len(pack)


async def _save_large(job: RawJob) -> None:
    block = bytes(32 * MIB)
    link = await job.upload_link("large")
    ids = [f"block{number}" for number in range(ENTRY_BYTES // len(block))]
    for block_id in ids:
        assert (await job.put_block(link, block_id, block)).status == 201
    await job.put_block_list(link, ids)
    assert (await job.finalize("large", ENTRY_BYTES)).body["ok"] is True


async def _trickle() -> AsyncIterator[bytes]:
    """Yield an upload in small pieces, with time between them."""
    piece = os.urandom(64 * KIB)
    for _ in range(UPLOAD_BYTES // len(piece)):
        yield piece
        await asyncio.sleep(0.01)


@contextmanager
def _reader(link: str) -> Iterator[socket.socket]:
    """Open a connection that has asked for a download and takes it slowly."""
    url = urlsplit(link)
    with slow_connection(link) as connection:
        connection.sendall(f"GET {url.path}?{url.query} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        yield connection
