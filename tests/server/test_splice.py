"""Bytes of a bucket that reach a client past the memory of the process."""

import asyncio
import os
import socket
import ssl
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager, closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import pytest
import pytest_asyncio
from aiohttp import web

from runcache.errors import StoreUnavailable
from runcache.server.transfers import STALLED_AFTER_SECONDS
from runcache.store.blobs import FileBytes, Piece
from runcache.store.s3_answer import Answer
from tests.faults.raw_socket import connect, converse, eventually, slow_connection
from tests.server.certificate import make_certificate
from tests.server.moved import HEAD, MIB, Handler, Moved, opened

# More than the kernel takes in for a client that does not read, on two connections.
LARGE: Final = 160 * MIB


@dataclass
class Bucket:
    """The other end of a connection over which an answer comes, and what was taken of it."""

    source: socket.socket
    sink: socket.socket
    sent_bytes: int = 0
    is_asked: asyncio.Event = field(default_factory=asyncio.Event)

    async def say(self, data: bytes) -> None:
        """Send bytes of the body, behind its head."""
        await self.is_asked.wait()
        loop = asyncio.get_running_loop()
        for start in range(0, len(data), MIB):
            await loop.sock_sendall(self.sink, memoryview(data)[start : start + MIB])
            self.sent_bytes += MIB

    async def pieces(self, count: int) -> AsyncGenerator[Piece, None]:
        """Yield the body of an answer that announces so many bytes."""
        head = f"Content-Range: bytes 0-{count - 1}/{count}\r\nContent-Length: {count}"
        self.sink.send(f"HTTP/1.1 206 Partial Content\r\n{head}\r\n\r\n".encode())
        self.is_asked.set()
        answer = Answer(self.source, socket.socket.close)
        assert await answer.begins(0, count, count)
        with closing(answer):
            async with aclosing(answer.pieces()) as pieces:
                async for piece in pieces:
                    yield piece

    def sending(self, moved: Moved, count: int) -> Handler:
        async def handler(request: web.Request) -> web.StreamResponse:
            response = web.StreamResponse()
            response.content_length = count
            return await moved.transfers.send(request, response, self.pieces(count))

        return handler


@pytest_asyncio.fixture
async def bucket() -> AsyncIterator[Bucket]:
    loop = asyncio.get_running_loop()
    with socket.socket() as listener, socket.socket() as source:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        source.settimeout(0)
        await loop.sock_connect(source, listener.getsockname())
        sink, _ = listener.accept()
        with sink:
            sink.settimeout(0)
            yield Bucket(source, sink)


@pytest.fixture
def moved() -> Moved:
    return Moved()


@asynccontextmanager
async def saying(bucket: Bucket, data: bytes) -> AsyncIterator[asyncio.Task[None]]:
    """Send the body of an answer for as long as the block takes."""
    task = asyncio.create_task(bucket.say(data))
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.wait((task,))


def body_of(answer: bytes) -> bytes:
    return answer.partition(b"\r\n\r\n")[2]


@pytest.mark.parametrize("size_bytes", [1, MIB - 1, 9 * MIB + 7])
async def test_every_byte_arrives_once_and_in_order(
    moved: Moved, bucket: Bucket, size_bytes: int
) -> None:
    data = os.urandom(size_bytes)

    async with moved.served(bucket.sending(moved, size_bytes)), saying(bucket, data):
        answer = await converse(moved.url, HEAD)

    assert body_of(answer) == data
    assert moved.ends == [(None, size_bytes)]
    assert moved.shown("transferred_bytes_total", "sent") == size_bytes


async def test_pieces_of_all_kinds_keep_their_order(
    moved: Moved, bucket: Bucket, tmp_path: Path
) -> None:
    before, between, data = os.urandom(3 * MIB), os.urandom(1000), os.urandom(2 * MIB)
    path = tmp_path / "file"
    path.write_bytes(between)

    async def pieces() -> AsyncGenerator[Piece, None]:
        yield before
        async for piece in bucket.pieces(len(data)):
            yield piece
        async with opened(path) as file:
            yield FileBytes(file, 0, len(between))
        yield before

    async def handler(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        response.content_length = 2 * len(before) + len(data) + len(between)
        return await moved.transfers.send(request, response, pieces())

    async with moved.served(handler), saying(bucket, data):
        answer = await converse(moved.url, HEAD)

    assert body_of(answer) == before + data + between + before


async def test_what_comes_slowly_is_passed_on_however_it_comes(
    moved: Moved, bucket: Bucket
) -> None:
    data = os.urandom(2 * MIB + 5)

    async def say() -> None:
        # The pause in the middle is one in which the store is asked for the next piece.
        for start, pause in (
            (0, 0),
            (1, 0),
            (1000, 0.1),
            (MIB, 1.2),
            (2 * MIB, 0),
            (2 * MIB + 3, 0),
        ):
            await asyncio.sleep(pause)
            end = next(n for n in (1, 1000, MIB, 2 * MIB, 2 * MIB + 3, len(data)) if n > start)
            await bucket.say(data[start:end])

    async with moved.served(bucket.sending(moved, len(data))):
        saying = asyncio.create_task(say())
        answer = await converse(moved.url, HEAD)
        await saying

    assert body_of(answer) == data


async def test_a_client_that_takes_nothing_makes_the_bucket_wait(
    moved: Moved, bucket: Bucket
) -> None:
    data = bytes(LARGE)

    async with moved.served(bucket.sending(moved, LARGE)), saying(bucket, data) as task:
        with slow_connection(moved.url) as connection:
            await asyncio.to_thread(connection.sendall, HEAD)
            await asyncio.to_thread(connection.recv, 1)
            before_bytes = -1
            while before_bytes != bucket.sent_bytes:
                before_bytes = bucket.sent_bytes
                await asyncio.sleep(0.3)

            assert not task.done()
            assert bucket.sent_bytes < LARGE // 2
        await eventually(lambda: moved.ends)

    [(error, _)] = moved.ends
    assert error is not None
    assert issubclass(error, ConnectionError)


async def test_a_client_that_takes_nothing_for_a_minute_is_ended(
    moved: Moved, bucket: Bucket
) -> None:
    async with (
        moved.served(bucket.sending(moved, LARGE)),
        saying(bucket, bytes(LARGE)),
        connect(moved.url) as (_, writer),
        asyncio.timeout(30),
    ):
        writer.write(HEAD)
        await eventually(lambda: moved.transfers.count == 1)
        while not moved.transfers.end_stalled():
            await asyncio.sleep(0.02)
            moved.seconds.now += STALLED_AFTER_SECONDS
        await eventually(lambda: moved.ends)

    [(error, _)] = moved.ends
    assert error is not None
    assert issubclass(error, ConnectionError)
    assert moved.transfers.count == 0


async def test_nothing_is_left_open_once_a_client_is_gone(moved: Moved, bucket: Bucket) -> None:
    def open_count() -> int:
        return sum(1 for _ in Path("/proc/self/fd").iterdir())

    async with moved.served(bucket.sending(moved, LARGE)), saying(bucket, bytes(LARGE)):
        before = open_count()
        async with connect(moved.url) as (reader, writer):
            writer.write(HEAD)
            await reader.readexactly(MIB)
        await eventually(lambda: moved.ends)

        # One less: that of the answer was not to be used again.
        await eventually(lambda: open_count() == before - 1)

    [(error, sent_bytes)] = moved.ends
    assert error is not None
    assert issubclass(error, ConnectionError)
    assert sent_bytes >= MIB
    assert moved.transfers.count == 0


async def test_an_answer_that_breaks_off_cuts_the_client_off(moved: Moved, bucket: Bucket) -> None:
    data = os.urandom(3 * MIB)

    async with moved.served(bucket.sending(moved, 4 * MIB)):
        asking = asyncio.create_task(converse(moved.url, HEAD))
        await bucket.say(data)
        bucket.sink.close()
        answer = await asking

    assert data.startswith(body_of(answer))
    assert moved.ends == [(StoreUnavailable, len(data))]


async def test_a_client_with_tls_gets_the_same_bytes(
    moved: Moved, bucket: Bucket, tmp_path: Path
) -> None:
    data = os.urandom(5 * MIB + 3)
    certificate, key = await asyncio.to_thread(make_certificate, tmp_path)
    ours = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ours.load_cert_chain(certificate, key)
    theirs = ssl.create_default_context(cafile=certificate)
    theirs.check_hostname = False

    async with (
        moved.served(bucket.sending(moved, len(data)), certificate=ours),
        saying(bucket, data),
    ):
        host, port = moved.url.split("/")[2].split(":")
        reader, writer = await asyncio.open_connection(host, int(port), ssl=theirs)
        writer.write(HEAD)
        answer = await reader.read()
        writer.transport.abort()

    assert body_of(answer) == data
    assert moved.ends == [(None, len(data))]
