"""Files into an archive as `actions/cache` makes them: tar, compressed, in blocks (protocol §7)."""

import grp
import os
import pwd
import zlib
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from stat import S_ISDIR, S_ISLNK, S_ISREG
from typing import Final

import zstandard

from runcache.client.tar import END, Kind, Member, Owner, encoded
from runcache.errors import FileUnreadable
from runcache.progress import Progress
from runcache.snapshot.limits import MIB
from runcache.snapshot.scan import OPEN_FLAGS, STAGING_PREFIX

BLOCK_BYTES: Final = 16 * MIB
DEFAULT_LEVEL: Final = 3
ZSTD: Final = "zstd-without-long"

_PIECE_BYTES: Final = MIB
_GZIP_LEVELS: Final = 9
_GZIP_WITH_HEADER: Final = 31


class Packing:
    """Makes one archive of what `names` are, each with all that is below it.

    `names` are relative to `workspace`, as members are. No exclusion counts below them, links are
    packed as links, and each file once, however often it is named. `warn` hears what is left out,
    `look` of each file, which it may refuse by raising something.

    Attributes:
        files: how many members there were so far, folders and links not counted.
    """

    def __init__(
        self,
        names: Iterable[str],
        workspace: bytes,
        *,
        progress: Progress,
        look: Callable[[bytes], None],
        warn: Callable[[str], None],
    ) -> None:
        self._names = [os.fsencode(name) for name in names]
        self._workspace = workspace
        self._progress = progress
        self._look = look
        self._warn = warn
        self._folders: set[bytes] = set()
        self._packed: set[bytes] = set()
        self._linked: dict[tuple[int, int], bytes] = {}
        self.files = 0

    def pieces(self) -> Iterator[bytes | bytearray]:
        """Yield the archive before it is compressed.

        Raises:
            FileUnreadable: a file or folder cannot be read.
        """
        waiting = bytearray()
        for piece in self._parts():
            waiting += piece
            if len(waiting) >= _PIECE_BYTES:
                yield waiting
                waiting = bytearray()
        yield waiting + END

    def _parts(self) -> Iterator[bytes]:
        for name in self._names:
            if not self._is_packed(name):
                self._packed.add(name)
                yield from self._tree(name)

    def _is_packed(self, name: bytes) -> bool:
        """Say whether a name was packed by itself, or with a folder that it is in."""
        while name not in self._packed:
            name, slash, _ = name.rpartition(b"/")
            if not slash:
                return False
        return True

    def _tree(self, name: bytes) -> Iterator[bytes]:
        pending = [name]
        while pending:
            name = pending.pop()
            path = os.path.join(self._workspace, name)
            try:
                stat = os.lstat(path)
                yield from self._member(name, path, stat)
                if S_ISDIR(stat.st_mode):
                    below = [
                        part for part in os.listdir(path) if not part.startswith(STAGING_PREFIX)
                    ]
                    pending += [name + b"/" + part for part in sorted(below, reverse=True)]
            except FileNotFoundError:
                continue  # What vanishes meanwhile was never there.
            except OSError as exc:
                raise FileUnreadable.because_of(exc, os.fsdecode(path)) from exc

    def _member(self, name: bytes, path: bytes, stat: os.stat_result) -> Iterator[bytes]:
        kind, target, size_bytes = _kind(stat.st_mode), b"", 0
        if kind is Kind.OTHER:
            self._warn(f"left out `{os.fsdecode(path)}`, which is no file, folder or link")
            return
        if kind is Kind.LINK:
            target = os.readlink(path)
        elif kind is Kind.FILE:
            first = name
            if stat.st_nlink > 1:
                first = self._linked.setdefault((stat.st_dev, stat.st_ino), name)
            if first != name:
                kind, target = Kind.HARD_LINK, first
            else:
                self._look(path)
                size_bytes = stat.st_size
        member = Member(
            name=name,
            kind=kind,
            mode=stat.st_mode,
            mtime_ns=stat.st_mtime_ns,
            size_bytes=size_bytes,
            target=target,
        )
        if kind is Kind.FILE:
            yield from self._file(member, path, stat)
        else:
            yield encoded(member, _owner(stat.st_uid, stat.st_gid))
        if kind in {Kind.FILE, Kind.HARD_LINK}:
            self.files += 1
            self._progress.advance(files=1)

    def _file(self, member: Member, path: bytes, stat: os.stat_result) -> Iterator[bytes]:
        descriptor = os.open(path, OPEN_FLAGS)
        try:
            yield encoded(member, _owner(stat.st_uid, stat.st_gid))
            missing_bytes = member.size_bytes
            while missing_bytes:
                # What was announced has to come: a file that shrinks is filled up, as `tar` does.
                piece = os.read(descriptor, min(_PIECE_BYTES, missing_bytes))
                if not piece:
                    self._warn(f"`{os.fsdecode(path)}` became shorter while it was read")
                    piece = bytes(min(_PIECE_BYTES, missing_bytes))
                missing_bytes -= len(piece)
                self._progress.advance(size_bytes=len(piece))
                yield piece
            yield bytes(member.padding_bytes)
        finally:
            os.close(descriptor)


def compressed(
    pieces: Iterable[bytes | bytearray], compression: str, level: int
) -> Iterator[bytes]:
    """Yield an archive in blocks, all but the last of `BLOCK_BYTES`.

    `level` is that of zstd; gzip knows none above 9.
    """
    if compression == ZSTD:
        compressor = zstandard.ZstdCompressor(
            level=level, threads=-1, write_checksum=True, write_content_size=False
        )
        chunker = compressor.chunker(chunk_size=BLOCK_BYTES)
        for piece in pieces:
            yield from chunker.compress(piece)
        yield from chunker.finish()  # type: ignore[no-untyped-call]  # its stubs forgot it
        return
    squeezer = zlib.compressobj(min(level, _GZIP_LEVELS), zlib.DEFLATED, _GZIP_WITH_HEADER)
    waiting = bytearray()
    for piece in pieces:
        waiting += squeezer.compress(piece)
        if len(waiting) >= BLOCK_BYTES:
            yield bytes(waiting[:BLOCK_BYTES])
            del waiting[:BLOCK_BYTES]
    yield bytes(waiting + squeezer.flush())


def _kind(mode: int) -> Kind:
    if S_ISREG(mode):
        return Kind.FILE
    if S_ISDIR(mode):
        return Kind.FOLDER
    return Kind.LINK if S_ISLNK(mode) else Kind.OTHER


@cache
def _owner(uid: int, gid: int) -> Owner:
    return Owner(uid=uid, gid=gid, user=_user(uid), group=_group(gid))


def _user(uid: int) -> bytes:
    try:
        return os.fsencode(pwd.getpwuid(uid).pw_name)
    except KeyError:
        return b""


def _group(gid: int) -> bytes:
    try:
        return os.fsencode(grp.getgrgid(gid).gr_name)
    except KeyError:
        return b""
