"""A look at what is on the disk below one root, beside what a manifest says. No file is opened."""

import os
from collections.abc import Iterable, Sequence
from enum import IntEnum
from stat import S_IFMT, S_ISDIR, S_ISLNK, S_ISREG
from typing import Final

import msgspec

from runcache.errors import FileUnreadable
from runcache.snapshot.chunking import content_id
from runcache.snapshot.index import RootIndex
from runcache.snapshot.limits import DIGEST_BYTES, PERMISSIONS
from runcache.snapshot.manifest import Manifest
from runcache.snapshot.scan import Stamp, shown, stamp_in

_SPECIAL: Final = 0o7000


class State(IntEnum):
    """What is where a record belongs."""

    ABSENT = 0
    RIGHT = 1
    UNTIDY = 2  # right but for its permissions or its time
    WRONG = 3  # a file with other contents, or a link that leads elsewhere
    OBSTRUCTED = 4  # something of another kind


class Comparison(msgspec.Struct):
    """The state of each record, and the stamps of those files that need not be written.

    Stamps of files that are as the index knows them are in `known`, by root, and nowhere else.
    """

    states: list[State]
    stamps: dict[int, Stamp] = {}
    known: Sequence[RootIndex] = ()
    files_read: int = 0


Unsure = tuple[int, bytes, os.stat_result]
"""A file that has to be read: its record and path, and what was seen of it."""


class Look:
    """A look at everything below one root, without reading a file."""

    def __init__(
        self, manifest: Manifest, found: Comparison, path: bytes, known: RootIndex
    ) -> None:
        self._manifest = manifest
        self._found = found
        self._path = path
        self._known = known
        self._folders: dict[bytes, bool] = {}

    def divided(self, records: range) -> tuple[list[int], list[tuple[int, int]]]:
        """Return which records the index does not know, and the others, each with its row."""
        names = self._manifest.names[records.start : records.stop]
        rows = list(map(self._known.rows.get, names))
        unknown = [record for record, row in zip(records, rows, strict=True) if row is None]
        known = [
            (record, row) for record, row in zip(records, rows, strict=True) if row is not None
        ]
        return unknown, known

    def recognise(self, known: Iterable[tuple[int, int]], modes: Sequence[int]) -> list[int]:
        """See which files are still the same, and right; return the records of the others.

        `known` has records with rows of the index, `modes` the modes of the files that are still
        the same, by row (`Sightings.modes`).
        """
        # Thousands of files: there is neither a call in here nor an attribute that need not be.
        manifest, states, right = self._manifest, self._found.states, State.RIGHT
        stamps, known_contents = self._known.stamps, self._known.contents
        wanted_modes, sizes, mtimes_ns = manifest.modes, manifest.sizes, manifest.mtimes_ns
        starts, contents = manifest.content_starts, manifest.contents
        digests = manifest.chunks.digests
        others: list[int] = []
        for record, row in known:
            size_bytes, mtime_ns, _, _ = stamps[row]
            start = starts[record]
            if (
                modes[row] == wanted_modes[record]
                and size_bytes == sizes[record]
                and mtime_ns == mtimes_ns[record]
                and known_contents[row * DIGEST_BYTES : (row + 1) * DIGEST_BYTES]
                == (
                    digests[contents[start]]
                    if starts[record + 1] - start == 1
                    else content_of(manifest, record)
                )
            ):
                states[record] = right
            else:
                others.append(record)
        return others

    def at(self, records: Iterable[int]) -> list[Unsure]:
        """Look at these records, and return the files that have to be read.

        Raises:
            FileUnreadable: the disk refuses to show something.
        """
        names, modes, states = self._manifest.names, self._manifest.modes, self._found.states
        unsure: list[Unsure] = []
        for record in records:
            name = names[record]
            if name and not self._is_folder(name.rpartition(b"/")[0]):
                continue
            path = self._path_of(name)
            stat = lstat(path)
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
        self, record: int, path: bytes, stat: os.stat_result, unsure: list[Unsure]
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
            stat = lstat(self._path_of(name)) if is_below else None
            known = self._folders[name] = stat is not None and S_ISDIR(stat.st_mode)
        return known

    def _path_of(self, name: bytes) -> bytes:
        return self._path + b"/" + name if name else self._path


def lstat(path: bytes) -> os.stat_result | None:
    """Return what is at a path, `None` if there is nothing.

    Raises:
        FileUnreadable: the disk refuses to show it.
    """
    try:
        return os.lstat(path)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as exc:
        raise FileUnreadable(shown(path), exc.strerror or str(exc)) from exc


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
