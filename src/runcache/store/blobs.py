"""The contract of a store: blobs made of parts, which are written once and never change."""

import os
from collections.abc import AsyncGenerator, AsyncIterator, Collection, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import BinaryIO, Protocol, TypeAlias

from runcache.model import Part


@dataclass(frozen=True, slots=True)
class FileBytes:
    """`count` bytes of an open file, from `offset`."""

    file: BinaryIO
    offset: int
    count: int


@dataclass(slots=True)
class ArrivingBytes:
    """The next bytes of a connection, in the kernel still.

    Whoever has them takes any number of them, at least one, before the next piece is asked for,
    which begins behind that.

    Attributes:
        descriptor: where they can be read; reading never blocks.
        arrived_bytes: how many are there, up to a MiB.
        coming_bytes: how many follow these, and wake who waits for the descriptor to be readable.
        taken_bytes: how many were taken.
    """

    descriptor: int
    arrived_bytes: int
    coming_bytes: int
    taken_bytes: int = 0

    def take(self) -> bytes:
        """Take into memory what has arrived."""
        data = os.read(self.descriptor, self.arrived_bytes)
        self.taken_bytes += len(data)
        return data


# Bytes of a part, as the store has them at hand.
Piece: TypeAlias = FileBytes | ArrivingBytes | bytes | memoryview


class Hasher(Protocol):
    """What `hashlib` and `blake3` make."""

    def update(self, data: memoryview, /) -> object:
        """Take in more bytes."""
        ...


class KernelBytes(Protocol):
    """Bytes that were sent to us but are still in the kernel."""

    @property
    def descriptor(self) -> int:
        """Where they can be read; reading never blocks."""
        ...

    @property
    def size_bytes(self) -> int:
        """How many they are, once all have come."""
        ...

    async def readable(self) -> None:
        """Return once there is something to read, be it the end."""
        ...


class IncomingPart(Protocol):
    """A part that is being received."""

    @property
    def size_bytes(self) -> int:
        """How much was written so far."""
        ...

    async def write(self, data: bytes | memoryview | KernelBytes) -> None:
        """Append `data`, and feed it to the hasher of this part, if it has one.

        Raises:
            UploadInterrupted: the kernel's bytes end early.
            StoreFull: there is no room for it.
            StoreUnavailable: it cannot be written.
        """
        ...

    async def hand_over(self) -> None:
        """Make the part whole, to be read by everybody, and leave it to the catalog from now on.

        Leaving does not delete it any more.

        Raises:
            StoreFull: there is no room for it.
            StoreUnavailable: it cannot be written.
        """
        ...


class BlobReader(Protocol):
    """Where parts of blobs are read."""

    def read(self, blob: str, part: Part, offset: int, count: int) -> AsyncGenerator[Piece, None]:
        """Yield `count` bytes of a part from `offset`, each piece until the next one is asked for.

        Raises:
            BlobMissing: it is not there, or has another size than it had; a part that is deleted
                while it is read may be read to its end all the same.
            StoreUnavailable: the store fails.
        """
        ...


class BlobStore(BlobReader, Protocol):
    """Parts of blobs, by the names of both (`store/layout.py`).

    Every method may be called concurrently, by several processes too, and repeated after a failure.
    All of them raise `StoreUnavailable` when the store fails.
    """

    @property
    def is_durable_at_once(self) -> bool:
        """Whether what was handed over survives a power failure of this machine without `sync`."""
        ...

    def receive(
        self, blob: str, part: str, *, hasher: Hasher | None = None
    ) -> AbstractAsyncContextManager[IncomingPart]:
        """Begin a new part; on leaving it is deleted, unless it was handed over.

        Until then nobody else takes it for debris, and after the death of this process everybody
        does.
        """
        ...

    async def first_incomplete(self, blobs: Mapping[str, Sequence[Part]]) -> str | None:
        """Name a blob of which one of these parts is not there or has another size than it had.

        `None` if all parts of all blobs are there.
        """
        ...

    async def feed(self, blob: str, parts: Sequence[Part], hasher: Hasher) -> None:
        """Feed the bytes of these parts to a hasher, with low urgency and in bounded memory.

        Raises:
            BlobMissing: a part is not there, or has another size than it had.
        """
        ...

    async def sync(self, blob: str) -> None:
        """Return once all parts of a blob, and their names, would survive a power failure."""
        ...

    async def unclaimed(self, blob: str, *, is_committed: bool = False) -> list[str]:
        """Return the names of the parts of a blob that nobody is about to hand over.

        Of a blob that `is_committed` these are all that are there whole: no part is added to it.
        """
        ...

    async def delete_parts(self, blob: str, parts: Collection[str]) -> None:
        """Delete parts; those that are not there are not an error."""
        ...

    async def delete(self, blob: str) -> None:
        """Delete a blob with all its parts; one that is not there is not an error."""
        ...

    async def tidy(self) -> None:
        """Remove what interrupted writers have left that is no part yet, once it is old enough."""
        ...

    def names(self) -> AsyncIterator[list[str]]:
        """Yield the names of all blobs, in lists of bounded size."""
        ...

    async def claim(self, catalog_id: str) -> bool:
        """Make the store that of a catalog, and say whether it is: `False` if it is another's."""
        ...

    async def free_bytes(self) -> int | None:
        """Return how many bytes can still be stored, or `None` if nothing is known to end it."""
        ...
