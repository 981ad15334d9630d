"""The bodies of blobs: received and sent in large pieces, and ended when they stall."""

import asyncio
import os
import socket
import struct
import time
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import aclosing, contextmanager, suppress
from dataclasses import dataclass
from typing import Final

from aiohttp import web

from runcache.descriptors import readable
from runcache.errors import UploadInterrupted
from runcache.server.metrics import Metrics
from runcache.server.splice import Splice
from runcache.service import ArrivingBytes, FileBytes, Piece

SENT: Final = "sent"
RECEIVED: Final = "received"
STALLED_AFTER_SECONDS: Final = 60
# From this size on it pays to receive a body past the parser: 1.8 s → 0.9 s for 1 GiB.
TAKE_OVER_FROM_BYTES: Final = 4 * 1024 * 1024
_TAKEN_OVER_BYTES: Final = 4 * 1024 * 1024
# What is read ahead of a client, so that the store and the client work at once.
_WAITING_BYTES: Final = 2 * 1024 * 1024
# Set where no other request can come on a connection.
IS_LAST: Final = web.RequestKey("is_last", bool)
_WENT_AWAY: Final = "the client went away"
# Where a request keeps how many bytes of a blob it moved, for its line in the log.
MOVED_BYTES: Final = web.RequestKey("moved_bytes", int)

# struct tcp_info of Linux: tcpi_bytes_acked and tcpi_bytes_received.
_TCP_INFO_BYTES: Final = 136
_ACKED_AND_RECEIVED: Final = struct.Struct("@QQ")
_ACKED_AT: Final = 120


@dataclass(slots=True)
class _Running:
    transport: asyncio.Transport
    moved_bytes: int
    moved_at: float


@dataclass(frozen=True, slots=True)
class SocketBytes:
    """The next bytes of a connection, still in the kernel (`store.blobs.KernelBytes`)."""

    descriptor: int
    size_bytes: int

    async def readable(self) -> None:
        """Return once there is something to read, be it the end."""
        await readable(self.descriptor)


class Transfers:
    """The transfers of this process that are running. `seconds` is a clock that never goes back."""

    def __init__(self, metrics: Metrics, *, seconds: Callable[[], float] = time.monotonic) -> None:
        self._metrics = metrics
        self._seconds = seconds
        self._running: dict[int, _Running] = {}
        self._last_number = 0

    @property
    def count(self) -> int:
        """How many there are."""
        return len(self._running)

    async def received(self, request: web.Request) -> AsyncGenerator[bytes | SocketBytes, None]:
        """Yield the body of a request as it arrives.

        A long one comes past the parser, straight from the socket: in pieces that have to be
        written before the next one is asked for. Its connection ends with the answer.

        Raises:
            UploadInterrupted: it ended early.
        """
        with self._tracked(request, RECEIVED) as transport:
            try:
                if _is_worth_taking_over(request, transport):
                    async for piece in self._taken_over(request, transport):
                        yield piece
                else:
                    async for data in request.content.iter_any():
                        self._count(request, RECEIVED, len(data))
                        yield data
            except (web.RequestPayloadError, ConnectionError) as exc:
                raise UploadInterrupted from exc

    async def send(
        self,
        request: web.Request,
        response: web.StreamResponse,
        pieces: AsyncGenerator[Piece, None],
    ) -> web.StreamResponse:
        """Answer with pieces; `response` has the length of all of them as its own.

        Those of files go by `sendfile`, those of connections by `splice`. Of the others the next is
        asked for as soon as no more than 2 MiB wait for the client.

        Raises:
            BlobMissing: the first piece is missing, and nothing was answered yet.
        """
        async with aclosing(pieces):
            piece = await anext(pieces, None)
            await response.prepare(request)
            with self._tracked(request, SENT) as transport, Splice(transport) as splice:
                try:
                    while piece is not None:
                        await self._send(request, response, splice, piece)
                        piece = await anext(pieces, None)
                    await response.write_eof()
                except BaseException as exc:
                    is_gone = transport.is_closing()
                    # Half a body must not look like a whole one.
                    transport.abort()
                    if is_gone and isinstance(exc, Exception):
                        # Over TLS asyncio fails in other ways, too, once a connection is lost.
                        raise ConnectionResetError(_WENT_AWAY) from exc
                    raise
        return response

    async def _send(
        self,
        request: web.Request,
        response: web.StreamResponse,
        splice: Splice,
        piece: Piece,
    ) -> None:
        transport = splice.transport
        if isinstance(piece, ArrivingBytes):
            if _is_plain(transport):
                try:
                    await splice.send(piece)
                finally:
                    self._count(request, SENT, piece.taken_bytes)
                return
            piece = piece.take()
        if not isinstance(piece, FileBytes):
            transport.set_write_buffer_limits(high=_WAITING_BYTES)
            await response.write(piece)
            self._count(request, SENT, len(piece))
            return
        loop = asyncio.get_running_loop()
        sent = await loop.sendfile(transport, piece.file, piece.offset, piece.count)
        self._count(request, SENT, sent)
        if sent != piece.count:
            message = "a part of a blob was cut off while it was sent"
            raise ConnectionAbortedError(message)

    def end_stalled(self) -> int:
        """Cut off transfers that moved no byte for a minute; to be called every few seconds."""
        now = self._seconds()
        ended = 0
        for running in self._running.values():
            moved_bytes = _moved_bytes(running.transport)
            if moved_bytes != running.moved_bytes:
                running.moved_bytes, running.moved_at = moved_bytes, now
            elif now - running.moved_at >= STALLED_AFTER_SECONDS:
                _hang_up(running.transport)
                ended += 1
        return ended

    async def _taken_over(
        self, request: web.Request, transport: asyncio.Transport
    ) -> AsyncGenerator[bytes | SocketBytes, None]:
        # The parser has lost count from here on: nothing after this body can be understood.
        request[IS_LAST] = True
        # In one step: what the parser was given is taken, and it is given no more.
        begun = request.content.read_nowait()
        transport.pause_reading()
        left_bytes = (request.content_length or 0) - len(begun)
        descriptor = os.dup(transport.get_extra_info("socket").fileno())
        try:
            if begun:
                self._count(request, RECEIVED, len(begun))
                yield begun
            while left_bytes:
                piece = SocketBytes(descriptor, min(left_bytes, _TAKEN_OVER_BYTES))
                yield piece
                self._count(request, RECEIVED, piece.size_bytes)
                left_bytes -= piece.size_bytes
        finally:
            os.close(descriptor)
            if left_bytes:
                # Whoever still sends shall hear the answer: aiohttp reads on for a while.
                transport.resume_reading()
            else:
                request.content.feed_eof()

    def _count(self, request: web.Request, direction: str, size_bytes: int) -> None:
        request[MOVED_BYTES] = request.get(MOVED_BYTES, 0) + size_bytes
        self._metrics.transferred(direction, size_bytes)

    @contextmanager
    def _tracked(self, request: web.Request, direction: str) -> Iterator[asyncio.Transport]:
        transport = request.transport
        if not isinstance(transport, asyncio.Transport):
            raise ConnectionResetError(_WENT_AWAY)
        self._last_number += 1
        number = self._last_number
        self._running[number] = _Running(transport, _moved_bytes(transport), self._seconds())
        with self._metrics.in_flight(direction).track_inprogress():
            try:
                yield transport
            finally:
                del self._running[number]


def _moved_bytes(transport: asyncio.Transport) -> int:
    """Return how many bytes the other side has acknowledged or sent on this connection."""
    connection = transport.get_extra_info("socket")
    try:
        info = connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _TCP_INFO_BYTES)
    except OSError:
        return 0
    return sum(_ACKED_AND_RECEIVED.unpack_from(info, _ACKED_AT))


def _is_worth_taking_over(request: web.Request, transport: asyncio.Transport) -> bool:
    return _is_plain(transport) and (request.content_length or 0) >= TAKE_OVER_FROM_BYTES


def _is_plain(transport: asyncio.Transport) -> bool:
    return transport.get_extra_info("sslcontext") is None


def _hang_up(transport: asyncio.Transport) -> None:
    """End a connection so that whoever reads from it or writes to it is told."""
    # Not `abort()`: it closes the socket under a `sendfile`, which would then wait for ever.
    with suppress(OSError):
        transport.get_extra_info("socket").shutdown(socket.SHUT_RDWR)
