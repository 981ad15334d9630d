"""What this machine knows of files without reading them: their contents when they were last read.

A file is still the same if its size, its times of change and its inode are. Nobody would notice
that the index is wrong; so it trusts no file that was changed less than two seconds before it was
looked at. Without the index everything is read.
"""

import os
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final, Self

import msgspec

from runcache.errors import BrokenEntry
from runcache.snapshot import columns
from runcache.snapshot.chunking import digest_of
from runcache.snapshot.limits import DIGEST_BYTES
from runcache.snapshot.scan import Stamp

_MAGIC: Final = b"runcache-index\x01"
_SUFFIX: Final = ".index"
# Clocks of file systems are as coarse as this (FAT), and what is changed twice looks the same.
_UNSURE_NS: Final = 2_000_000_000
_UNUSED_SECONDS: Final = 90 * 24 * 3600


class _Columns(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    root: bytes
    names: bytes
    sizes: bytes
    mtimes_ns: bytes
    ctimes_ns: bytes
    inodes: bytes
    contents: bytes  # digests, as `chunking.content_id` makes them


class RootIndex(msgspec.Struct, frozen=True):
    """What is known of the files below one root, in columns.

    `rows` says which row is that of a name. A digest after the other, `contents` has content ids.
    """

    rows: dict[bytes, int] = {}
    stamps: Sequence[Stamp] = ()
    contents: bytes = b""

    @classmethod
    def decode(cls, data: bytes, root: bytes) -> Self:
        """Return what a file of the index says of `root`: nothing, if there is a fault in it."""
        try:
            return cls._decoded(data, root)
        except (ValueError, BrokenEntry):
            return cls()

    def stamp_of(self, name: bytes) -> Stamp | None:
        """Return the stamp of a file, if it is known."""
        row = self.rows.get(name)
        return None if row is None else self.stamps[row]

    def content_of(self, name: bytes, stamp: Stamp) -> bytes | None:
        """Return the content id of a file, if it is known and the file is still the same."""
        row = self.rows.get(name)
        if row is None or self.stamps[row] != stamp:
            return None
        return self.contents[row * DIGEST_BYTES : (row + 1) * DIGEST_BYTES]

    @classmethod
    def _decoded(cls, data: bytes, root: bytes) -> Self:
        found = msgspec.msgpack.decode(memoryview(data)[len(_MAGIC) :], type=_Columns)
        count, rest = divmod(len(found.contents), DIGEST_BYTES)
        if rest or found.root != root or not data.startswith(_MAGIC):
            raise ValueError
        names = columns.texts(found.names, count)
        stamps = zip(
            columns.numbers(found.sizes, "Q"),
            columns.numbers(found.mtimes_ns, "q"),
            columns.numbers(found.ctimes_ns, "q"),
            columns.numbers(found.inodes, "Q"),
            strict=True,
        )
        known = cls(dict(zip(names, range(count), strict=True)), list(stamps), found.contents)
        if not len(known.rows) == len(known.stamps) == count:
            raise ValueError
        return known


class FileIndex:
    """What is known of files, in a folder of the user's cache: a file for each root.

    Several processes may use it at once. Whatever is wrong with it, it is as if it were empty.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def load(self, root: bytes) -> RootIndex:
        """Return what is known of the files below `root`."""
        return RootIndex.decode(self.read(root), root)

    def read(self, root: bytes) -> bytes:
        """Return what `RootIndex.decode` takes; nothing, if nothing is known."""
        try:
            return self._file(root).read_bytes()
        except OSError:
            return b""

    def replace(
        self, root: bytes, known: Iterable[tuple[bytes, Stamp, bytes]], *, looked_at_ns: int
    ) -> None:
        """Forget what is known of the files below `root`, and know this: name, stamp, content id.

        `looked_at_ns` is a time before any of the files was looked at.
        """
        sure_ns = looked_at_ns - _UNSURE_NS
        rows = [row for row in known if row[1][1] < sure_ns]
        names, stamps, contents = zip(*rows, strict=True) if rows else ((), (), ())
        sizes, mtimes_ns, ctimes_ns, inodes = zip(*stamps, strict=True) if rows else ((),) * 4
        data = _MAGIC + msgspec.msgpack.encode(
            _Columns(
                root=root,
                names=columns.text_column(names),
                sizes=columns.column("Q", sizes),
                mtimes_ns=columns.column("q", mtimes_ns),
                ctimes_ns=columns.column("q", ctimes_ns),
                inodes=columns.column("Q", inodes),
                contents=b"".join(contents),
            )
        )
        try:
            self._write(self._file(root), data)
        except OSError:
            return  # It is only a hint.

    def _file(self, root: bytes) -> Path:
        return self._folder / (digest_of(root).hex()[:32] + _SUFFIX)

    def _write(self, file: Path, data: bytes) -> None:
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._forget_unused()
        draft = file.with_name(f"{file.stem}-{os.urandom(8).hex()}.new")
        try:
            draft.write_bytes(data)
            draft.replace(file)
        finally:
            draft.unlink(missing_ok=True)

    def _forget_unused(self) -> None:
        oldest = time.time() - _UNUSED_SECONDS
        with os.scandir(self._folder) as entries:
            for entry in entries:
                if entry.name.endswith((_SUFFIX, ".new")) and entry.stat().st_mtime < oldest:
                    Path(entry).unlink(missing_ok=True)
