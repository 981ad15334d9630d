"""A store in a local folder.

A part is written straight to its place, under an advisory lock that ends with its process: a file
that no row of the catalog names and nobody has locked is debris, whoever left it.
"""

import asyncio
import errno
import fcntl
import os
import secrets
import shutil
import threading
from collections.abc import (
    AsyncGenerator,
    AsyncIterator,
    Callable,
    Collection,
    Iterator,
    Mapping,
    Sequence,
)
from contextlib import asynccontextmanager, contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import BinaryIO, Final, ParamSpec, TypeVar

from runcache.errors import BlobMissing, CacheError, StoreFull, StoreUnavailable, UploadInterrupted
from runcache.model import Part
from runcache.store import layout
from runcache.store.blobs import FileBytes, Hasher, KernelBytes
from runcache.threads import WorkerThreads

P = ParamSpec("P")
T = TypeVar("T")

_THREADS: Final = 16
_HASH_BUFFER_BYTES: Final = 1024 * 1024
_MOVE_BUFFER_BYTES: Final = 256 * 1024
_of_thread: Final = threading.local()
# EFBIG is what a limit on file sizes gives.
_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


class LocalStore:
    """Blobs in the folder `root` (`BlobStore` is the contract)."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._threads = WorkerThreads("store", _THREADS)
        # Hashing and syncing take long and are never urgent: they do not stand in the way of
        # transfers.
        self._patient_thread = WorkerThreads("store-settle")

    @property
    def is_durable_at_once(self) -> bool:
        """See `BlobStore.is_durable_at_once`."""
        return False

    def close(self) -> None:
        """End the threads, once what they do is done; do not wait for that."""
        self._threads.end()
        self._patient_thread.end()

    @asynccontextmanager
    async def receive(
        self, blob: str, part: str, *, hasher: Hasher | None = None
    ) -> AsyncIterator["LocalPart"]:
        """See `BlobStore.receive`."""
        path = self._root / layout.part_path(blob, part)
        incoming = LocalPart(self, await self.run(_create_locked, path), hasher)
        try:
            yield incoming
        finally:
            await asyncio.shield(self.run(incoming.leave, path))

    async def read(
        self, blob: str, part: Part, offset: int, count: int
    ) -> AsyncGenerator[FileBytes, None]:
        """See `BlobStore.read`."""
        path = self._root / layout.part_path(blob, part.name)
        file = await self._opened(path, blob, part.size_bytes)
        try:
            if count:
                yield FileBytes(file, offset, count)
        finally:
            await self.run(file.close)

    async def _opened(self, path: Path, blob: str, size_bytes: int) -> BinaryIO:
        opening = asyncio.ensure_future(self.run(_open_whole, path, blob, size_bytes))
        try:
            return await asyncio.shield(opening)
        except asyncio.CancelledError:
            # The thread opens it all the same, and nobody else would close it.
            with suppress(CacheError):
                (await opening).close()
            raise

    async def first_incomplete(self, blobs: Mapping[str, Sequence[Part]]) -> str | None:
        """See `BlobStore.first_incomplete`."""
        return await self.run(_first_incomplete, self._root, blobs) if blobs else None

    async def feed(self, blob: str, parts: Sequence[Part], hasher: Hasher) -> None:
        """See `BlobStore.feed`."""
        for part in parts:
            path = self._root / layout.part_path(blob, part.name)
            await self._patiently(_feed_file, path, blob, part.size_bytes, hasher)

    async def sync(self, blob: str) -> None:
        """See `BlobStore.sync`."""
        await self._patiently(_sync_tree, self._root / layout.blob_path(blob))

    async def unclaimed(self, blob: str, *, is_committed: bool = False) -> list[str]:  # noqa: ARG002  -- a lock tells the same of every blob
        """See `BlobStore.unclaimed`."""
        return await self.run(_unlocked_files, self._root / layout.blob_path(blob))

    async def delete_parts(self, blob: str, parts: Collection[str]) -> None:
        """See `BlobStore.delete_parts`."""
        paths = [self._root / layout.part_path(blob, part) for part in parts]
        await self.run(_unlink_all, paths)

    async def delete(self, blob: str) -> None:
        """See `BlobStore.delete`."""
        await self.run(_delete_tree, self._root / layout.blob_path(blob))

    async def tidy(self) -> None:
        """See `BlobStore.tidy`. Here a part has its name from the first byte on."""

    async def names(self) -> AsyncIterator[list[str]]:
        """See `BlobStore.names`."""
        for shard in layout.shards():
            names = await self._patiently(_blob_names, self._root / shard)
            if names:
                yield names

    async def claim(self, catalog_id: str) -> bool:
        """See `BlobStore.claim`."""
        return await self.run(_claim, self._root / layout.CATALOG_ID, catalog_id)

    async def free_bytes(self) -> int:
        """See `BlobStore.free_bytes`."""
        return await self.run(_free_bytes, self._root)

    async def run(self, work: Callable[P, T], *args: P.args, **_: P.kwargs) -> T:
        """Run blocking work in one of the store's threads."""
        return await self._threads.run(partial(_translated, work, *args))

    async def _patiently(self, work: Callable[P, T], *args: P.args, **_: P.kwargs) -> T:
        return await self._patient_thread.run(partial(_translated, work, *args))


class LocalPart:
    """A part that is being received (`IncomingPart` is the contract)."""

    def __init__(self, store: LocalStore, descriptor: int, hasher: Hasher | None) -> None:
        self._store = store
        self._descriptor = descriptor
        self._hasher = hasher
        self._is_handed_over = False
        self.size_bytes = 0

    async def write(self, data: bytes | memoryview | KernelBytes) -> None:
        """See `IncomingPart.write`."""
        if isinstance(data, bytes | memoryview):
            view = memoryview(data).cast("B")
            await self._store.run(_write_all, self._descriptor, view, self._hasher)
            self.size_bytes += len(view)
        else:
            await self._move(data)

    async def _move(self, data: KernelBytes) -> None:
        """Let a thread move what has come, and wait for more without a thread."""
        end_bytes = self.size_bytes + data.size_bytes
        while self.size_bytes < end_bytes:
            moved_bytes, is_at_end = await self._store.run(
                _move, data.descriptor, self._descriptor, end_bytes - self.size_bytes, self._hasher
            )
            self.size_bytes += moved_bytes
            if is_at_end:
                raise UploadInterrupted
            if self.size_bytes < end_bytes:
                await data.readable()

    async def hand_over(self) -> None:
        """See `IncomingPart.hand_over`."""
        self._is_handed_over = True

    def leave(self, path: Path) -> None:
        """Release the lock, and delete the file unless it was handed over."""
        if not self._is_handed_over:
            path.unlink(missing_ok=True)
        os.close(self._descriptor)


@contextmanager
def _disk_errors() -> Iterator[None]:
    try:
        yield
    except OSError as exc:
        if exc.errno in _FULL:
            raise StoreFull from exc
        message = f"the store failed: {exc.strerror}"
        raise StoreUnavailable(message) from exc


def _translated(work: Callable[..., T], *args: object) -> T:
    with _disk_errors():
        return work(*args)


def _create_locked(path: Path) -> int:
    while True:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        try:
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        except FileNotFoundError:
            continue  # The folder was deleted in between.
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        if os.fstat(descriptor).st_nlink:
            return descriptor
        # Somebody took it for debris before it was locked.
        os.close(descriptor)


def _write_all(descriptor: int, data: memoryview, hasher: Hasher | None) -> None:
    if hasher is not None:
        hasher.update(data)
    while data:
        data = data[os.write(descriptor, data) :]


def _move(source: int, target: int, size_bytes: int, hasher: Hasher | None) -> tuple[int, bool]:
    """Move up to `size_bytes` that are there; return how many, and whether no more will come."""
    buffer = _buffer_of_thread()
    moved_bytes = 0
    while moved_bytes < size_bytes:
        try:
            count = os.readv(source, [buffer[: size_bytes - moved_bytes]])
        except BlockingIOError:
            return moved_bytes, False
        except ConnectionError:
            return moved_bytes, True
        if count == 0:
            return moved_bytes, True
        _write_all(target, buffer[:count], hasher)
        moved_bytes += count
    return moved_bytes, False


def _buffer_of_thread() -> memoryview:
    # A new one each time would be given back to the kernel, and be zeroed by it, each time.
    if not hasattr(_of_thread, "buffer"):
        _of_thread.buffer = memoryview(bytearray(_MOVE_BUFFER_BYTES))
    buffer: memoryview = _of_thread.buffer
    return buffer


def _open_whole(path: Path, blob: str, size_bytes: int) -> BinaryIO:
    try:
        file = path.open("rb", buffering=0)
    except FileNotFoundError as exc:
        raise BlobMissing(blob) from exc
    if os.fstat(file.fileno()).st_size != size_bytes:
        file.close()
        raise BlobMissing(blob)
    return file


def _first_incomplete(root: Path, blobs: Mapping[str, Sequence[Part]]) -> str | None:
    for blob, parts in blobs.items():
        folder = root / layout.blob_path(blob)
        try:
            sizes = ((folder / part.name).stat().st_size == part.size_bytes for part in parts)
            if not all(sizes):
                return blob
        except FileNotFoundError:
            return blob
    return None


def _feed_file(path: Path, blob: str, size_bytes: int, hasher: Hasher) -> None:
    buffer = memoryview(bytearray(_HASH_BUFFER_BYTES))
    with _open_whole(path, blob, size_bytes) as file:
        while count := file.readinto(buffer):  # type: ignore[attr-defined]
            hasher.update(buffer[:count])


def _sync_tree(folder: Path) -> None:
    paths = [*folder.iterdir(), folder, folder.parent] if folder.is_dir() else []
    for path in paths:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _unlocked_files(folder: Path) -> list[str]:
    try:
        with os.scandir(folder) as entries:
            names = [entry.name for entry in entries]
    except FileNotFoundError:
        return []
    return [name for name in names if layout.is_part_name(name) and not _is_locked(folder / name)]


def _is_locked(path: Path) -> bool:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


def _unlink_all(paths: Sequence[Path]) -> None:
    for path in paths:
        path.unlink(missing_ok=True)


def _delete_tree(folder: Path) -> None:
    try:
        shutil.rmtree(folder)
    except FileNotFoundError:
        return


def _blob_names(folder: Path) -> list[str]:
    try:
        with os.scandir(folder) as entries:
            return [entry.name for entry in entries if layout.is_blob_name(entry.name)]
    except FileNotFoundError:
        return []


def _claim(file: Path, catalog_id: str) -> bool:
    file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    draft = file.with_name(f".{file.name}-{secrets.token_hex(8)}")
    draft.write_text(catalog_id, "ascii")
    try:
        # A link appears whole and replaces nothing: of two catalogs the first one wins.
        os.link(draft, file)
    except FileExistsError:
        return file.read_text("ascii") == catalog_id
    finally:
        draft.unlink()
    return True


def _free_bytes(root: Path) -> int:
    root.mkdir(parents=True, exist_ok=True, mode=0o700)
    stat = os.statvfs(root)
    return stat.f_bavail * stat.f_frsize
