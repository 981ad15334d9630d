"""The contract of a store to which clients may have a way of their own, by signed links."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Protocol

from runcache.model import Part


@dataclass(frozen=True, slots=True)
class SignedUpload:
    """Where one part may be put, and with which headers: those are signed, too."""

    url: str = field(repr=False)
    headers: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class StoredPart:
    """A part as the store has it. `sha256` is what it verified by itself, if it did."""

    size_bytes: int
    sha256: bytes | None


class DirectStore(Protocol):
    """Parts of blobs, by the names of both, for those who are no servers of the cache.

    Every method may be called concurrently, and repeated after a failure. All of them raise
    `StoreUnavailable` when the store fails.
    """

    @property
    def is_encrypted(self) -> bool:
        """Whether its links are `https`."""
        ...

    async def download_urls(
        self, places: Sequence[tuple[str, str]], *, expires_in: timedelta
    ) -> list[str]:
        """Return links for GET, with ranges, to parts of blobs; they work for so long.

        Nobody asks if the parts are there. What began in time goes on to its end.
        """
        ...

    async def upload_url(
        self, blob: str, part: str, *, size_bytes: int, sha256: bytes, expires_in: timedelta
    ) -> SignedUpload:
        """Return a link for PUT that works for so long, any number of times.

        The store refuses all bytes but those that have this size and digest.
        """
        ...

    async def stat(self, blob: str, part: str) -> StoredPart | None:
        """Return what is there as a part, `None` if nothing is."""
        ...

    async def compose(self, blob: str, parts: Sequence[Part], *, into: str, as_part: str) -> bool:
        """Copy parts of a blob, in this order, into a part of the blob `into`, in bounded memory.

        Nobody sees it before it is whole. `False` says that the store cannot do it, ever.

        Raises:
            StoreUnavailable: also if a part is not there.
        """
        ...
