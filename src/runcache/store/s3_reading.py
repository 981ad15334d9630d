"""Bytes that come out of a bucket: in bounded memory, and on from where they broke off.

Large parts are read by botocore in threads, which takes 0.6 of the processor time of obstore's
streams: the kernel puts the bytes where they stay. A request of botocore takes 1.7 ms, though, and
one of obstore 0.4, so that little is read by this.
"""

from collections.abc import AsyncGenerator
from functools import partial
from typing import Any, Final

from obstore import get_async

from runcache.errors import BlobMissing, StoreUnavailable
from runcache.model import Part
from runcache.store import layout
from runcache.store.s3_connection import S3Connection
from runcache.store.s3_errors import s3_errors
from runcache.threads import WorkerThreads

# Each is busy only while bytes that a client has room for are on their way.
_THREADS: Final = 16
_LITTLE_BYTES: Final = 2 * 1024 * 1024
# Without a byte in between.
_ATTEMPTS: Final = 3


class S3Reading:
    """Reads parts from a bucket."""

    def __init__(self, connection: S3Connection) -> None:
        self._connection = connection
        self._threads = WorkerThreads("store-read", _THREADS)

    def close(self) -> None:
        """End the threads."""
        self._threads.end()

    async def pieces(
        self, blob: str, part: Part, offset: int, count: int, *, piece_bytes: int
    ) -> AsyncGenerator[bytes | memoryview, None]:
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
                async for piece in self._answer(blob, part, offset, end, piece_bytes):
                    yield piece
                    offset += len(piece)
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
        self, blob: str, part: Part, start: int, end: int, piece_bytes: int
    ) -> AsyncGenerator[bytes, None]:
        """Yield the bytes of one answer, which may break off."""
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
                size_bytes = min(left_bytes, piece_bytes)
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
