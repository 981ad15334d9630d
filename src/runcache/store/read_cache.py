"""A cache on a local disk in front of a store: what is read twice is fetched, verified, and kept.

What is read goes to whoever asks for it straight from the store, and is fetched once more behind
that: what many ask for at once is fetched once, and nobody waits for it. Only what has the
digest that the catalog knows is ever read from the disk.
"""

import asyncio
import hashlib
import time
from collections import OrderedDict
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import BinaryIO, Final, Protocol

from blake3 import blake3

from runcache.errors import CacheError
from runcache.model import Part, Span
from runcache.store.blobs import BlobReader, FileBytes, Hasher, Piece
from runcache.store.cached_files import CachedFiles, Filling, Identity
from runcache.threads import WorkerThreads

TIDIED_EVERY_SECONDS: Final = 60
# What rots without a trace in the times of its file is found after a day.
VERIFIED_FOR_SECONDS: Final = 24 * 3600
_THREADS: Final = 8
_FETCHED_AT_ONCE: Final = 2
_WAITING_AT_MOST: Final = 256
_COUNTED_AT_MOST: Final = 10_000
_NAMES_AT_ONCE: Final = 500


class Verifiable(Protocol):
    """A committed blob, and what it must hash to as far as that is known."""

    @property
    def size_bytes(self) -> int:
        """All of its bytes."""
        ...

    @property
    def blake3(self) -> bytes | None:
        """Its BLAKE3."""
        ...

    @property
    def sha256(self) -> bytes | None:
        """Its SHA-256."""
        ...


class Facts(Protocol):
    """What the catalog knows of blobs. All methods may raise `CatalogUnavailable`."""

    async def committed_named(self, name: str) -> Verifiable | None:
        """Return a blob that entries refer to, `None` if there is none of this name."""
        ...

    def parts(self, name: str, span: Span) -> AsyncIterator[list[Part]]:
        """Yield the parts that hold bytes of `span`, in order."""
        ...

    async def known(self, names: Sequence[str]) -> set[str]:
        """Return those of `names` that are blobs."""
        ...


class ReadCacheObserver(Protocol):
    """Hears what the read cache does."""

    def read_locally(self, size_bytes: int) -> None:
        """So many bytes are read from the disk."""

    def read_from_store(self) -> None:
        """A part, or a range of one, is not on the disk."""

    def evicted_locally(self, count: int) -> None:
        """Files had to make room for others."""

    def damaged_locally(self, blob: str) -> None:
        """A file was not what it had been, and is dropped."""

    def mismatched(self, blob: str) -> None:
        """What the store has is not what the catalog says."""

    def failed_locally(self, error: Exception) -> None:
        """The disk, the store or the catalog failed, and something is not kept."""


class _Digest(Hasher, Protocol):
    def digest(self) -> bytes: ...


@dataclass(frozen=True, slots=True)
class _Verified:
    identity: Identity
    at_seconds: float


class ReadCache:
    """Reads parts from the disk if they are there, else from the store (`BlobReader`).

    It never fails where the store would not. `seconds` is a clock that never goes back.
    """

    def __init__(
        self,
        store: BlobReader,
        facts: Facts,
        files: CachedFiles,
        observer: ReadCacheObserver,
        *,
        seconds: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store = store
        self._facts = facts
        self._files = files
        self._observer = observer
        self._seconds = seconds
        self._threads = WorkerThreads("read-cache", _THREADS)
        # Fetching and verifying is never urgent, and must not stand in the way of readers.
        self._patient_threads = WorkerThreads("read-cache-fetch", _FETCHED_AT_ONCE)
        self._verified: dict[str, _Verified] = {}
        self._asked_bytes: OrderedDict[str, int] = OrderedDict()
        self._waiting: asyncio.Queue[str] = asyncio.Queue(_WAITING_AT_MOST)
        self._expected: set[str] = set()

    async def read(
        self, blob: str, part: Part, offset: int, count: int
    ) -> AsyncGenerator[Piece, None]:
        """See `BlobReader.read`."""
        file = await self._opened(blob, part)
        if file is not None:
            self._observer.read_locally(count)
            try:
                yield FileBytes(file, part.start + offset, count)
            finally:
                await self._threads.run(file.close)
            return
        self._observer.read_from_store()
        self._note(blob, part, count)
        async with aclosing(self._store.read(blob, part, offset, count)) as pieces:
            async for piece in pieces:
                yield piece

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Keep what is read twice, until the end of the block."""
        await self._attempt(self._threads.run(self._files.begin))
        tasks = [
            asyncio.create_task(self._tidy_again_and_again()),
            *(asyncio.create_task(self._work()) for _ in range(_FETCHED_AT_ONCE)),
        ]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            self._threads.end()
            self._patient_threads.end()

    async def settled(self) -> None:
        """Return once all that was to be fetched or verified has been."""
        await self._waiting.join()

    async def tidy(self) -> None:
        """Drop blobs that the catalog does not know any more."""
        verified = set(self._verified)
        names = await self._threads.run(self._files.names)
        for start in range(0, len(names), _NAMES_AT_ONCE):
            batch = names[start : start + _NAMES_AT_ONCE]
            known = await self._facts.known(batch)
            for name in batch:
                if name not in known:
                    await self._drop(name)
        # Not those that were fetched since the folder was read.
        for name in verified.difference(names):
            self._verified.pop(name, None)

    async def _opened(self, blob: str, part: Part) -> BinaryIO | None:
        try:
            found = await self._threads.run(partial(self._files.open, blob))
        except OSError as exc:
            self._observer.failed_locally(exc)
            return None
        if found is None:
            return None
        file, identity = found
        is_whole = part.start + part.size_bytes <= identity.size_bytes
        if is_whole and self._is_verified(blob, identity):
            return file
        await self._threads.run(file.close)
        if is_whole and identity.is_untouched:
            # Another process has fetched it, or this one before it was started anew.
            self._expect(blob)
        else:
            await self._drop_damaged(blob)
        return None

    def _is_verified(self, blob: str, identity: Identity) -> bool:
        verified = self._verified.get(blob)
        return (
            verified is not None
            and verified.identity == identity
            and self._seconds() - verified.at_seconds < VERIFIED_FOR_SECONDS
        )

    def _note(self, blob: str, part: Part, count: int) -> None:
        """Count what is read of the first part: twice its size is taken for two readers."""
        if part.start or not part.size_bytes:
            return
        asked_bytes = self._asked_bytes.pop(blob, 0) + count
        if asked_bytes >= 2 * part.size_bytes:
            self._expect(blob)
            return
        self._asked_bytes[blob] = asked_bytes
        if len(self._asked_bytes) > _COUNTED_AT_MOST:
            self._asked_bytes.popitem(last=False)

    def _expect(self, blob: str) -> None:
        if blob not in self._expected and not self._waiting.full():
            self._expected.add(blob)
            self._waiting.put_nowait(blob)

    async def _work(self) -> None:
        while True:
            blob = await self._waiting.get()
            try:
                await self._attempt(self._keep(blob))
            finally:
                self._expected.discard(blob)
                self._waiting.task_done()

    async def _keep(self, blob: str) -> None:
        """Verify the file of a blob, or fetch it if there is none."""
        known = await self._facts.committed_named(blob)
        expected = None if known is None else known.blake3 or known.sha256
        if known is None or expected is None:
            return
        # Where there are both, the one that takes a quarter of the time.
        hasher: _Digest = hashlib.sha256() if known.blake3 is None else blake3()
        identity = await self._patient_threads.run(partial(self._files.digest, blob, hasher))
        if identity is None:
            await self._fetch(blob, known.size_bytes, hasher, expected)
        elif hasher.digest() == expected:
            self._verified[blob] = _Verified(identity, self._seconds())
        else:
            await self._drop_damaged(blob)

    async def _fetch(self, blob: str, size_bytes: int, hasher: _Digest, expected: bytes) -> None:
        filling = await self._booked(blob, size_bytes)
        if filling is None:
            return
        try:
            async for parts in self._facts.parts(blob, Span(0, size_bytes)):
                for part in parts:
                    pieces = self._store.read(blob, part, 0, part.size_bytes)
                    async with aclosing(pieces):
                        async for piece in pieces:
                            await self._patient_threads.run(partial(filling.write, piece, hasher))
            if filling.is_whole and hasher.digest() == expected:
                identity = await self._patient_threads.run(
                    partial(self._files.finish, filling, blob)
                )
                self._verified[blob] = _Verified(identity, self._seconds())
            else:
                self._observer.mismatched(blob)
        finally:
            await self._patient_threads.run(filling.leave)

    async def _booked(self, blob: str, size_bytes: int) -> Filling | None:
        booking = asyncio.ensure_future(
            self._patient_threads.run(partial(self._files.book, blob, size_bytes))
        )
        try:
            filling, evicted_count = await asyncio.shield(booking)
        except asyncio.CancelledError:
            filling, _ = await booking
            if filling is not None:
                await self._patient_threads.run(filling.leave)
            raise
        if evicted_count:
            self._observer.evicted_locally(evicted_count)
        return filling

    async def _drop_damaged(self, blob: str) -> None:
        self._observer.damaged_locally(blob)
        await self._drop(blob)

    async def _drop(self, blob: str) -> None:
        self._verified.pop(blob, None)
        await self._attempt(self._threads.run(partial(self._files.drop, blob)))

    async def _tidy_again_and_again(self) -> None:
        while True:
            await self._attempt(self.tidy())
            await asyncio.sleep(TIDIED_EVERY_SECONDS)

    async def _attempt(self, work: Awaitable[None]) -> None:
        try:
            await work
        except (CacheError, OSError) as exc:
            self._observer.failed_locally(exc)
