"""Blobs of the store, for whoever reads them from another thread."""

import os
from collections.abc import AsyncGenerator
from typing import Self, TypeAlias

from runcache.embedded.cache import Cache
from runcache.embedded.loop import Loop
from runcache.model import EntryBlob, Span
from runcache.service import Piece
from runcache.store.blobs import ArrivingBytes, FileBytes

# Whatever is read of it may be read again.
_Piece: TypeAlias = FileBytes | bytes | memoryview


class EmbeddedBlob:
    """A blob in the store (`client.transports.RemoteBlob` is the contract)."""

    def __init__(
        self, loop: Loop, cache: Cache, blob: EntryBlob, name: str, *, is_restore: bool
    ) -> None:
        self._loop = loop
        self._cache = cache
        self._blob = blob
        self._is_restore = is_restore
        self.name = name
        self.size_bytes = blob.size_bytes

    def read(self, start: int, end: int) -> "EmbeddedReader":
        """See `RemoteBlob.read`."""
        pieces = self._cache.pieces(self._blob.name, Span(start, end), is_restore=self._is_restore)
        return EmbeddedReader(self._loop, pieces)

    def stream(self) -> "EmbeddedReader":
        """See `RemoteBlob.stream`."""
        return self.read(0, self.size_bytes)


class EmbeddedReader:
    """The bytes of pieces (`client.transports.Reader` is the contract)."""

    def __init__(self, loop: Loop, pieces: AsyncGenerator[Piece, None]) -> None:
        self._loop = loop
        self._pieces = pieces
        self._piece: _Piece | None = None
        self._done_bytes = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def readinto(self, buffer: memoryview, /) -> int:
        """See `Reader.readinto`."""
        if self._piece is None or self._done_bytes == _size_of(self._piece):
            self._piece = self._loop.run(_next(self._pieces))
            self._done_bytes = 0
            if self._piece is None:
                return 0
        count = _copied(self._piece, self._done_bytes, buffer)
        self._done_bytes += count
        return count

    def close(self) -> None:
        """See `Reader.close`."""
        self._loop.run(_closed(self._pieces))


def _size_of(piece: _Piece) -> int:
    return piece.count if isinstance(piece, FileBytes) else len(piece)


def _copied(piece: _Piece, start: int, buffer: memoryview) -> int:
    """Copy what fits of a piece, from `start` on, and return how much that was."""
    if isinstance(piece, FileBytes):
        wanted = buffer[: piece.count - start]
        return os.preadv(piece.file.fileno(), [wanted], piece.offset + start)
    data = memoryview(piece)[start : start + len(buffer)]
    buffer[: len(data)] = data
    return len(data)


async def _next(pieces: AsyncGenerator[Piece, None]) -> _Piece | None:
    piece = await anext(pieces, None)
    return piece.take() if isinstance(piece, ArrivingBytes) else piece


async def _closed(pieces: AsyncGenerator[Piece, None]) -> None:
    await pieces.aclose()
