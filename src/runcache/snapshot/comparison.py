"""What is on the disk already, beside what a manifest says: nothing is changed here.

A file is right if the index knows it with the same contents, else it is read: equal sizes and times
prove nothing, since reproducible builds make both equal.
"""

import os
from collections.abc import Iterable, Sequence
from enum import IntEnum
from stat import S_IFMT, S_ISDIR, S_ISLNK, S_ISREG
from typing import Final

import msgspec

from runcache.errors import FileUnreadable
from runcache.progress import Progress
from runcache.snapshot.chunking import content_id, digest_of
from runcache.snapshot.crew import Crew
from runcache.snapshot.index import FileIndex, RootIndex
from runcache.snapshot.limits import MAX_CHUNK_BYTES, PERMISSIONS
from runcache.snapshot.manifest import Manifest
from runcache.snapshot.scan import OPEN_FLAGS, Stamp, fill, shown, stamp_in

_SPECIAL: Final = 0o7000
_TASK_FILES: Final = 64


class State(IntEnum):
    """What is where a record belongs."""

    ABSENT = 0
    RIGHT = 1
    UNTIDY = 2  # right but for its permissions or its time
    WRONG = 3  # a file with other contents, or a link that leads elsewhere
    OBSTRUCTED = 4  # something of another kind


class Comparison(msgspec.Struct):
    """The state of each record, and the stamps of those files that need not be written."""

    states: list[State]
    stamps: dict[int, Stamp] = msgspec.field(default_factory=dict)
    files_read: int = 0


def compare(
    manifest: Manifest,
    roots: Sequence[bytes],
    index: FileIndex | None,
    *,
    verify: bool,
    progress: Progress,
    threads: int,
) -> Comparison:
    """Look at everything that the manifest names; `verify` reads also what the index knows."""
    found = Comparison([State.ABSENT] * len(manifest.names))
    with Crew("compare", threads, lambda: _Reader(manifest, found, progress)) as crew:
        for root, records in manifest.roots():
            if _lstat(roots[root]) is None:
                continue
            known = RootIndex({}) if index is None or verify else index.load(roots[root])
            unsure = _Look(manifest, found, roots[root], known).at(records)
            found.files_read += len(unsure)
            for start in range(0, len(unsure), _TASK_FILES):
                crew.give(unsure[start : start + _TASK_FILES])
    return found


_Unsure = tuple[int, bytes, os.stat_result]


class _Look:
    """A look at everything below one root, without reading a file."""

    def __init__(
        self, manifest: Manifest, found: Comparison, root: bytes, known: RootIndex
    ) -> None:
        self._manifest = manifest
        self._found = found
        self._root = root
        self._known = known
        self._folders: dict[bytes, bool] = {}

    def at(self, records: Iterable[int]) -> list[_Unsure]:
        """Look at these records, and return the files that have to be read."""
        names, modes, states = self._manifest.names, self._manifest.modes, self._found.states
        unsure: list[_Unsure] = []
        for record in records:
            name = names[record]
            if name and not self._is_folder(name.rpartition(b"/")[0]):
                continue
            path = self._path(name)
            stat = _lstat(path)
            if stat is None:
                continue
            if S_IFMT(stat.st_mode) != S_IFMT(modes[record]):
                states[record] = State.OBSTRUCTED
            elif S_ISREG(stat.st_mode):
                self._look_at_file(record, path, stat, unsure)
            elif S_ISDIR(stat.st_mode):
                self._folders[name] = True
                states[record] = tidiness(self._manifest, record, stat)
            elif os.readlink(path) != self._manifest.targets[record]:
                states[record] = State.WRONG
            else:
                states[record] = tidiness(self._manifest, record, stat)
        return unsure

    def _look_at_file(
        self, record: int, path: bytes, stat: os.stat_result, unsure: list[_Unsure]
    ) -> None:
        stamp = stamp_in(stat)
        if stat.st_size != self._manifest.sizes[record]:
            self._found.states[record] = State.WRONG
        elif stat.st_size and self._content_known(record, stamp) != content_of(
            self._manifest, record
        ):
            unsure.append((record, path, stat))
        else:
            self._found.states[record] = tidiness(self._manifest, record, stat)
            self._found.stamps[record] = stamp

    def _content_known(self, record: int, stamp: Stamp) -> bytes | None:
        return self._known.content_of(self._manifest.names[record], stamp)

    def _is_folder(self, name: bytes) -> bool:
        known = self._folders.get(name)
        if known is None:
            is_below = not name or self._is_folder(name.rpartition(b"/")[0])
            stat = _lstat(self._path(name)) if is_below else None
            known = self._folders[name] = stat is not None and S_ISDIR(stat.st_mode)
        return known

    def _path(self, name: bytes) -> bytes:
        return self._root + b"/" + name if name else self._root


class _Reader:
    """One of the threads that read files to see whether they are right."""

    def __init__(self, manifest: Manifest, found: Comparison, progress: Progress) -> None:
        self._manifest = manifest
        self._found = found
        self._progress = progress
        self._buffer = memoryview(bytearray(MAX_CHUNK_BYTES))

    def __call__(self, unsure: Sequence[_Unsure]) -> None:
        for record, path, stat in unsure:
            self._found.states[record] = State.WRONG
            if self._is_right(record, path, stat):
                self._found.states[record] = tidiness(self._manifest, record, stat)
                self._found.stamps[record] = stamp_in(stat)
            self._progress.advance(files=1, size_bytes=stat.st_size)

    def _is_right(self, record: int, path: bytes, stat: os.stat_result) -> bool:
        chunks = self._manifest.chunks
        try:
            descriptor = os.open(path, OPEN_FLAGS)
        except OSError:
            return False
        try:
            for chunk in self._manifest.chunks_of(record):
                wanted = self._buffer[: chunks.lengths[chunk]]
                if fill(descriptor, wanted) < len(wanted):
                    return False
                if digest_of(wanted) != chunks.digests[chunk]:
                    return False
            return stamp_in(os.fstat(descriptor)) == stamp_in(stat)
        finally:
            os.close(descriptor)


def tidiness(manifest: Manifest, record: int, stat: os.stat_result) -> State:
    """Return the state of something whose contents are right."""
    is_folder = S_ISDIR(stat.st_mode)
    # A folder may have bits of its own: new files get their group from one with setgid.
    permissions = stat.st_mode & (PERMISSIONS if is_folder else PERMISSIONS | _SPECIAL)
    has_permissions = S_ISLNK(stat.st_mode) or permissions == manifest.modes[record] & PERMISSIONS
    if has_permissions and stat.st_mtime_ns == manifest.mtimes_ns[record]:
        return State.RIGHT
    # What else is linked to the file may be anywhere, and must not change with it.
    return State.UNTIDY if is_folder or stat.st_nlink == 1 else State.WRONG


def content_of(manifest: Manifest, record: int) -> bytes:
    """Return the content id of a file that is not empty."""
    digests = manifest.chunks.digests
    chunks = manifest.chunks_of(record)
    return digests[chunks[0]] if len(chunks) == 1 else content_id([digests[c] for c in chunks])


def _lstat(path: bytes) -> os.stat_result | None:
    try:
        return os.lstat(path)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as exc:
        raise FileUnreadable(shown(path), exc.strerror or str(exc)) from exc
