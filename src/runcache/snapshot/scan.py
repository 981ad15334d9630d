"""What there is to save: a walk over the roots, which follows no link."""

import os
import time
from collections.abc import Callable, Iterator, Sequence
from enum import Enum
from operator import attrgetter
from stat import S_IFDIR, S_IFLNK, S_IFMT, S_IFREG, S_ISDIR, S_ISLNK, S_ISREG
from typing import TYPE_CHECKING, Final

import msgspec

from runcache.errors import FileUnreadable
from runcache.snapshot.limits import MAX_DEPTH, PERMISSIONS

if TYPE_CHECKING:
    from runcache.snapshot.index import FileIndex, RootIndex

STAGING_PREFIX: Final = b".runcache-restore-"
"""How the folders begin in which a restore prepares files. They belong to no snapshot."""


# Nobody waits for the other end of a pipe that took the place of a file.
OPEN_FLAGS: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
"""How files are opened that may have become something else."""


class Choice(Enum):
    """What a selection says of a file or folder."""

    SKIP = "skip"  # not it, nor anything below it
    PASS = "pass"  # noqa: S105  -- not it, but perhaps something below it
    TAKE = "take"  # it, and perhaps what is below it


_TYPES: Final = frozenset({S_IFDIR >> 12, S_IFREG >> 12, S_IFLNK >> 12})

Selection = Callable[[int, bytes, bool], Choice]
"""Says what to do with the root of that number, and the name below it (empty for the root itself),
which is a folder or not. It is asked about a folder before it is asked about what is in it."""


def everything(root: int, name: bytes, is_folder: bool) -> Choice:  # noqa: ARG001, FBT001
    """Select all there is."""
    return Choice.TAKE


Stamp = tuple[int, int, int, int]
"""What changes when a file does: its size in bytes, mtime and ctime in ns, inode."""

stamp_in: Final[Callable[[os.stat_result], Stamp]] = attrgetter(
    "st_size", "st_mtime_ns", "st_ctime_ns", "st_ino"
)
"""Returns the stamp of a file, in a third of the time that a function takes."""


class Found(msgspec.Struct, frozen=True, order=True, array_like=True):
    """A file, folder or link that is to be saved. `mode` is type and permissions.

    `stamp` is what tells whether a file is still the same, `content` is the content id if an index
    knows it.
    """

    root: int
    name: bytes
    path: bytes
    mode: int
    size_bytes: int
    mtime_ns: int
    target: bytes | None
    stamp: Stamp
    content: bytes | None = None


def scan(
    roots: Sequence[bytes],
    selection: Selection | None,
    warn: Callable[[str], None],
    index: "FileIndex | None" = None,
) -> Iterator[Found]:
    """Yield what is selected below the roots: a folder before what is in it, names in order.

    Roots that do not exist are left out; so are, with a warning, sockets, pipes and devices. What
    vanishes meanwhile was never there.

    Raises:
        FileUnreadable: a folder or link cannot be read.
    """
    for root, path in enumerate(roots):
        known = None if index is None else index.load(path)
        yield from _below(root, path, selection, warn, known)


class Scan:
    """A scan of the roots of a save, which may begin before that.

    Attributes:
        started_ns: a time before anything was looked at.
    """

    def __init__(
        self,
        roots: Sequence[bytes],
        selection: Selection | None = None,
        index: "FileIndex | None" = None,
    ) -> None:
        self.started_ns = time.time_ns()
        self._roots = roots
        self._selection = selection
        self._index = index

    def founds(self, warn: Callable[[str], None]) -> Iterator[Found]:
        """Yield what `scan` does."""
        return scan(self._roots, self._selection, warn, self._index)


def describe(
    root: int, name: bytes, path: bytes, stat: os.stat_result, known: "RootIndex | None" = None
) -> Found:
    """Return what `stat` says of a file, folder or link, and what is `known` of it.

    Raises:
        FileNotFoundError: the link is gone.
    """
    mode, stamp = stat.st_mode, stamp_in(stat)
    size_bytes, mtime_ns = stamp[:2]
    if S_ISREG(mode):
        mode = S_IFREG | mode & PERMISSIONS
        content = None if known is None else known.content_of(name, stamp)
        return Found(root, name, path, mode, size_bytes, mtime_ns, None, stamp, content)
    if S_ISLNK(mode):
        target = os.readlink(path)
        return Found(root, name, path, S_IFLNK | PERMISSIONS, 0, mtime_ns, target, stamp)
    mode = S_IFMT(mode) | mode & PERMISSIONS
    return Found(root, name, path, mode, 0, mtime_ns, None, stamp)


def fill(descriptor: int, buffer: memoryview) -> int:
    """Read until `buffer` is full or the file ends; return how many bytes came."""
    count = 0
    while count < len(buffer) and (more := os.readv(descriptor, [buffer[count:]])):
        count += more
    return count


def _below(
    root: int,
    path: bytes,
    selection: Selection | None,
    warn: Callable[[str], None],
    known: "RootIndex | None",
) -> Iterator[Found]:
    pending = [(b"", path)]
    while pending:
        name, path = pending.pop()
        try:
            stat = os.lstat(path)
            mode = stat.st_mode
            is_folder = S_ISDIR(mode)
            choice = Choice.TAKE if selection is None else selection(root, name, is_folder)
            if choice is Choice.TAKE:
                if mode >> 12 not in _TYPES:
                    warn(f"left out `{shown(path)}`, which is no file, folder or link")
                    continue
                yield describe(root, name, path, stat, known)
            if is_folder and choice is not Choice.SKIP:
                if name.count(b"/") >= MAX_DEPTH - 1:
                    raise FileUnreadable(shown(path), "it is nested too deep")
                pending += _listed(name, path)
        except (FileNotFoundError, NotADirectoryError):
            continue
        except OSError as exc:
            raise FileUnreadable(shown(path), str(exc.strerror)) from exc


def _listed(name: bytes, path: bytes) -> list[tuple[bytes, bytes]]:
    """Return what is in a folder, the last one first."""
    prefix, folder = name + b"/" if name else b"", path + b"/"
    parts = os.listdir(path)
    parts.sort(reverse=True)
    return [(prefix + part, folder + part) for part in parts if not part.startswith(STAGING_PREFIX)]


def shown(path: bytes) -> str:
    """Return a path as it can be shown."""
    return path.decode("utf-8", "backslashreplace")
