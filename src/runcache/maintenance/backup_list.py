"""The list of a backup, `catalog.jsonl`: a JSON object a line.

It begins with a `header` and ends with an `end`, which has the SHA-256 of all lines above it.
Between them are what `catalog/exported.py` describes: entries, and then everything else.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import Final

import msgspec
from msgspec import Struct

from runcache.catalog.exported import ExportedEntry, Record
from runcache.errors import BackupDamaged, FileUnreadable, InvalidBackup
from runcache.maintenance.drafts import Draft

FORMAT: Final = 1


class Header(Struct, frozen=True, kw_only=True, tag="header"):
    """The first line: `catalog` is the id of the catalog that this is a backup of."""

    format: int
    catalog: str
    created_at: int
    runcache: str


class End(Struct, frozen=True, kw_only=True, tag="end"):
    """The last line: how many lines are above it, and the SHA-256 of these."""

    lines: int
    sha256: str


Line = Header | ExportedEntry | Record | End
_encoder: Final = msgspec.json.Encoder()
_decoder: Final = msgspec.json.Decoder(Line)


class ListDraft:
    """The list of a backup that is being made. Every method blocks."""

    def __init__(self, file: Draft) -> None:
        self.file = file
        self._lines = 0

    def add(self, line: Line) -> None:
        """Append a line."""
        self.file.write(_encoder.encode(line) + b"\n")
        self._lines += 1

    def end(self) -> None:
        """Append the last line."""
        self.add(End(lines=self._lines, sha256=self.file.digest))


class BackupList:
    """A list that was written. Every method blocks, and raises `FileUnreadable` if it cannot."""

    def __init__(self, path: Path) -> None:
        self._path = path

    @property
    def is_there(self) -> bool:
        """Whether there is one."""
        return self._path.is_file()

    def verify(self) -> End:
        """Make sure that the list is what was written; return its last line.

        Raises:
            InvalidBackup: there is no backup, or one of a newer runcache.
            BackupDamaged: the list was changed or cut.
        """
        self.header()
        hasher, lines, last = sha256(), 0, b""
        for line in self._lines():
            if last:
                hasher.update(last)
                lines += 1
            last = line
        end = End(lines=lines, sha256=hasher.hexdigest())
        if self._decoded(last) != end:
            raise BackupDamaged(str(self._path), "it was changed or cut")
        return end

    def header(self) -> Header:
        """Return the first line.

        Raises:
            InvalidBackup, BackupDamaged: as `verify`.
        """
        if not self.is_there:
            raise InvalidBackup(str(self._path.parent), "holds no backup")
        first = next(self._lines(), b"")
        version = self._version(first)
        if version != FORMAT:
            reason = f"has format {version}, which this version of runcache does not know"
            raise InvalidBackup(str(self._path.parent), reason)
        header = self._decoded(first)
        if not isinstance(header, Header):
            raise BackupDamaged(str(self._path), "its first line is no header")
        return header

    def __iter__(self) -> Iterator[Line]:
        for line in self._lines():
            yield self._decoded(line)

    def _version(self, first: bytes) -> object:
        try:
            header = msgspec.json.decode(first)
        except msgspec.DecodeError as exc:
            raise BackupDamaged(str(self._path), "its first line is not JSON") from exc
        return header.get("format", FORMAT) if isinstance(header, dict) else FORMAT

    def _lines(self) -> Iterator[bytes]:
        with _reading(self._path), self._path.open("rb") as file:
            yield from file

    def _decoded(self, line: bytes) -> Line:
        try:
            decoded: Line = _decoder.decode(line)
        except msgspec.DecodeError as exc:
            raise BackupDamaged(str(self._path), "a line cannot be read") from exc
        return decoded


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as exc:
        raise FileUnreadable.because_of(exc, str(path)) from exc
