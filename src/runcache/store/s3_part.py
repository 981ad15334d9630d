"""A part on its way into a bucket: in bounded memory, never on this machine's disk."""

import asyncio
import os
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Final

from obstore import open_writer_async

from runcache.errors import StoreFull, StoreUnavailable, UploadInterrupted
from runcache.store.blobs import Hasher, KernelBytes
from runcache.store.s3_connection import S3Connection
from runcache.store.s3_errors import s3_errors
from runcache.threads import WorkerThreads

if TYPE_CHECKING:
    from obstore import AsyncWritableFile

# What is larger goes up in pieces of this size, the smallest that S3 allows, of which it takes
# 10 000. Few of them at once, since those of all uploads share the way.
PIECE_BYTES: Final = 5 * 1024 * 1024
_PIECES_AT_ONCE: Final = 2
_READ_BYTES: Final = 1024 * 1024


class S3Part:
    """A part that is being received (`IncomingPart` is the contract).

    It holds up to four pieces of `PIECE_BYTES` in memory: one that fills, and those on their way.
    """

    def __init__(
        self, connection: S3Connection, threads: WorkerThreads, path: str, hasher: Hasher | None
    ) -> None:
        self._connection = connection
        self._threads = threads
        self._path = path
        self._hasher = hasher
        self._writer: AsyncWritableFile = open_writer_async(
            connection.uploads, path, buffer_size=PIECE_BYTES, max_concurrency=_PIECES_AT_ONCE
        )
        self._ending: asyncio.Task[None] | None = None
        self._is_handed_over = False
        self.size_bytes = 0

    async def write(self, data: bytes | memoryview | KernelBytes) -> None:
        """See `IncomingPart.write`."""
        if not isinstance(data, bytes | memoryview):
            await self._move(data)
        elif data:
            # What is written stays where it is until it was sent.
            kept = memoryview(data if isinstance(data, bytes) else bytes(data))
            if self._hasher is not None:
                await self._threads.run(partial(self._hasher.update, kept))
            await self._append(kept)

    async def hand_over(self) -> None:
        """See `IncomingPart.hand_over`."""
        self._ending = asyncio.create_task(self._end())
        # Whoever goes away now must not leave behind whether the object is there.
        await asyncio.shield(self._ending)
        self._is_handed_over = True

    async def leave(self) -> None:
        """Remove what was written, unless it was handed over; what cannot be is swept later."""
        if self._is_handed_over:
            return
        if self._ending is not None:
            with suppress(StoreFull, StoreUnavailable):
                await self._ending
        with suppress(StoreFull, StoreUnavailable):
            if self._ending is not None:
                await self._connection.delete([self._path])
            if self.size_bytes >= PIECE_BYTES:
                await self._connection.abort_uploads(self._path)

    async def _end(self) -> None:
        with s3_errors():
            await self._writer.close()

    async def _append(self, data: memoryview) -> None:
        with s3_errors():
            await self._writer.write(data)
        self.size_bytes += len(data)

    async def _move(self, data: KernelBytes) -> None:
        """Let a thread fetch what has come, and wait for more without a thread."""
        left_bytes = data.size_bytes
        while left_bytes:
            wanted_bytes = min(left_bytes, _READ_BYTES)
            read, is_at_end = await self._threads.run(
                partial(_read, data.descriptor, wanted_bytes, self._hasher)
            )
            if read:
                await self._append(read)
                left_bytes -= len(read)
            if is_at_end:
                raise UploadInterrupted
            if left_bytes and len(read) < wanted_bytes:
                await data.readable()


def _read(source: int, size_bytes: int, hasher: Hasher | None) -> tuple[memoryview, bool]:
    """Read what is there, up to so many bytes; return it, and whether no more will come."""
    buffer = memoryview(bytearray(size_bytes))
    count = 0
    is_at_end = False
    while count < len(buffer) and not is_at_end:
        try:
            read = os.readv(source, [buffer[count:]])
        except BlockingIOError:
            break
        except ConnectionError:
            read = 0
        is_at_end = read == 0
        count += read
    if hasher is not None and count:
        hasher.update(buffer[:count])
    # Little that has come shall not keep much memory busy until a piece is full.
    return buffer[:count] if 2 * count > size_bytes else memoryview(
        bytes(buffer[:count])
    ), is_at_end
