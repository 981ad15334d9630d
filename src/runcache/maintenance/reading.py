"""The bytes of parts as buffers, whatever a store has at hand."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Final

from runcache.model import Part
from runcache.store.blobs import ArrivingBytes, BlobStore, FileBytes

_BUFFER_BYTES: Final = 1024 * 1024


async def buffers(
    store: BlobStore, blob: str, part: Part
) -> AsyncGenerator[bytes | memoryview, None]:
    """Yield the bytes of a part, in buffers of about 1 MiB.

    Raises:
        BlobMissing: it is not there, or has another size than it had.
    """
    async with aclosing(store.read(blob, part, 0, part.size_bytes)) as pieces:
        async for piece in pieces:
            if isinstance(piece, ArrivingBytes):
                yield await asyncio.to_thread(piece.take)
                continue
            if not isinstance(piece, FileBytes):
                yield piece
                continue
            for start in range(0, piece.count, _BUFFER_BYTES):
                count = min(_BUFFER_BYTES, piece.count - start)
                yield await asyncio.to_thread(_read, piece, start, count)


def _read(piece: FileBytes, start: int, count: int) -> bytes:
    piece.file.seek(piece.offset + start)
    return piece.file.read(count)
