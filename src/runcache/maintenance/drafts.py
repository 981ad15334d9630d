"""Files that are written in one go and then take their place, whole or not at all."""

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import BinaryIO, Final

from runcache.errors import FileUnwritable

BUFFER_BYTES: Final = 1024 * 1024


class Draft:
    """A file that is not part of anything yet, and the digest of what was written to it.

    Every method blocks and may be called while another thread is in one that its task does not wait
    for any more.
    """

    def __init__(self, path: Path) -> None:
        self.size_bytes = 0
        self._path = path
        self._hasher = sha256()
        self._file: BinaryIO | None = None
        self._is_over = False
        self._lock = threading.Lock()

    @property
    def digest(self) -> str:
        """The SHA-256 of what was written so far, in hexadecimal."""
        return self._hasher.hexdigest()

    def write(self, data: bytes | memoryview) -> None:
        """Append bytes."""
        with self._opened() as file:
            file.write(data)
        self._hasher.update(data)
        self.size_bytes += len(data)

    def move_to(self, path: Path) -> None:
        """Take a place, in which there may be a former file, once all of it is on the disk."""
        with self._opened() as file:
            file.flush()
            os.fsync(file.fileno())
            self._path.replace(path)
            sync_folder(path.parent)
            file.close()
            self._is_over = True

    def drop(self) -> None:
        """Leave nothing behind, unless it has taken its place."""
        with writing(self._path), self._lock:
            if self._file is not None and not self._is_over:
                self._file.close()
                self._path.unlink()
            self._is_over = True

    @contextmanager
    def _opened(self) -> Iterator[BinaryIO]:
        with writing(self._path), self._lock:
            if self._is_over:
                raise FileUnwritable(str(self._path), "it was given up")
            if self._file is None:
                flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
                descriptor = os.open(self._path, flags, 0o600)
                self._file = os.fdopen(descriptor, "wb", buffering=BUFFER_BYTES)
            yield self._file


def sync_folder(folder: Path) -> None:
    """Return once the names in a folder are on the disk."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Say what could not be written, where the system says why."""
    try:
        yield
    except OSError as exc:
        raise FileUnwritable.because_of(exc, str(path)) from exc
