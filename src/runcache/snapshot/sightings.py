"""Files that the index knows, and that are still the same: found by a look at each, none is opened.

It needs no manifest, and so may begin before there is one, in a process of its own. A thread would
do nothing of the kind: after each call to the disk it would wait for the interpreter.
"""

import os
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from functools import cached_property
from stat import S_ISDIR
from types import TracebackType
from typing import Final, Self

import msgspec

from runcache.errors import TwinLost
from runcache.progress import Silence
from runcache.snapshot import columns
from runcache.snapshot.folders import FOLDER_FLAGS
from runcache.snapshot.forking import may_fork_now
from runcache.snapshot.index import FileIndex, RootIndex
from runcache.snapshot.scan import stamp_in
from runcache.snapshot.twin import Twin

# To look at what a shorter index knows takes no longer than a process does.
_TWIN_BYTES: Final = 256 * 1024


class Sightings:
    """What the index knows of files below some roots, and which of them are still the same.

    As a context, and with `may_fork`, it lets a process look, if there is much to look at. Nothing
    is known without an index.
    """

    def __init__(
        self, roots: Sequence[bytes], index: FileIndex | None, *, may_fork: bool = False
    ) -> None:
        self._roots = roots
        self._data = [b"" if index is None else index.read(root) for root in roots]
        self._may_fork = may_fork
        self._context = ExitStack()
        self._twin: Twin | None = None

    def __enter__(self) -> Self:
        if self._may_fork and sum(map(len, self._data)) >= _TWIN_BYTES and may_fork_now():
            self._twin = Twin.forked(lambda _: self._looked())
            if self._twin is not None:
                self._context.enter_context(self._twin)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._context.close()

    @cached_property
    def known(self) -> list[RootIndex]:
        """What the index knows, by root."""
        return [
            RootIndex.decode(data, root) for root, data in zip(self._roots, self._data, strict=True)
        ]

    def modes(self) -> list[Sequence[int]]:
        """Return, by root, for each row of what is known the mode of the file, as `st_mode`.

        It is 0 if the file is no longer the same, or cannot be reached without following a link.
        """
        told = b""
        if self._twin is not None:
            # It only helps: whatever becomes of it, this process can do without.
            with suppress(TwinLost):
                self._twin.listen(Silence())
            told = self._twin.result
        looked = msgspec.msgpack.decode(told or self._looked(), type=list[bytes])
        return [columns.numbers(modes, "H") for modes in looked]

    def _looked(self) -> bytes:
        found = map(_modes_below, self._roots, self.known)
        return msgspec.msgpack.encode([columns.column("H", modes) for modes in found])


def _modes_below(root: bytes, known: RootIndex) -> list[int]:
    modes = [0] * len(known.rows)
    try:
        top = os.open(root, FOLDER_FLAGS)
    except OSError:
        return modes
    # Thousands of files are looked at: there is not a call in here that need not be.
    stat, folders = os.stat, {b"": True}
    try:
        for row, (name, stamp) in enumerate(zip(known.rows, known.stamps, strict=True)):
            folder = name.rpartition(b"/")[0]
            if not (folders[folder] if folder in folders else _is_folder(folder, top, folders)):
                continue
            try:
                seen = stat(name, dir_fd=top, follow_symlinks=False)
            except OSError:
                continue
            if stamp_in(seen) == stamp:
                modes[row] = seen.st_mode
    finally:
        os.close(top)
    return modes


def _is_folder(name: bytes, top: int, folders: dict[bytes, bool]) -> bool:
    """Say whether this is a folder, in nothing but folders, and no link."""
    known = folders.get(name)
    if known is None:
        known = False
        if _is_folder(name.rpartition(b"/")[0], top, folders):
            with suppress(OSError):
                known = S_ISDIR(os.stat(name, dir_fd=top, follow_symlinks=False).st_mode)
        folders[name] = known
    return known
