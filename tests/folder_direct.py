"""A store in a folder to which clients have a way of their own, as a bucket has (a fake)."""

import asyncio
import hashlib
import os
from collections.abc import Callable, Sequence
from datetime import timedelta
from pathlib import Path

from runcache.errors import StoreUnavailable
from runcache.model import Grant, Part, Upload
from runcache.service.direct import DirectTransfers
from runcache.store import layout
from runcache.store.direct import SignedUpload, StoredPart
from tests.in_process import Cache


class FolderDirect:
    """`DirectStore` is the contract. Links are `folder:` and a path, and never end by themselves.

    `step` is called after each change, and may raise, or end the process.
    """

    is_encrypted = True

    def __init__(self, folder: Path, step: Callable[[], None] = lambda: None) -> None:
        self._folder = folder
        self._step = step
        self._allowed: dict[str, tuple[int, bytes]] = {}
        self.expirations: list[timedelta] = []
        self.is_away = False

    async def download_urls(
        self, places: Sequence[tuple[str, str]], *, expires_in: timedelta
    ) -> list[str]:
        self.expirations.append(expires_in)
        return [f"folder:{layout.part_path(blob, part)}" for blob, part in places]

    async def upload_url(
        self, blob: str, part: str, *, size_bytes: int, sha256: bytes, expires_in: timedelta
    ) -> SignedUpload:
        self.expirations.append(expires_in)
        url = f"folder:{layout.part_path(blob, part)}"
        self._allowed[url] = (size_bytes, sha256)
        return SignedUpload(url, {"x-digest": sha256.hex()})

    async def stat(self, blob: str, part: str) -> StoredPart | None:
        data = await asyncio.to_thread(self._read, layout.part_path(blob, part))
        return None if data is None else StoredPart(len(data), hashlib.sha256(data).digest())

    async def compose(self, blob: str, parts: Sequence[Part], *, into: str, as_part: str) -> bool:
        if self.is_away:
            message = "the store is away"
            raise StoreUnavailable(message)
        self._step()
        pieces = [
            await asyncio.to_thread(self._read, layout.part_path(blob, part.name)) for part in parts
        ]
        whole = b"".join(piece or b"" for piece in pieces)
        await asyncio.to_thread(self._write, layout.part_path(into, as_part), whole)
        self._step()
        return True

    async def get(self, url: str) -> bytes | None:
        """Do what a client does with a link for downloads."""
        return await asyncio.to_thread(self._read, Path(url.removeprefix("folder:")))

    async def put(self, link: SignedUpload, data: bytes) -> bool:
        """Do what a client does with a link for uploads; say whether the store took the bytes."""
        if self._allowed[link.url] != (len(data), hashlib.sha256(data).digest()):
            return False
        await asyncio.to_thread(self._write, Path(link.url.removeprefix("folder:")), data)
        self._step()
        return True

    def _read(self, path: Path) -> bytes | None:
        try:
            return (self._folder / path).read_bytes()
        except FileNotFoundError:
            return None

    def _write(self, path: Path, data: bytes) -> None:
        target = self._folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        draft = target.with_name(f"{target.name}.draft")
        draft.write_bytes(data)
        os.replace(draft, target)  # noqa: PTH105  -- as the store does: whole or not at all

    async def send(
        self, cache: Cache, upload: Upload, data: bytes, *, grant: Grant | None = None
    ) -> bytes:
        """Put bytes of an upload here, and return their digest."""
        digest = hashlib.sha256(data).digest()
        link = await direct_of(cache).upload_link(
            grant or cache.default, upload.id, size_bytes=len(data), sha256=digest
        )
        assert await self.put(link, data)
        return digest


def direct_of(cache: Cache) -> DirectTransfers:
    """Return what a cache does for those who go past it."""
    assert cache.service.direct is not None
    return cache.service.direct
