"""Downloads: the bytes of a blob as the store has them, and which blobs are being read."""

from collections.abc import AsyncGenerator
from contextlib import aclosing

from runcache.catalog.catalog import Catalog
from runcache.errors import BlobMissing
from runcache.model import Blob, Span
from runcache.service.observer import Observer, tell_of_restore
from runcache.service.sequence import in_sequence
from runcache.service.wholeness import Wholeness
from runcache.store.blobs import BlobReader, Piece


class Downloads:
    """Reads blobs part after part."""

    def __init__(
        self,
        catalog: Catalog,
        reader: BlobReader,
        wholeness: Wholeness,
        observers: tuple[Observer, ...],
    ) -> None:
        self._catalog = catalog
        self._reader = reader
        self._wholeness = wholeness
        self._observers = observers
        self._reading: dict[str, int] = {}

    def names(self) -> list[str]:
        """Return the names of the blobs that are being read."""
        return list(self._reading)

    async def read(
        self, blob: Blob, span: Span, *, is_restore: bool
    ) -> AsyncGenerator[Piece, None]:
        """See `CacheService.read`."""
        self._reading[blob.name] = self._reading.get(blob.name, 0) + 1
        tell_of_restore(self._observers, blob, span, is_restore=is_restore)
        try:
            async with (
                aclosing(self._parts_of(blob, span)) as parts,
                aclosing(in_sequence(parts)) as pieces,
            ):
                async for piece in pieces:
                    yield piece
        except BlobMissing:
            await self._wholeness.drop(blob.name)
            raise
        finally:
            self._reading[blob.name] -= 1
            if not self._reading[blob.name]:
                del self._reading[blob.name]

    async def _parts_of(
        self, blob: Blob, span: Span
    ) -> AsyncGenerator[AsyncGenerator[Piece, None], None]:
        async for parts in self._catalog.blobs.parts(blob.name, span):
            for part in parts:
                offset = max(span.start - part.start, 0)
                count = min(span.end - part.start, part.size_bytes) - offset
                if count:  # of an empty block nothing can be sent
                    yield self._reader.read(blob.name, part, offset, count)
