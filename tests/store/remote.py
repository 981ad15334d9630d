"""A store that is elsewhere, and a catalog that knows it, as far as a read cache asks them."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from dataclasses import dataclass, field
from hashlib import sha256

from blake3 import blake3

from runcache.catalog.blobs import CommittedBlob
from runcache.errors import BlobMissing, StoreUnavailable
from runcache.model import Part, Span
from runcache.store import layout
from runcache.store.blobs import Piece


@dataclass
class Remote:
    """Blobs in memory, each a list of parts. `reads` names what was read, in order.

    While `is_open` is not set, nobody gets a byte.
    """

    blobs: dict[str, list[bytes]] = field(default_factory=dict)
    reads: list[str] = field(default_factory=list)
    digests: dict[str, tuple[bytes | None, bytes | None]] = field(default_factory=dict)
    is_open: asyncio.Event = field(default_factory=asyncio.Event)
    is_away: bool = False

    _is_asked: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self.is_open.set()

    async def asked(self, count: int) -> None:
        """Return once so many reads have begun."""
        while len(self.reads) < count:
            self._is_asked.clear()
            await self._is_asked.wait()

    def add(self, *parts: bytes) -> str:
        """Have a blob of these parts, and return its name."""
        name = layout.new_blob_name()
        self.blobs[name] = list(parts)
        data = b"".join(parts)
        self.digests[name] = (blake3(data).digest(), sha256(data).digest())
        return name

    async def read(
        self, blob: str, part: Part, offset: int, count: int
    ) -> AsyncGenerator[Piece, None]:
        self.reads.append(blob)
        self._is_asked.set()
        await self.is_open.wait()
        if self.is_away:
            message = "the store is away"
            raise StoreUnavailable(message)
        if blob not in self.blobs:
            raise BlobMissing(blob)
        data = memoryview(self.blobs[blob][int(part.name, 16)])[offset : offset + count]
        half = len(data) // 2
        yield data[:half]
        yield data[half:]

    async def committed_named(self, name: str) -> CommittedBlob | None:
        if name not in self.blobs:
            return None
        size_bytes = sum(map(len, self.blobs[name]))
        return CommittedBlob(1, name, size_bytes, *self.digests[name])

    async def parts(self, name: str, span: Span) -> AsyncIterator[list[Part]]:
        for part in self.parts_of(name):
            if part.start < span.end:
                yield [part]

    async def known(self, names: Sequence[str]) -> set[str]:
        return self.blobs.keys() & set(names)

    def parts_of(self, name: str) -> list[Part]:
        start = 0
        parts = []
        for number, data in enumerate(self.blobs[name]):
            parts.append(Part(f"{number:016x}", start, len(data)))
            start += len(data)
        return parts


@dataclass
class Heard:
    """What a read cache told."""

    hits: int = 0
    misses: int = 0
    hit_bytes: int = 0
    evicted: int = 0
    damaged: list[str] = field(default_factory=list)
    mismatches: list[str] = field(default_factory=list)
    failures: list[Exception] = field(default_factory=list)

    def read_locally(self, size_bytes: int) -> None:
        self.hits += 1
        self.hit_bytes += size_bytes

    def read_from_store(self) -> None:
        self.misses += 1

    def evicted_locally(self, count: int) -> None:
        self.evicted += count

    def damaged_locally(self, blob: str) -> None:
        self.damaged.append(blob)

    def mismatched(self, blob: str) -> None:
        self.mismatches.append(blob)

    def failed_locally(self, error: Exception) -> None:
        self.failures.append(error)
