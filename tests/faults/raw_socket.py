"""Connections on which a test may say anything at all, and ways to wait without sleeping."""

import asyncio
import socket
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, closing, contextmanager, suppress
from typing import Final, TypeVar
from urllib.parse import urlsplit

T = TypeVar("T")

DEADLINE_SECONDS: Final = 30


@asynccontextmanager
async def connect(url: str) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """Open a connection to a server."""
    address = urlsplit(url)
    reader, writer = await asyncio.open_connection(address.hostname, address.port)
    try:
        yield reader, writer
    finally:
        writer.transport.abort()


async def converse(url: str, request: bytes, *, hangs_up: bool = False) -> bytes:
    """Send bytes, and return all that comes back until the server hangs up.

    With `hangs_up` the client says that nothing more will come.
    """
    said = bytearray()
    async with connect(url) as (reader, writer), asyncio.timeout(DEADLINE_SECONDS):
        with suppress(ConnectionError):
            writer.write(request)
            if hangs_up:
                writer.write_eof()
            while data := await reader.read(2**16):
                said += data
    return bytes(said)


@contextmanager
def slow_connection(url: str, *, buffer_bytes: int = 4096) -> Iterator[socket.socket]:
    """Open a connection whose kernel takes in no more than a little ahead of the reader."""
    address = urlsplit(url)
    with closing(socket.socket()) as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer_bytes)
        connection.settimeout(DEADLINE_SECONDS)
        connection.connect((address.hostname, address.port))
        yield connection


async def eventually(question: Callable[[], T], *, within_seconds: float = DEADLINE_SECONDS) -> T:
    """Ask again and again, in a thread, until the answer is true, and return it."""
    async with asyncio.timeout(within_seconds):
        while True:
            if answer := await asyncio.to_thread(question):
                return answer
            await asyncio.sleep(0.02)
