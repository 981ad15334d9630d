"""Bytes that come out of a bucket: in bounded memory, and on from where they broke off.

Where neither TLS nor a proxy is in between, large parts stay in the kernel, for whoever takes them.
Else they are read by botocore in threads, which takes 0.6 of the processor time of obstore's
streams: the kernel puts the bytes where they stay. A request of botocore takes 1.7 ms, though, and
one of obstore 0.4, so that little is read by this.
"""

from collections.abc import AsyncGenerator
from contextlib import aclosing, closing
from functools import partial
from typing import Any, Final

from obstore import get_async

from runcache.errors import BlobMissing, StoreUnavailable
from runcache.model import Part
from runcache.store import layout
from runcache.store.blobs import ArrivingBytes
from runcache.store.s3_connection import S3Connection
from runcache.store.s3_errors import s3_errors
from runcache.store.s3_sockets import S3Sockets
from runcache.threads import WorkerThreads

# Each is busy only while bytes that a client has room for are on their way.
_THREADS: Final = 16
_LITTLE_BYTES: Final = 2 * 1024 * 1024
_PIECE_BYTES: Final = 1024 * 1024
# Without a byte in between.
_ATTEMPTS: Final = 3


class S3Reading:
    """Reads parts from a bucket."""

    def __init__(self, connection: S3Connection) -> None:
        self._connection = connection
        self._threads = WorkerThreads("store-read", _THREADS)
        self._sockets = S3Sockets(connection) if S3Sockets.suit(connection) else None

    def close(self) -> None:
        """End the threads, and close idle connections."""
        self._threads.end()
        if self._sockets is not None:
            self._sockets.close()

    async def pieces(
        self, blob: str, part: Part, offset: int, count: int
    ) -> AsyncGenerator[ArrivingBytes | bytes | memoryview, None]:
        """Yield `count` bytes of a part, at least one, from `offset`.

        Raises:
            BlobMissing: it is not there, or has another size than it had.
            StoreUnavailable: it cannot be read.
        """
        if count <= _LITTLE_BYTES:
            yield await self._little(blob, part, offset, offset + count)
            return
        end = offset + count
        attempts_left = _ATTEMPTS
        while offset < end:
            attempts_left -= 1
            try:
                async with aclosing(self._answer(blob, part, offset, end)) as pieces:
                    async for piece in pieces:
                        yield piece
                        offset += (
                            piece.taken_bytes if isinstance(piece, ArrivingBytes) else len(piece)
                        )
                        attempts_left = _ATTEMPTS
            except StoreUnavailable:
                if not attempts_left:
                    raise

    async def _little(self, blob: str, part: Part, start: int, end: int) -> memoryview:
        path = layout.part_path(blob, part.name).as_posix()
        try:
            with s3_errors():
                found = await get_async(
                    self._connection.objects, path, options={"range": (start, end)}
                )
                if found.meta["size"] == part.size_bytes:
                    return memoryview(await found.bytes_async())
        except FileNotFoundError:
            pass
        raise BlobMissing(blob)

    async def _answer(
        self, blob: str, part: Part, start: int, end: int
    ) -> AsyncGenerator[ArrivingBytes | bytes, None]:
        """Yield the bytes of one answer, which may break off."""
        answer = None
        if self._sockets is not None:
            path = layout.part_path(blob, part.name).as_posix()
            answer = await self._sockets.answer(path, start, end, of_bytes=part.size_bytes)
        if answer is None:
            async with aclosing(self._answer_in_memory(blob, part, start, end)) as in_memory:
                async for piece in in_memory:
                    yield piece
            return
        with closing(answer):
            async with aclosing(answer.pieces()) as arriving:
                async for arrived in arriving:
                    yield arrived

    async def _answer_in_memory(
        self, blob: str, part: Part, start: int, end: int
    ) -> AsyncGenerator[bytes, None]:
        key = self._connection.key_of(layout.part_path(blob, part.name).as_posix())
        try:
            answer = await self._connection.call(
                "get_object", Key=key, Range=f"bytes={start}-{end - 1}"
            )
        except FileNotFoundError:
            raise BlobMissing(blob) from None
        body = answer["Body"]
        try:
            if answer.get("ContentRange") != f"bytes {start}-{end - 1}/{part.size_bytes}":
                raise BlobMissing(blob)
            left_bytes = end - start
            while left_bytes:
                size_bytes = min(left_bytes, _PIECE_BYTES)
                piece = await self._threads.run(partial(_read, body, size_bytes))
                yield piece
                left_bytes -= len(piece)
        finally:
            # Behind a read that is still going on, and which nobody waits for any more.
            await self._threads.run(body.close)


def _read(body: Any, size_bytes: int) -> bytes:  # noqa: ANN401  -- of botocore
    with s3_errors():
        piece: bytes = body.read(size_bytes)
    if not piece:
        raise StoreUnavailable("the store failed: it broke off an answer")
    return piece
