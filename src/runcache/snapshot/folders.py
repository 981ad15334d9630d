"""Folders below a root by their descriptors, reached without following any link.

Whatever lies on the disk, planted by an earlier entry or by somebody else: a name that was opened
part by part, each from the folder before and none through a link, is below its root.
"""

import os
from collections import OrderedDict
from contextlib import suppress
from enum import Enum
from stat import S_IMODE, S_IRWXU, S_ISDIR
from typing import Final

_OPEN_FOLDERS: Final = 24
FOLDER_FLAGS: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


class Made(Enum):
    """What became of a folder that was to be made."""

    NEW = "new"
    REPLACED = "replaced"  # something that was no folder
    EXISTED = "existed"


class Folders:
    """The folders below one root, to be used by one thread, and to be closed.

    The root is what is called `base` in the folder that `top` describes. `changed_modes` collects
    the permissions of folders that had to be made writable.
    """

    def __init__(self, top: int, base: bytes, changed_modes: dict[bytes, int]) -> None:
        self._top = top
        self._base = base
        self._changed_modes = changed_modes
        self._open: OrderedDict[bytes, int] = OrderedDict()
        # Neighbours come one after the other: the folder that was used last, which is open.
        self._last: tuple[bytes, int] | None = None

    def close(self) -> None:
        """Close all descriptors."""
        self._last = None
        while self._open:
            os.close(self._open.popitem()[1])

    def place(self, name: bytes) -> tuple[int, bytes]:
        """Return the folder of a name, open until the next call, and the last part of the name.

        Raises:
            OSError: it cannot be opened, or is none, or a link to one.
        """
        if not name:
            return self._top, self._base
        folder, _, part = name.rpartition(b"/")
        if self._last is None or self._last[0] != folder:
            self._last = folder, self.open(folder)
        return self._last[1], part

    def open(self, folder: bytes) -> int:
        """Return a folder, open until the next call; `b""` is the root itself.

        Raises:
            OSError: it cannot be opened, or is none, or a link to one.
        """
        self._last = None
        known = self._open.get(folder)
        if known is not None:
            self._open.move_to_end(folder)
            return known
        missing = [folder]
        while missing[-1] and missing[-1].rpartition(b"/")[0] not in self._open:
            missing.append(missing[-1].rpartition(b"/")[0])
        for name in reversed(missing):
            descriptor = self._opened(name)
        return descriptor

    def make(self, folder: bytes, mode: int) -> Made:
        """Make a folder; anything else in its place is removed.

        Raises:
            OSError: it cannot be made.
        """
        parent, part = self.place(folder)
        try:
            os.mkdir(part, mode, dir_fd=parent)
        except FileExistsError:
            if S_ISDIR(os.stat(part, dir_fd=parent, follow_symlinks=False).st_mode):
                return Made.EXISTED
            os.unlink(part, dir_fd=parent)
            os.mkdir(part, mode, dir_fd=parent)
            return Made.REPLACED
        return Made.NEW

    def _opened(self, name: bytes) -> int:
        parent, part = (
            (self._open[name.rpartition(b"/")[0]], name.rpartition(b"/")[2])
            if name
            else (self._top, self._base)
        )
        descriptor = os.open(part, FOLDER_FLAGS, dir_fd=parent)
        self._open[name] = descriptor
        mode = S_IMODE(os.fstat(descriptor).st_mode)
        if mode & S_IRWXU != S_IRWXU:
            with suppress(PermissionError):
                os.fchmod(descriptor, mode | S_IRWXU)
                self._changed_modes.setdefault(name, mode)
        if len(self._open) > _OPEN_FOLDERS:
            os.close(self._open.popitem(last=False)[1])
        return descriptor


def remove(name: bytes, folder: int) -> None:
    """Remove what has this name in a folder, and everything below it; no link is followed.

    Raises:
        OSError: something cannot be removed.
    """
    try:
        stat = os.stat(name, dir_fd=folder, follow_symlinks=False)
    except FileNotFoundError:
        return
    if not S_ISDIR(stat.st_mode):
        os.unlink(name, dir_fd=folder)
        return
    descriptor = os.open(name, FOLDER_FLAGS, dir_fd=folder)
    try:
        if stat.st_mode & S_IRWXU != S_IRWXU:
            os.fchmod(descriptor, S_IRWXU)
        for part in os.listdir(descriptor):
            remove(os.fsencode(part), descriptor)
    finally:
        os.close(descriptor)
    os.rmdir(name, dir_fd=folder)
