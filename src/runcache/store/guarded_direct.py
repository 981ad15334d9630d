"""A guard around the way that clients have of their own to a store that may be away."""

from collections.abc import Sequence
from datetime import timedelta
from functools import partial

from runcache.circuits import Circuit
from runcache.model import Part
from runcache.store.direct import DirectStore, SignedUpload, StoredPart
from runcache.store.guarded import Patience


class GuardedDirect:
    """A store that says in time what clients have put there (`DirectStore` is the contract).

    Links are made without it.
    """

    def __init__(
        self, direct: DirectStore, circuit: Circuit, patience: Patience | None = None
    ) -> None:
        self._direct = direct
        self._circuit = circuit
        self._patience = patience or Patience()

    @property
    def is_encrypted(self) -> bool:
        """See `DirectStore.is_encrypted`."""
        return self._direct.is_encrypted

    async def download_urls(
        self, places: Sequence[tuple[str, str]], *, expires_in: timedelta
    ) -> list[str]:
        """See `DirectStore.download_urls`."""
        return await self._direct.download_urls(places, expires_in=expires_in)

    async def upload_url(
        self, blob: str, part: str, *, size_bytes: int, sha256: bytes, expires_in: timedelta
    ) -> SignedUpload:
        """See `DirectStore.upload_url`."""
        return await self._direct.upload_url(
            blob, part, size_bytes=size_bytes, sha256=sha256, expires_in=expires_in
        )

    async def stat(self, blob: str, part: str) -> StoredPart | None:
        """See `DirectStore.stat`."""
        return await self._circuit.call(
            partial(self._direct.stat, blob, part), within_seconds=self._patience.whole_seconds
        )

    async def compose(self, blob: str, parts: Sequence[Part], *, into: str, as_part: str) -> bool:
        """See `DirectStore.compose`, which takes as long as the bytes do."""
        self._circuit.require()
        with self._circuit.judging():
            return await self._direct.compose(blob, parts, into=into, as_part=as_part)
