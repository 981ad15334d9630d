"""An answer of a bucket whose bytes stay in the kernel."""

import asyncio
import fcntl
import socket
import struct
import termios
from collections.abc import AsyncGenerator, Callable, Mapping
from typing import Final

from runcache.descriptors import readable
from runcache.errors import StoreUnavailable
from runcache.store.blobs import ArrivingBytes
from runcache.store.s3_connection import SILENT_FOR

_PIECE_BYTES: Final = 1024 * 1024
# Whoever waits is woken by so many, or by the last ones.
_WAKING_BYTES: Final = 256 * 1024
_HEAD_BYTES: Final = 64 * 1024
_HEAD_END: Final = b"\r\n\r\n"
_INT: Final = struct.Struct("@i")


class Answer:
    """What comes over a connection; `keep` takes that once all has come, if it may be used again.

    Between two pieces nothing is read, so that the bucket waits for whoever takes them.
    """

    def __init__(self, connection: socket.socket, keep: Callable[[socket.socket], None]) -> None:
        self._connection = connection
        self._keep = keep
        self._left_bytes = 0
        self._waking_bytes = 1
        self._is_reusable = False

    async def begins(self, start: int, end: int, of_bytes: int) -> bool:
        """Read the head, and say whether it announces this range of so many bytes and no more.

        Raises:
            OSError: the connection fails.
        """
        head = await self._head()
        status, _, lines = head.decode("latin-1").partition("\r\n")
        fields = _fields(lines)
        self._left_bytes = end - start
        self._is_reusable = fields.get("connection", "").lower() != "close"
        return (
            status.startswith("HTTP/1.1 206 ")
            and fields.get("content-range") == f"bytes {start}-{end - 1}/{of_bytes}"
            and fields.get("content-length") == str(end - start)
            and "transfer-encoding" not in fields
            and "content-encoding" not in fields
        )

    async def pieces(self) -> AsyncGenerator[ArrivingBytes, None]:
        """Yield the bytes of the body as they arrive, about 1 MiB at a time.

        Raises:
            StoreUnavailable: it breaks off, or no more of it comes for too long.
        """
        descriptor = self._connection.fileno()
        while self._left_bytes:
            arrived_bytes = await self._arrived(min(self._left_bytes, _WAKING_BYTES))
            if not arrived_bytes:
                raise StoreUnavailable("the store failed: it broke off an answer")
            arrived_bytes = min(self._left_bytes, _PIECE_BYTES, arrived_bytes)
            # What comes last is less, and wakes nobody who waits for more.
            coming_bytes = max(0, self._left_bytes - arrived_bytes - _WAKING_BYTES)
            piece = ArrivingBytes(descriptor, arrived_bytes, coming_bytes)
            yield piece
            self._left_bytes -= piece.taken_bytes

    def close(self) -> None:
        """Let go of the connection."""
        if self._is_reusable and not self._left_bytes:
            self._connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, 1)
            self._keep(self._connection)
        else:
            self._connection.close()

    async def _arrived(self, wanted_bytes: int) -> int:
        """Return how many bytes have arrived once these are as many, or no more come."""
        descriptor = self._connection.fileno()
        if wanted_bytes != self._waking_bytes:
            self._connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, wanted_bytes)
            self._waking_bytes = wanted_bytes
        arrived_bytes = _arrived_bytes(descriptor)
        if arrived_bytes >= wanted_bytes:
            # Others have their turn even while this is faster than whoever takes it.
            await asyncio.sleep(0)
            return arrived_bytes
        try:
            async with asyncio.timeout(SILENT_FOR.total_seconds()):
                await readable(descriptor)
        except TimeoutError:
            raise StoreUnavailable("the store does not answer in time") from None
        return _arrived_bytes(descriptor)

    async def _head(self) -> bytes:
        head = b""
        while not head.endswith(_HEAD_END):
            await readable(self._connection.fileno())
            seen = self._connection.recv(_HEAD_BYTES, socket.MSG_PEEK)
            if not seen or len(head) > _HEAD_BYTES:
                raise ConnectionError
            # Not one byte of what comes behind it.
            end = (head + seen).find(_HEAD_END)
            count = len(seen) if end < 0 else end + len(_HEAD_END) - len(head)
            head += self._connection.recv(count)
        return head


def _fields(lines: str) -> Mapping[str, str]:
    split = (line.partition(":") for line in lines.split("\r\n"))
    return {name.lower(): text.strip() for name, _, text in split}


def _arrived_bytes(descriptor: int) -> int:
    count: int = _INT.unpack(fcntl.ioctl(descriptor, termios.FIONREAD, bytes(_INT.size)))[0]
    return count
