"""A store in a bucket of anything that speaks S3: each part is an object, which never changes."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Collection, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager
from datetime import datetime, timedelta
from functools import partial
from typing import Any, Final

import obstore
from obstore.exceptions import AlreadyExistsError

from runcache.errors import BlobMissing
from runcache.model import Part
from runcache.store import layout
from runcache.store.blobs import ArrivingBytes, Hasher
from runcache.store.s3_connection import S3Connection, clock_of
from runcache.store.s3_errors import s3_errors
from runcache.store.s3_part import S3Part
from runcache.store.s3_reading import S3Reading
from runcache.threads import WorkerThreads

GRACE: Final = timedelta(hours=1)
"""How long an object may be in the bucket before the catalog knows it."""

UPLOAD_GRACE: Final = timedelta(days=2)
"""How long a part may take to arrive."""

_THREADS: Final = 8
# Of so few parts each is asked for; more are listed, a thousand at a time.
_ASKED_FOR_EACH: Final = 2
_LOOKS_AT_ONCE: Final = 16
_PAGE: Final = 1000


class S3Store:
    """Blobs in a bucket (`BlobStore` is the contract).

    A part that is older than `grace` by the bucket's clock has its row or gets none any more, and
    one that arrives for longer than `upload_grace` never will have.
    """

    def __init__(
        self,
        connection: S3Connection,
        *,
        grace: timedelta = GRACE,
        upload_grace: timedelta = UPLOAD_GRACE,
    ) -> None:
        self._connection = connection
        self._objects = connection.objects
        self._grace = grace
        self._upload_grace = upload_grace
        self._reading = S3Reading(connection)
        self._threads = WorkerThreads("store", _THREADS)
        self._patient_thread = WorkerThreads("store-settle")
        self._looks = asyncio.Semaphore(_LOOKS_AT_ONCE)

    @property
    def is_durable_at_once(self) -> bool:
        """See `BlobStore.is_durable_at_once`."""
        return True

    def close(self) -> None:
        """End the threads and the connections."""
        self._reading.close()
        self._threads.end()
        self._patient_thread.end()
        self._connection.close()

    @asynccontextmanager
    async def receive(
        self, blob: str, part: str, *, hasher: Hasher | None = None
    ) -> AsyncIterator[S3Part]:
        """See `BlobStore.receive`."""
        path = layout.part_path(blob, part).as_posix()
        incoming = S3Part(self._connection, self._threads, path, hasher)
        try:
            yield incoming
        finally:
            await asyncio.shield(incoming.leave())

    async def read(
        self, blob: str, part: Part, offset: int, count: int
    ) -> AsyncGenerator[ArrivingBytes | bytes | memoryview, None]:
        """See `BlobStore.read`."""
        if not count:
            if not await self._is_whole(blob, [part]):
                raise BlobMissing(blob)
            return
        async with aclosing(self._reading.pieces(blob, part, offset, count)) as pieces:
            async for piece in pieces:
                yield piece

    async def first_incomplete(self, blobs: Mapping[str, Sequence[Part]]) -> str | None:
        """See `BlobStore.first_incomplete`."""
        looks = await asyncio.gather(*(self._is_whole(blob, blobs[blob]) for blob in blobs))
        return next(
            (blob for blob, is_whole in zip(blobs, looks, strict=True) if not is_whole), None
        )

    async def feed(self, blob: str, parts: Sequence[Part], hasher: Hasher) -> None:
        """See `BlobStore.feed`."""
        for part in parts:
            async with aclosing(self.read(blob, part, 0, part.size_bytes)) as pieces:
                async for piece in pieces:
                    await self._patient_thread.run(partial(_feed, hasher, piece))

    async def sync(self, blob: str) -> None:
        """See `BlobStore.sync`. An object that is there is there for good."""

    async def unclaimed(self, blob: str, *, is_committed: bool = False) -> list[str]:
        """See `BlobStore.unclaimed`."""
        names: list[str] = []
        async for page in self._pages(Prefix=self._connection.key_of(_folder(blob))):
            oldest = None if is_committed else clock_of(page) - self._grace
            names += _parts_in(page, since=oldest)
        return names

    async def delete_parts(self, blob: str, parts: Collection[str]) -> None:
        """See `BlobStore.delete_parts`."""
        paths = [layout.part_path(blob, part).as_posix() for part in parts]
        if paths:
            await self._connection.delete(paths)

    async def delete(self, blob: str) -> None:
        """See `BlobStore.delete`."""
        with s3_errors():
            async for objects in obstore.list(self._objects, _folder(blob), chunk_size=_PAGE):
                await self._connection.delete([found["path"] for found in objects])

    async def tidy(self) -> None:
        """See `BlobStore.tidy`."""
        await self._connection.abort_uploads("", older_than=self._upload_grace)

    async def names(self) -> AsyncIterator[list[str]]:
        """See `BlobStore.names`."""
        # By its objects, not by folders: some stores show these when nothing is in them any more.
        last = ""
        with s3_errors():
            async for objects in obstore.list(self._objects, chunk_size=_PAGE):
                places = (layout.part_at(found["path"]) for found in objects)
                names = list(dict.fromkeys(place[0] for place in places if place is not None))
                # The parts of a blob lie side by side: they may go on from one page to the next.
                if names:
                    yield names[1:] if names[0] == last else names
                    last = names[-1]

    async def claim(self, catalog_id: str) -> bool:
        """See `BlobStore.claim`."""
        body = catalog_id.encode("ascii")
        with s3_errors():
            try:
                await obstore.put_async(self._objects, layout.CATALOG_ID, body, mode="create")
            except AlreadyExistsError:
                found = await obstore.get_async(self._objects, layout.CATALOG_ID)
                return bytes(await found.bytes_async()) == body
        return True

    async def free_bytes(self) -> int | None:
        """See `BlobStore.free_bytes`. No bucket says."""
        return None

    async def _is_whole(self, blob: str, parts: Sequence[Part]) -> bool:
        async with self._looks:
            if len(parts) > _ASKED_FOR_EACH:
                return await self._has_all(blob, parts)
            for part in parts:
                if not await self._has(blob, part):
                    return False
            return True

    async def _has(self, blob: str, part: Part) -> bool:
        path = layout.part_path(blob, part.name).as_posix()
        try:
            with s3_errors():
                found = await obstore.head_async(self._objects, path)
        except FileNotFoundError:
            # An answer without a body: it may be the bucket that is not there.
            return await self._has_all(blob, [part])
        return found["size"] == part.size_bytes

    async def _has_all(self, blob: str, parts: Sequence[Part]) -> bool:
        folder = _folder(blob)
        sizes: dict[str, int] = {}
        with s3_errors():
            async for objects in obstore.list(self._objects, folder, chunk_size=_PAGE):
                sizes |= {found["path"][len(folder) :]: found["size"] for found in objects}
        return all(sizes.get(part.name) == part.size_bytes for part in parts)

    async def _pages(self, **parameters: object) -> AsyncGenerator[Mapping[str, Any], None]:
        token: dict[str, object] = {}
        while True:
            page = await self._connection.call("list_objects_v2", **parameters, **token)
            yield page
            if not page.get("IsTruncated"):
                return
            token = {"ContinuationToken": page["NextContinuationToken"]}


def _feed(hasher: Hasher, piece: ArrivingBytes | bytes | memoryview) -> None:
    hasher.update(memoryview(piece.take() if isinstance(piece, ArrivingBytes) else piece))


def _folder(blob: str) -> str:
    return f"{layout.blob_path(blob).as_posix()}/"


def _parts_in(page: Mapping[str, Any], *, since: datetime | None) -> list[str]:
    """Return the names of the parts in a page that have been there `since` then, or of all."""
    found = page.get("Contents", ())
    names = (
        entry["Key"].rpartition("/")[2]
        for entry in found
        if since is None or entry["LastModified"] <= since
    )
    return [name for name in names if layout.is_part_name(name)]
