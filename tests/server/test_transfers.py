"""Bodies on real connections: whole, in pieces, cut off, counted, and ended when they stall."""

import asyncio
import os
from collections.abc import AsyncGenerator
from functools import partial
from pathlib import Path
from typing import Final

import pytest
from aiohttp import web

from runcache.errors import BlobMissing, UploadInterrupted
from runcache.server.transfers import STALLED_AFTER_SECONDS
from runcache.store.blobs import FileBytes, Piece
from tests.faults.raw_job import RawJob
from tests.faults.raw_socket import connect, converse, eventually, slow_connection
from tests.server.moved import HEAD, KIB, MIB, Moved, opened
from tests.server.serving import Served

# More than the kernel takes in for a client that does not read.
LARGE: Final = 64 * MIB


@pytest.fixture
def moved() -> Moved:
    return Moved()


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    paths = tmp_path / "one", tmp_path / "two"
    for path in paths:
        path.write_bytes(os.urandom(300 * KIB))
    return paths


@pytest.fixture
def large(tmp_path: Path) -> Path:
    path = tmp_path / "large"
    with path.open("wb") as file:
        file.truncate(LARGE)
    return path


async def test_pieces_are_sent_one_after_another_with_the_length_of_all(
    moved: Moved, files: tuple[Path, Path]
) -> None:
    one, two = files
    pieces = ((one, 0, 300 * KIB), (two, 100, 1), (two, 200_000, 100_000))

    async with moved.served(moved.sending(*pieces)):
        answer = await converse(moved.url, HEAD)

    head, _, body = answer.partition(b"\r\n\r\n")
    expected = one.read_bytes() + two.read_bytes()[100:101] + two.read_bytes()[200_000:300_000]
    assert body == expected
    assert b"Content-Length: %d\r\n" % len(expected) in head
    assert moved.ends == [(None, len(expected))]
    assert moved.shown("transferred_bytes_total", "sent") == len(expected)


async def test_nothing_is_sent_as_nothing(moved: Moved) -> None:
    async with moved.served(moved.sending()):
        answer = await converse(moved.url, HEAD)

    assert b"Content-Length: 0\r\n" in answer
    assert answer.endswith(b"\r\n\r\n")
    assert moved.ends == [(None, 0)]


async def test_blocks_of_nothing_between_others_are_no_bytes_of_a_download(
    server: Served,
) -> None:
    blocks = {"a": b"", "b": b"da", "c": b"", "d": b"ta", "e": b""}
    async with RawJob(server) as job:
        upload = await job.upload_link("key")
        for block_id, data in blocks.items():
            await job.put_block(upload, block_id, data)
        await job.put_block_list(upload, list(blocks))
        await job.finalize("key", 4)
        link = await job.download_link("key")
        assert link is not None
        part = await job.request("GET", link, headers={"Range": "bytes=1-2"})

        assert await job.content("key") == b"data"
        assert (part.status, part.headers["Content-Length"]) == (206, "2")


async def test_a_blob_of_nothing_but_an_empty_block_is_empty(server: Served) -> None:
    async with RawJob(server) as job:
        await job.save("key", b"", blocks=1)

        assert await job.content("key") == b""


async def test_a_connection_goes_on_after_a_body(moved: Moved, files: tuple[Path, Path]) -> None:
    async with moved.served(moved.sending((files[0], 0, 300 * KIB))):
        keep_alive = HEAD.replace(b"Connection: close\r\n", b"")
        answer = await converse(moved.url, keep_alive + HEAD)

    assert answer.count(files[0].read_bytes()) == 2


async def test_a_file_that_is_too_short_cuts_the_connection_off(
    moved: Moved, files: tuple[Path, Path]
) -> None:
    one, two = files
    pieces = ((one, 0, 300 * KIB), (two, 200 * KIB, 101 * KIB), (one, 0, KIB))

    async with moved.served(moved.sending(*pieces)):
        body = (await converse(moved.url, HEAD)).partition(b"\r\n\r\n")[2]

    whole = one.read_bytes() + two.read_bytes()[200 * KIB :]
    assert whole.startswith(body)
    assert moved.ends == [(ConnectionAbortedError, 400 * KIB)]
    assert moved.transfers.count == 0


async def test_buffers_are_sent_like_files(moved: Moved, files: tuple[Path, Path]) -> None:
    data = os.urandom(3 * MIB)

    async def pieces() -> AsyncGenerator[Piece, None]:
        yield data[:MIB]
        async with opened(files[0]) as file:
            yield FileBytes(file, 0, 1000)
        yield memoryview(data)[MIB:]

    async def handler(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        response.content_length = 3 * MIB + 1000
        return await moved.transfers.send(request, response, pieces())

    async with moved.served(handler):
        body = (await converse(moved.url, HEAD)).partition(b"\r\n\r\n")[2]

    assert body == data[:MIB] + files[0].read_bytes()[:1000] + data[MIB:]
    assert moved.ends == [(None, 3 * MIB + 1000)]
    assert moved.shown("transferred_bytes_total", "sent") == 3 * MIB + 1000


async def test_no_more_buffers_are_fetched_than_wait_for_the_client(moved: Moved) -> None:
    asked_bytes = 0
    waiting: list[asyncio.Transport] = []

    async def pieces() -> AsyncGenerator[Piece, None]:
        nonlocal asked_bytes
        while asked_bytes < LARGE:
            asked_bytes += MIB
            yield bytes(MIB)

    async def handler(request: web.Request) -> web.StreamResponse:
        assert isinstance(request.transport, asyncio.Transport)
        waiting.append(request.transport)
        response = web.StreamResponse()
        response.content_length = LARGE
        return await moved.transfers.send(request, response, pieces())

    async with moved.served(handler):
        with slow_connection(moved.url) as connection:
            await asyncio.to_thread(connection.sendall, HEAD)
            await asyncio.to_thread(connection.recv, 1)
            await eventually(lambda: waiting[0].get_write_buffer_size() > 2 * MIB)
            asked_before_it_waited_bytes = asked_bytes
        await eventually(lambda: moved.ends)

    assert asked_bytes == asked_before_it_waited_bytes
    # The rest of it is what the kernel has taken in.
    assert asked_bytes < 16 * MIB


async def test_a_piece_that_is_missing_cuts_the_connection_off(
    moved: Moved, files: tuple[Path, Path]
) -> None:
    async def pieces() -> AsyncGenerator[Piece, None]:
        async with opened(files[0]) as file:
            yield FileBytes(file, 0, 1000)
            raise BlobMissing("blob")

    async def handler(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        response.content_length = 2000
        return await moved.transfers.send(request, response, pieces())

    async with moved.served(handler):
        body = (await converse(moved.url, HEAD)).partition(b"\r\n\r\n")[2]

    assert files[0].read_bytes()[:1000].startswith(body)
    assert moved.ends == [(BlobMissing, 1000)]


async def test_nothing_is_answered_yet_when_the_first_piece_is_missing(moved: Moved) -> None:
    async def pieces() -> AsyncGenerator[Piece, None]:
        raise BlobMissing("blob")
        yield

    async def handler(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        response.content_length = 2000
        try:
            return await moved.transfers.send(request, response, pieces())
        except BlobMissing:
            return web.Response(status=404)

    async with moved.served(handler):
        answer = await converse(moved.url, HEAD)

    assert answer.startswith(b"HTTP/1.1 404 ")


async def test_a_file_is_closed_when_the_client_goes_away(moved: Moved, large: Path) -> None:
    closed = asyncio.Event()

    async def pieces() -> AsyncGenerator[Piece, None]:
        async with opened(large) as file:
            try:
                yield FileBytes(file, 0, LARGE)
            finally:
                closed.set()

    async def handler(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        response.content_length = LARGE
        return await moved.transfers.send(request, response, pieces())

    async with moved.served(handler):
        async with connect(moved.url) as (reader, writer):
            writer.write(HEAD)
            await reader.readuntil(b"\r\n\r\n")
        async with asyncio.timeout(10):
            await closed.wait()
        await eventually(lambda: moved.ends)

    assert moved.transfers.count == 0


async def test_a_body_is_received_and_counted(moved: Moved) -> None:
    data, received = os.urandom(3 * MIB), bytearray()
    head = b"PUT / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: %d\r\n\r\n"

    async with moved.served(moved.receiving(received)):
        answer = await converse(moved.url, head % len(data) + data)

    assert answer.startswith(b"HTTP/1.1 201 ")
    assert received == data
    assert moved.ends == [(None, len(data))]
    assert moved.shown("transferred_bytes_total", "received") == len(data)
    assert moved.shown("transferred_bytes_total", "sent") == 0


async def test_a_body_that_ends_early_is_interrupted(moved: Moved) -> None:
    received = bytearray()

    async with moved.served(moved.receiving(received)):
        async with connect(moved.url) as (_, writer):
            writer.write(b"PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nhalf")
            await eventually(lambda: len(received) == 4)
        await eventually(lambda: moved.ends)

    assert moved.ends == [(UploadInterrupted, 4)]
    assert moved.transfers.count == 0


async def test_running_transfers_are_counted_by_direction(moved: Moved, large: Path) -> None:
    received = bytearray()
    receive, send = moved.receiving(received), moved.sending((large, 0, LARGE))

    async def handler(request: web.Request) -> web.StreamResponse:
        return await (receive if request.method == "PUT" else send)(request)

    async with moved.served(handler):
        async with connect(moved.url) as up, connect(moved.url) as down:
            up[1].write(b"PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhalf")
            down[1].write(HEAD)
            await eventually(lambda: moved.transfers.count == 2)
            running = [moved.shown("transfers_in_flight", way) for way in ("received", "sent")]
        await eventually(lambda: moved.transfers.count == 0)

    assert running == [1, 1]
    assert [moved.shown("transfers_in_flight", way) for way in ("received", "sent")] == [0, 0]


async def test_an_upload_that_sends_nothing_for_a_minute_is_ended(moved: Moved) -> None:
    received = bytearray()
    async with moved.served(moved.receiving(received)):
        async with connect(moved.url) as (reader, writer), asyncio.timeout(10):
            writer.write(b"PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n")
            await eventually(lambda: moved.transfers.count)

            moved.seconds.now += STALLED_AFTER_SECONDS - 1
            assert moved.transfers.end_stalled() == 0
            moved.seconds.now += 1
            assert moved.transfers.end_stalled() == 1

            assert await reader.read() == b""
        await eventually(lambda: moved.ends)

    assert moved.ends == [(UploadInterrupted, 0)]
    assert moved.transfers.count == 0


async def test_a_download_of_which_nothing_is_taken_for_a_minute_is_ended(
    moved: Moved, large: Path
) -> None:
    async with moved.served(moved.sending((large, 0, LARGE))), connect(moved.url) as (_, writer):
        writer.write(HEAD)
        await _ended(moved)
        await eventually(lambda: moved.ends)

    [(error, _)] = moved.ends
    assert error is not None
    assert issubclass(error, ConnectionError)
    assert moved.transfers.count == 0


async def test_after_a_stalled_download_new_connections_work(moved: Moved, large: Path) -> None:
    # A socket that is closed under a waiting `sendfile` leaves its number behind, for the next one.
    async with moved.served(moved.sending((large, 0, LARGE))):
        async with connect(moved.url) as (_, writer):
            writer.write(HEAD)
            await _ended(moved)
            await eventually(lambda: moved.ends)

        for _ in range(3):
            assert len(await converse(moved.url, HEAD)) > LARGE


async def test_slow_transfers_go_on_as_long_as_they_move(moved: Moved, large: Path) -> None:
    received = bytearray()
    receive, send = moved.receiving(received), moved.sending((large, 0, LARGE))

    async def handler(request: web.Request) -> web.StreamResponse:
        return await (receive if request.method == "PUT" else send)(request)

    async with moved.served(handler), connect(moved.url) as up, connect(moved.url) as down:
        up[1].write(b"PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n")
        down[1].write(HEAD)
        await eventually(lambda: moved.transfers.count == 2)
        for count in range(1, 6):
            await down[0].readexactly(8 * MIB)
            up[1].write(b"x")
            await eventually(partial(_has_length, received, count))
            moved.seconds.now += STALLED_AFTER_SECONDS - 1

            assert moved.transfers.end_stalled() == 0

        assert moved.transfers.count == 2
        assert moved.ends == []


async def test_only_those_that_stall_are_ended(moved: Moved) -> None:
    received = bytearray()
    head = b"PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n"
    async with (
        moved.served(moved.receiving(received)),
        connect(moved.url) as stalled,
        connect(moved.url) as slow,
        asyncio.timeout(10),
    ):
        stalled[1].write(head)
        slow[1].write(head)
        await eventually(lambda: moved.transfers.count == 2)
        moved.seconds.now += STALLED_AFTER_SECONDS
        slow[1].write(b"x")
        await eventually(lambda: received)

        assert moved.transfers.end_stalled() == 1

        assert await stalled[0].read() == b""
        slow[1].write(b"y")
        assert (await slow[0].readline()).startswith(b"HTTP/1.1 201 ")

    assert received == b"xy"


def _has_length(data: bytearray, length: int) -> bool:
    return len(data) == length


async def _ended(moved: Moved) -> None:
    """Let minutes pass until the buffers of the only transfer are full and it is ended."""
    await eventually(lambda: moved.transfers.count == 1)
    async with asyncio.timeout(30):
        while not moved.transfers.end_stalled():
            await asyncio.sleep(0.02)
            moved.seconds.now += STALLED_AFTER_SECONDS
