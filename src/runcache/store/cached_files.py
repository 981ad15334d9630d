"""Whole blobs in a folder of this machine, within a size: what the read cache keeps.

```
read-cache/
  lock                  who holds it may make room
  9b1c…/                the store of one catalog, by its id; those of others are removed
    3fa9…               a blob, whole, as it was verified
    77d0….filling       one that is being fetched, locked by who does it
```

The folder itself is the only account of what is kept: any number of processes may use it, and all
of them may be killed. A file has its full size from its beginning, so that what is being fetched
counts, and the disk has room for it.
"""

import fcntl
import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final, NamedTuple

from runcache.store import layout
from runcache.store.blobs import ArrivingBytes, FileBytes, Hasher, Piece

# So many files are looked at in 30 ms, each time that room is made.
FILES_AT_MOST: Final = 10_000
# A file that was verified has this time of change, and whoever writes to it gives it another.
VERIFIED_AT_NS: Final = 0
_TOUCHED_EVERY_NS: Final = 1_000_000_000
_FILLING: Final = ".filling"
_LOCK: Final = "lock"
_BUFFER_BYTES: Final = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Identity:
    """What tells a file from another of the same name, and from itself before it was changed."""

    inode: int
    size_bytes: int
    changed_at_ns: int

    @classmethod
    def of(cls, found: os.stat_result) -> "Identity":
        """Return that of a file that was looked at."""
        return cls(found.st_ino, found.st_size, found.st_mtime_ns)

    @property
    def is_untouched(self) -> bool:
        """Whether nobody has written to it since it was verified for the first time."""
        return self.changed_at_ns == VERIFIED_AT_NS


class _File(NamedTuple):
    used_at_ns: int
    size_bytes: int
    path: str


class CachedFiles:
    """The files of one store. All methods block, and raise `OSError` when the disk fails.

    `min_free_bytes` is what the disk must have left besides; `now_ns` the time since 1970.
    """

    def __init__(
        self,
        root: Path,
        catalog_id: str,
        *,
        limit_bytes: int,
        min_free_bytes: int,
        now_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        self._root = root
        self._folder = root / catalog_id
        self._limit_bytes = limit_bytes
        self._min_free_bytes = min_free_bytes
        self._now_ns = now_ns

    def begin(self) -> None:
        """Make the folder, and remove what is not of this store or exceeds the limit."""
        with self._locked():
            for other in self._root.iterdir():
                if other.is_dir() and other != self._folder:
                    shutil.rmtree(other, ignore_errors=True)
            self._make_room(0)

    def open(self, blob: str) -> tuple[BinaryIO, Identity] | None:
        """Open the file of a blob, which counts as its use; `None` if there is none."""
        try:
            file = (self._folder / blob).open("rb", buffering=0)
        except FileNotFoundError:
            return None
        found = os.fstat(file.fileno())
        now_ns = self._now_ns()
        if now_ns - found.st_atime_ns >= _TOUCHED_EVERY_NS:
            os.utime(file.fileno(), ns=(now_ns, found.st_mtime_ns))
        return file, Identity.of(found)

    def digest(self, blob: str, hasher: Hasher) -> Identity | None:
        """Feed a file to a hasher, and return which it was; `None` if there is none."""
        try:
            file = (self._folder / blob).open("rb", buffering=0)
        except FileNotFoundError:
            return None
        buffer = memoryview(bytearray(_BUFFER_BYTES))
        with file:
            before = Identity.of(os.fstat(file.fileno()))
            while count := os.readv(file.fileno(), [buffer]):
                hasher.update(buffer[:count])
            return before

    def book(self, blob: str, size_bytes: int) -> tuple["Filling | None", int]:
        """Take room for a blob, and return where to write it and how many others had to go.

        There is nowhere if somebody is at it or has done it, or no room can be made.
        """
        path = self._folder / blob
        with self._locked():
            if path.exists():
                return None, 0
            filling = path.with_name(blob + _FILLING)
            has_room, gone = self._make_room(size_bytes)
            # Looked for behind the above, which removes what a killed process has left.
            if not has_room or filling.exists():
                return None, gone
            return Filling(filling, _taken(filling, size_bytes), size_bytes), gone

    def finish(self, filling: "Filling", blob: str) -> Identity:
        """Keep what was fetched and verified, and return which file it is."""
        # Whoever makes room must not overlook what changes its name.
        with self._locked():
            return filling.renamed(self._folder / blob, used_at_ns=self._now_ns())

    def drop(self, blob: str) -> None:
        """Remove a blob; one that is not there is not an error."""
        (self._folder / blob).unlink(missing_ok=True)

    def names(self) -> list[str]:
        """Return the names of all blobs that are there, `FILES_AT_MOST`."""
        return [path.name for path in self._folder.iterdir() if layout.is_blob_name(path.name)]

    def _make_room(self, size_bytes: int) -> tuple[bool, int]:
        """Remove what was not used for longest; return whether there is room, and how many went."""
        files = sorted(self._files())
        excess_bytes = sum(file.size_bytes for file in files) + size_bytes - self._limit_bytes
        excess_count = len(files) + 1 - FILES_AT_MOST
        whole = [file for file in files if not file.path.endswith(_FILLING)]
        if excess_bytes > sum(file.size_bytes for file in whole):
            # What has no room at all shall push nothing out.
            return False, 0
        gone = 0
        for file in whole:
            if excess_bytes <= 0 and excess_count <= 0:
                break
            Path(file.path).unlink(missing_ok=True)
            excess_bytes -= file.size_bytes
            excess_count -= 1
            gone += 1
        free_bytes = shutil.disk_usage(self._folder).free
        return free_bytes - size_bytes >= self._min_free_bytes, gone

    def _files(self) -> Iterator[_File]:
        with os.scandir(self._folder) as entries:
            for entry in entries:
                with suppress(FileNotFoundError):
                    if entry.name.endswith(_FILLING) and not _is_locked(entry.path):
                        Path(entry.path).unlink()
                        continue
                    found = entry.stat()
                    yield _File(found.st_atime_ns, found.st_size, entry.path)

    @contextmanager
    def _locked(self) -> Iterator[None]:
        self._root.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._folder.mkdir(mode=0o700, exist_ok=True)
        descriptor = os.open(self._root / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)


class Filling:
    """A file that is being written, with all of its room taken."""

    def __init__(self, path: Path, descriptor: int, size_bytes: int) -> None:
        self._path = path
        self._descriptor = descriptor
        self._left_bytes = size_bytes
        self._is_done = False

    def write(self, piece: Piece, hasher: Hasher) -> None:
        """Append a piece, and feed it to a hasher.

        What is more than there was to be is not written.
        """
        if isinstance(piece, FileBytes):
            for start in range(0, piece.count, _BUFFER_BYTES):
                count = min(_BUFFER_BYTES, piece.count - start)
                self.write(os.pread(piece.file.fileno(), count, piece.offset + start), hasher)
            return
        data = memoryview(piece.take() if isinstance(piece, ArrivingBytes) else piece)
        hasher.update(data)
        self._left_bytes -= len(data)
        if self._left_bytes < 0:
            return
        while data:
            data = data[os.write(self._descriptor, data) :]

    @property
    def is_whole(self) -> bool:
        """Whether all bytes have come."""
        return not self._left_bytes

    def renamed(self, target: Path, *, used_at_ns: int) -> Identity:
        """Give it its name for good, and return which file it is."""
        os.utime(self._descriptor, ns=(used_at_ns, VERIFIED_AT_NS))
        identity = Identity.of(os.fstat(self._descriptor))
        self._path.rename(target)
        self._is_done = True
        return identity

    def leave(self) -> None:
        """Remove the file unless it is finished."""
        if not self._is_done:
            self._path.unlink(missing_ok=True)
        os.close(self._descriptor)


def _taken(path: Path, size_bytes: int) -> int:
    """Make a file of this size, locked; return its descriptor."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
    descriptor = os.open(path, flags, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        if size_bytes:
            os.posix_fallocate(descriptor, 0, size_bytes)
    except BaseException:
        path.unlink(missing_ok=True)
        os.close(descriptor)
        raise
    return descriptor


def _is_locked(path: str) -> bool:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False
