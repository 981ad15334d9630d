"""Hidden folders in which a restore prepares files, on the file system where they belong.

Who restores holds a lock on its own, which ends with the process: the others are left over from
restores that were killed, and the next restore removes them.
"""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from runcache.snapshot.folders import FOLDER_FLAGS, remove
from runcache.snapshot.scan import STAGING_PREFIX


@contextmanager
def staging_in(folder: int) -> Iterator[int]:
    """Make a folder in the one that `folder` describes; yield its descriptor; remove it.

    Raises:
        OSError: it cannot be made.
    """
    descriptor, name = _made(folder)
    try:
        yield descriptor
    finally:
        with suppress(OSError):  # What is left over is removed by the next restore.
            remove(name, folder)
        os.close(descriptor)


def umask_in(folder: int) -> int:
    """Return the permissions that new files in a folder do not get, though they are asked for."""
    os.mkdir(b"umask", 0o777, dir_fd=folder)
    mode = os.stat(b"umask", dir_fd=folder).st_mode
    os.rmdir(b"umask", dir_fd=folder)
    return ~mode & 0o777


def remove_left_over(path: bytes) -> None:
    """Remove what killed restores have left in a folder, as far as that is possible."""
    with suppress(OSError):
        names = [name for name in os.listdir(path) if name.startswith(STAGING_PREFIX)]
        if names:
            folder = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                for name in names:
                    _remove_if_left(name, folder)
            finally:
                os.close(folder)


def _made(folder: int) -> tuple[int, bytes]:
    while True:
        name = STAGING_PREFIX + os.urandom(8).hex().encode()
        os.mkdir(name, 0o700, dir_fd=folder)
        with suppress(FileNotFoundError):  # Somebody took it for left over.
            descriptor = os.open(name, FOLDER_FLAGS, dir_fd=folder)
            with suppress(OSError):  # Without locks (NFS) nobody gets one to remove it, either.
                fcntl.flock(descriptor, fcntl.LOCK_EX)
            if os.fstat(descriptor).st_nlink:
                return descriptor, name
            os.close(descriptor)


def _remove_if_left(name: bytes, folder: int) -> None:
    with suppress(OSError):
        descriptor = os.open(name, FOLDER_FLAGS, dir_fd=folder)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            remove(name, folder)
        finally:
            os.close(descriptor)
