"""Archives as anybody could have saved them, and the restore of them without a server."""

import gzip
import io
import tarfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self, cast

import zstandard

from runcache.client.archives import Archives
from runcache.client.client import Machine
from runcache.client.results import Fetched, RestoreRequest
from runcache.client.transports import FoundEntry, Reader, Transport
from runcache.model import MatchKind
from runcache.progress import Silence
from runcache.snapshot.limits import Limits


@dataclass
class Tar:
    """An archive in the making: each method adds a member."""

    data: io.BytesIO = field(default_factory=io.BytesIO)

    def __post_init__(self) -> None:
        self._tar = tarfile.open(fileobj=self.data, mode="w")  # noqa: SIM115  -- `packed` closes it

    def file(self, name: str, contents: bytes = b"text", *, mode: int = 0o644) -> Self:
        info = self._info(name, tarfile.REGTYPE, mode)
        info.size = len(contents)
        self._tar.addfile(info, io.BytesIO(contents))
        return self

    def folder(self, name: str, *, mode: int = 0o755) -> Self:
        return self._add(self._info(name, tarfile.DIRTYPE, mode))

    def link(self, name: str, target: str) -> Self:
        return self._add(self._info(name, tarfile.SYMTYPE), target)

    def hard_link(self, name: str, target: str) -> Self:
        return self._add(self._info(name, tarfile.LNKTYPE), target)

    def special(self, name: str, kind: bytes) -> Self:
        return self._add(self._info(name, kind))

    def plain(self) -> bytes:
        """Return the archive before it is compressed."""
        self._tar.close()
        return self.data.getvalue()

    def packed(self) -> bytes:
        """Return the archive as the official client would save it."""
        return zstandard.ZstdCompressor(write_checksum=True).compress(self.plain())

    def gzipped(self) -> bytes:
        """Return the archive as the official client saves it where zstd is missing."""
        return gzip.compress(self.plain())

    def _info(self, name: str, kind: bytes, mode: int = 0o777) -> tarfile.TarInfo:
        info = tarfile.TarInfo(name)
        info.type, info.mode, info.mtime = kind, mode, 1_700_000_000
        return info

    def _add(self, info: tarfile.TarInfo, target: str = "") -> Self:
        info.linkname = target
        self._tar.addfile(info)
        return self


class BytesReader:
    """Bytes that are here already (`transports.Reader` is the contract)."""

    def __init__(self, data: bytes) -> None:
        self._data = io.BytesIO(data)
        self.is_closed = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def readinto(self, buffer: memoryview, /) -> int:
        return self._data.readinto(buffer)

    def close(self) -> None:
        self.is_closed = True


@dataclass
class BytesBlob:
    """A blob of bytes that are here already (`transports.RemoteBlob` is the contract)."""

    data: bytes
    name: str = "archive"

    @property
    def size_bytes(self) -> int:
        return len(self.data)

    def read(self, start: int, end: int) -> Reader:
        return BytesReader(self.data[start:end])

    def stream(self) -> Reader:
        return BytesReader(self.data)


@dataclass
class Place:
    """A workspace and a home below `folder`, and what was warned of there."""

    folder: Path
    warnings: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.folder = self.folder.resolve()
        self.workspace = self.folder / "work" / "repo"
        self.home = self.folder / "home"
        for folder in (self.workspace, self.home):
            folder.mkdir(parents=True, exist_ok=True)
        self.warn: Callable[[str], None] = self.warnings.append

    def machine(self) -> Machine:
        return Machine(
            folder=self.workspace,
            workspace=self.workspace,
            home=self.home,
            memory=self.folder / "memory",
            system="Linux",
        )

    def restore(
        self,
        archive: bytes,
        paths: Iterable[str] = ("deps",),
        *,
        exact: bool = False,
        limits: Limits | None = None,
    ) -> Fetched:
        """Restore an archive that somebody saved at these paths."""
        # It has its bytes from the blob, and asks nobody else.
        nobody = cast("Transport", None)
        archives = Archives(nobody, self.machine(), self.warn, limits=limits)
        found = FoundEntry(
            key="k",
            version="v",
            kind=MatchKind.EXACT,
            scope=None,
            entry_id=None,
            size_bytes=len(archive),
            blobs=(BytesBlob(archive),),
        )
        request = RestoreRequest(paths=tuple(paths), exact=exact, verify=False, progress=Silence())
        return archives.restore(found, request)

    def names(self) -> list[str]:
        """Return everything below the folder, in order."""
        return sorted(str(path.relative_to(self.folder)) for path in self.folder.rglob("*"))
