"""Long bodies, which come straight from the socket to the disk."""

import asyncio
import os
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from runcache.server.transfers import TAKE_OVER_FROM_BYTES, SocketBytes
from tests.faults.raw_job import RawJob
from tests.faults.raw_socket import connect, eventually
from tests.server.serving import Served

MIB = 1024 * 1024


def head(link: str, size_bytes: int) -> bytes:
    target = link[link.index("/devstoreaccount1") :]
    host = urlsplit(link).netloc
    return (
        f"PUT {target} HTTP/1.1\r\nHost: {host}\r\nx-ms-blob-type: BlockBlob\r\n"
        f"Content-Length: {size_bytes}\r\n\r\n"
    ).encode()


@pytest.mark.parametrize("extra_bytes", [-1, 0, 1, 4 * MIB, 9 * MIB + 7])
async def test_every_byte_arrives_once_and_in_order(server: Served, extra_bytes: int) -> None:
    data = os.urandom(TAKE_OVER_FROM_BYTES + extra_bytes)
    async with RawJob(server) as job:
        saved = await job.save("long", data)

        assert saved.body["ok"] is True
        assert await job.content("long") == data


async def test_a_body_that_trickles_arrives_without_keeping_a_thread(server: Served) -> None:
    data = os.urandom(TAKE_OVER_FROM_BYTES)
    async with RawJob(server) as job:
        links = [await job.upload_link(f"slow-{number}") for number in range(40)]

        async def trickle(number: int, goes_on: asyncio.Event) -> bytes:
            async with connect(links[number]) as (reader, writer):
                writer.write(head(links[number], len(data)))
                for start in range(0, 8192, 1024):
                    writer.write(data[start : start + 1024])
                    await writer.drain()
                await goes_on.wait()
                writer.write(data[8192:])
                return await reader.readline()

        # More of them than the store has threads: others are served all the same.
        goes_on = asyncio.Event()
        slow = [asyncio.create_task(trickle(number, goes_on)) for number in range(40)]
        await eventually(lambda: server.wired.transfers.count == 40)
        quick = await job.save("quick", data)
        goes_on.set()
        answers = await asyncio.gather(*slow)

        assert quick.body["ok"] is True
        assert answers == [b"HTTP/1.1 201 Created\r\n"] * 40
        finalized = await job.finalize("slow-39", len(data))
        assert finalized.body["ok"] is True
        assert await job.content("slow-39") == data


async def test_the_connection_ends_with_the_answer(server: Served) -> None:
    async with RawJob(server) as job:
        link = await job.upload_link("long")
        async with connect(link) as (reader, writer):
            writer.write(head(link, TAKE_OVER_FROM_BYTES) + bytes(TAKE_OVER_FROM_BYTES))

            answer = await asyncio.wait_for(reader.read(), 30)

    assert answer.startswith(b"HTTP/1.1 201 ")
    assert b"\r\nConnection: close\r\n" in answer


async def test_a_body_that_ends_early_is_no_part_of_the_upload(server: Served) -> None:
    async with RawJob(server) as job:
        link = await job.upload_link("long")
        async with connect(link) as (_, writer):
            writer.write(head(link, TAKE_OVER_FROM_BYTES + MIB) + bytes(TAKE_OVER_FROM_BYTES))
            await writer.drain()
        await eventually(lambda: server.wired.transfers.count == 0)

        refused = await job.finalize("long", TAKE_OVER_FROM_BYTES + MIB)
        again = await job.save("long", b"again")

    assert refused.status == 400
    assert again.body["ok"] is True


async def test_a_link_that_ends_meanwhile_is_answered(server: Served) -> None:
    async with RawJob(server) as job:
        link = await job.upload_link("long")
        async with connect(link) as (reader, writer):
            writer.write(head(link, 64 * MIB) + bytes(5 * MIB))
            await eventually(lambda: server.wired.transfers.count == 1)
            # The same job reserves again: what it sends over the old link goes nowhere.
            await job.upload_link("long")
            writer.write(bytes(59 * MIB))

            answer = await asyncio.wait_for(reader.readline(), 30)

    assert answer.startswith(b"HTTP/1.1 404 ")


async def test_what_is_readable_at_once_is_not_waited_for() -> None:
    reading, writing = os.pipe()
    try:
        os.write(writing, b"there")

        await asyncio.wait_for(SocketBytes(reading, 5).readable(), 5)
    finally:
        os.close(reading)
        os.close(writing)


async def test_a_refusal_in_the_middle_reaches_who_still_sends(server: Served) -> None:
    async with RawJob(server) as job:
        link = await job.upload_link("long")
        async with connect(link) as (reader, writer):
            writer.write(head(link, 64 * MIB) + bytes(5 * MIB))
            await eventually(lambda: server.wired.transfers.count == 1)
            await asyncio.to_thread(_fill_up, server)
            writer.write(bytes(59 * MIB))

            answer = await asyncio.wait_for(reader.readline(), 30)

    assert answer.startswith(b"HTTP/1.1 502 ")


def _fill_up(server: Served) -> None:
    """Break the disk under the upload: its part can no longer be written."""
    for file in (server.settings.data / "blobs").glob("*/*/*"):
        for descriptor in os.listdir("/proc/self/fd"):  # noqa: PTH208  -- names are what is wanted
            # The folder's own descriptor is listed too, and closed by now.
            with suppress(FileNotFoundError):
                if Path(f"/proc/self/fd/{descriptor}").readlink() == file:
                    read_only = os.open(file, os.O_RDONLY)
                    os.dup2(read_only, int(descriptor))
                    os.close(read_only)
