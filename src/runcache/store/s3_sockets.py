"""Connections of our own to a bucket, for answers whose bytes stay in the kernel.

Only the plainest answer is understood here, that to a signed GET of a range. Whatever else a bucket
says, or why it says nothing, the clients of `S3Connection` know better.
"""

import asyncio
import os
import socket
import sys
import time
from contextlib import ExitStack, suppress
from datetime import timedelta
from functools import partial
from typing import Final
from urllib.parse import SplitResult, urlsplit

from runcache.errors import StoreUnavailable
from runcache.store.s3_answer import Answer
from runcache.store.s3_connection import CONNECT_WITHIN, SILENT_FOR, S3Connection
from runcache.threads import WorkerThreads

# By so much clocks may differ for S3.
_SIGNED_FOR: Final = timedelta(minutes=15)
_THREADS: Final = 2
_IDLE_AT_MOST: Final = 64
# What is between us and a bucket may forget a connection after a minute.
_IDLE_SECONDS: Final = 30


class S3Sockets:
    """Connections to a bucket which neither TLS nor a proxy is between."""

    def __init__(self, connection: S3Connection) -> None:
        self._connection = connection
        self._threads = WorkerThreads("store-sign", _THREADS)
        self._idle: list[tuple[float, socket.socket]] = []

    @staticmethod
    def suit(connection: S3Connection) -> bool:
        """Say whether a bucket can be read in this way, on this machine."""
        return connection.is_bare and sys.platform == "linux" and hasattr(os, "splice")

    def close(self) -> None:
        """End the threads, and close idle connections."""
        self._threads.end()
        while self._idle:
            self._idle.pop()[1].close()

    async def answer(self, path: str, start: int, end: int, *, of_bytes: int) -> Answer | None:
        """Ask for a range of an object that has so many bytes in all; it has to be closed.

        `None` if the answer is another one, or none: it may be asked for in another way.

        Raises:
            StoreUnavailable: it does not come in time.
        """
        signing = partial(self._connection.sign, [path], expires_in=_SIGNED_FOR)
        [link] = await self._threads.run(signing)
        url = urlsplit(link)
        try:
            async with asyncio.timeout(SILENT_FOR.total_seconds()):
                return await self._asked(url, start, end, of_bytes)
        except TimeoutError:
            raise StoreUnavailable("the store does not answer in time") from None
        except OSError:
            return None

    async def _asked(self, url: SplitResult, start: int, end: int, of_bytes: int) -> Answer | None:
        with ExitStack() as stack:
            connection = stack.enter_context(self._idle_one() or await _connected(url))
            request = (
                f"GET {url.path}?{url.query} HTTP/1.1\r\nHost: {url.netloc}\r\n"
                f"Range: bytes={start}-{end - 1}\r\n\r\n"
            )
            await asyncio.get_running_loop().sock_sendall(connection, request.encode("ascii"))
            answer = Answer(connection, self._keep)
            if not await answer.begins(start, end, of_bytes):
                return None
            stack.pop_all()
            return answer

    def _keep(self, connection: socket.socket) -> None:
        if len(self._idle) < _IDLE_AT_MOST:
            self._idle.append((time.monotonic(), connection))
        else:
            connection.close()

    def _idle_one(self) -> socket.socket | None:
        while self._idle:
            since, connection = self._idle.pop()
            if time.monotonic() - since < _IDLE_SECONDS and _is_silent(connection):
                return connection
            connection.close()
        return None


def _is_silent(connection: socket.socket) -> bool:
    """Say whether nothing has come, not even the end."""
    with suppress(OSError):
        try:
            connection.recv(1, socket.MSG_PEEK)
        except BlockingIOError:
            return True
    return False


async def _connected(url: SplitResult) -> socket.socket:
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(url.hostname, url.port or 80, type=socket.SOCK_STREAM)
    for number, (family, kind, protocol, _, address) in enumerate(found, 1):
        with ExitStack() as stack:
            connection = stack.enter_context(socket.socket(family, kind, protocol))
            connection.settimeout(0)
            try:
                async with asyncio.timeout(CONNECT_WITHIN.total_seconds()):
                    await loop.sock_connect(connection, address)
            except OSError:
                if number == len(found):
                    raise
                continue
            stack.pop_all()
            return connection
    raise ConnectionError
