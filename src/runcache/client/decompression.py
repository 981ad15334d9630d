"""The contents of an archive while it is fetched: decompressed by a thread of its own."""

import gzip
import io
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from queue import Full, Queue
from threading import Event, Thread
from typing import TYPE_CHECKING, Final, Protocol, Self

import zstandard

from runcache.client.tar import BLOCK_BYTES
from runcache.client.transports import Reader
from runcache.errors import BrokenEntry, UnsafeEntry
from runcache.snapshot.limits import MIB, Limits

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

PIECE_BYTES: Final = MIB
_AHEAD: Final = 8
# What `unzstd` takes without being asked: more, and a small archive could claim much memory.
_MAX_WINDOW_BYTES: Final = 128 * MIB
_ZSTD_MAGIC: Final = b"\x28\xb5\x2f\xfd"
_GZIP_MAGIC: Final = b"\x1f\x8b"
_LOOK_EVERY_SECONDS: Final = 0.2


class _Decompressor(Protocol):
    def readinto(self, buffer: memoryview, /) -> int: ...


class Contents:
    """What a compressed archive holds, in whole blocks, a few pieces ahead of who takes it.

    To be used in a `with`. All methods raise `BrokenEntry` for what is torn or not compressed as
    archives are, `UnsafeEntry` for what expands beyond `limits`, and what the reader raises.

    Attributes:
        fetched_bytes: how much of the archive was read so far.
    """

    def __init__(self, reader: Reader, limits: Limits) -> None:
        self._reader = reader
        self._limits = limits
        self._pieces: Queue[memoryview | BaseException | None] = Queue(_AHEAD)
        self._current = memoryview(b"")
        self._is_stopped = Event()
        self._source = _Source(reader)
        self._thread = Thread(target=self._work, name="runcache-decompress", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        # The reader is the thread's: to close it while that waits for bytes would wait as well.
        self._is_stopped.set()

    @property
    def fetched_bytes(self) -> int:
        """How much of the archive was read so far."""
        return self._source.count

    def block(self) -> bytes:
        """Return the next block."""
        return bytes(self.some(BLOCK_BYTES))

    def exactly(self, count: int) -> bytes:
        """Return the next `count` bytes, and go on behind the block that they end in."""
        parts = []
        missing = count
        while missing:
            part = self.some(missing)
            parts.append(bytes(part))
            missing -= part.nbytes
        self.skip(-count % BLOCK_BYTES)
        return b"".join(parts)

    def some(self, most: int) -> memoryview:
        """Return at least one of the next bytes, and at most so many."""
        if not self._current.nbytes and not self._advance():
            raise BrokenEntry("the archive ends early")
        taken, self._current = self._current[:most], self._current[most:]
        return taken

    def skip(self, count: int) -> None:
        """Go on behind the next `count` bytes."""
        while count:
            count -= self.some(count).nbytes

    def drain(self) -> None:
        """Read what is behind the last member: only then its checksum was compared."""
        while self._advance():
            pass

    def _advance(self) -> bool:
        piece = self._pieces.get()
        if isinstance(piece, BaseException):
            raise piece
        self._current = piece or memoryview(b"")
        return piece is not None

    def _work(self) -> None:
        try:
            with _broken_streams():
                decompressor = self._decompressor()
                total_bytes = 0
                while not self._is_stopped.is_set() and (piece := _filled(decompressor)):
                    total_bytes += piece.nbytes
                    self._check_expansion(total_bytes)
                    self._put(piece)
            self._put(None)
        except BaseException as exc:  # noqa: BLE001  -- it is raised where the contents are taken
            self._put(exc)
        finally:
            self._reader.close()

    def _put(self, piece: memoryview | BaseException | None) -> None:
        while not self._is_stopped.is_set():
            try:
                self._pieces.put(piece, timeout=_LOOK_EVERY_SECONDS)
            except Full:
                continue
            return

    def _decompressor(self) -> _Decompressor:
        buffered = io.BufferedReader(self._source, PIECE_BYTES)
        magic = buffered.peek(len(_ZSTD_MAGIC))[: len(_ZSTD_MAGIC)]
        if magic == _ZSTD_MAGIC:
            made = zstandard.ZstdDecompressor(max_window_size=_MAX_WINDOW_BYTES)
            found: _Decompressor = made.stream_reader(
                buffered, read_size=PIECE_BYTES, read_across_frames=True
            )
            return found
        if magic.startswith(_GZIP_MAGIC):
            return gzip.GzipFile(fileobj=buffered, mode="rb")
        raise BrokenEntry("what was saved is not an archive")

    def _check_expansion(self, total_bytes: int) -> None:
        limits = self._limits
        is_bomb = (
            total_bytes > limits.expansion_above_bytes
            and total_bytes > limits.expansion * self.fetched_bytes
        )
        if is_bomb or total_bytes > limits.size_bytes:
            raise UnsafeEntry(f"the archive expands to more than {total_bytes - 1} bytes")


class _Source(io.RawIOBase):
    """A reader as a file, which counts what comes."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self.count = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: "WriteableBuffer", /) -> int:
        count = self._reader.readinto(memoryview(buffer))
        self.count += count
        return count


def _filled(decompressor: _Decompressor) -> memoryview:
    """Return the next piece: as long as pieces are, unless it is the last one."""
    piece = memoryview(bytearray(PIECE_BYTES))
    filled_bytes = 0
    while filled_bytes < PIECE_BYTES:
        count = decompressor.readinto(piece[filled_bytes:])
        if not count:
            break
        filled_bytes += count
    return piece[:filled_bytes]


@contextmanager
def _broken_streams() -> Iterator[None]:
    try:
        yield
    except (zstandard.ZstdError, zlib.error, gzip.BadGzipFile, EOFError) as exc:
        raise BrokenEntry(f"the archive cannot be decompressed: {exc}") from exc
