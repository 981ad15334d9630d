"""The contract of a store: blobs made of parts, which are written once and never change."""

from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import BinaryIO, Protocol

from runcache.model import Part


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

    def hand_over(self) -> None:
        """Leave it to the catalog whether the part stays: leaving does not delete it any more."""
        ...


class BlobStore(Protocol):
    """Parts of blobs, by the names of both (`store/layout.py`).

    Every method may be called concurrently, by several processes too, and repeated after a failure.
    All of them raise `StoreUnavailable` when the disk fails.
    """

    def receive(
        self, blob: str, part: str, *, hasher: Hasher | None = None
    ) -> AbstractAsyncContextManager[IncomingPart]:
        """Begin a new part; on leaving it is deleted, unless it was handed over.

        Until then nobody else takes it for debris, and after the death of this process everybody
        does.
        """
        ...

    def open(self, blob: str, part: Part) -> AbstractAsyncContextManager[BinaryIO]:
        """Open a part for reading: to its end, even if it is deleted meanwhile.

        Raises:
            BlobMissing: it is not there, or has another size than it had.
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

    async def unclaimed(self, blob: str) -> list[str]:
        """Return the names of the parts of a blob that nobody is writing at this moment."""
        ...

    async def delete_parts(self, blob: str, parts: Collection[str]) -> None:
        """Delete parts; those that are not there are not an error."""
        ...

    async def delete(self, blob: str) -> None:
        """Delete a blob with all its parts; one that is not there is not an error."""
        ...

    def names(self) -> AsyncIterator[list[str]]:
        """Yield the names of all blobs, in lists of bounded size."""
        ...

    async def claim(self, catalog_id: str) -> bool:
        """Make the store that of a catalog, and say whether it is: `False` if it is another's."""
        ...

    async def free_bytes(self) -> int:
        """Return how many bytes can still be stored."""
        ...
