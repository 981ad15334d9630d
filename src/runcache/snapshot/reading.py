"""Files become frames: read, named, and compressed unless they are known, by several threads.

Here is what the threads do, which read large files; `gathering.py` reads the small ones.
"""

import os
from collections.abc import Callable, Sequence
from stat import S_ISREG
from threading import Semaphore
from typing import Final, NamedTuple

import msgspec
import zstandard

from runcache.errors import FileUnreadable
from runcache.progress import Progress
from runcache.snapshot.chunking import Cutter, digest_of
from runcache.snapshot.crew import Crew
from runcache.snapshot.drafts import FRAME_BYTES, Draft, is_dense, new_frame
from runcache.snapshot.limits import MIB
from runcache.snapshot.packs import Packer
from runcache.snapshot.scan import OPEN_FLAGS, Found, describe, fill, shown, stamp_in
from runcache.snapshot.sharing import Frame, Spot

_BLOCK_BYTES: Final = 2 * MIB
# Such contents are not worth the time of a higher level, which would find nothing, either.
_DENSE_LEVEL: Final = -1
_WAITING_BLOCKS: Final = 2
_ATTEMPTS: Final = 3


class Item(msgspec.Struct):
    """Something that is saved: as it was found, and the chunks of its contents.

    `is_steady` says that these are the contents of the file with these stamps, `is_read` that they
    had to be read, and `is_gone` that there is no such file any more.
    """

    found: Found
    digests: Sequence[bytes] = ()
    is_steady: bool = True
    is_read: bool = False
    is_gone: bool = False


class Block(NamedTuple):
    """A part of a large file, and how long its chunks are; their names go to `digests[first:]`."""

    data: memoryview
    lengths: list[int]
    digests: list[bytes]
    first: int


Task = Draft | Item | Block
"""Small files that were read and are to be stored, a large one to be read, or a part of one."""

Contents = tuple[Sequence[bytes], int]
"""The digests of the chunks that a file consists of, and how many bytes it had."""


class Reading(msgspec.Struct, frozen=True):
    """What all threads of a save share. `spots` knows every chunk that is stored, or will be."""

    spots: dict[bytes, Spot]
    packer: Packer
    level: int
    progress: Progress
    warn: Callable[[str], None]
    free_drafts: list[Draft] = msgspec.field(default_factory=list)
    room_for_blocks: Semaphore = msgspec.field(default_factory=lambda: Semaphore(_WAITING_BLOCKS))

    def crew(self, threads: int) -> Crew[Task]:
        """Return threads that do tasks."""
        crew: Crew[Task] = Crew("save", threads, lambda: Reader(self, crew))
        return crew

    def claim(self, digest: bytes, frame: Frame, start: int, length: int) -> bool:
        """Say whether the caller has to store a chunk, since nobody has or will."""
        spot = Spot(frame, start, length)
        known = self.spots.setdefault(digest, spot)
        if known is not spot and known.length != length:
            # A base lies: the same digest means the same bytes.
            self.spots[digest] = known = spot
        return known is spot


class Reader:
    """One of the threads."""

    def __init__(self, reading: Reading, crew: Crew[Task]) -> None:
        self._reading = reading
        self._crew = crew
        self._compressor = zstandard.ZstdCompressor(reading.level)
        self._dense_compressor = zstandard.ZstdCompressor(min(reading.level, _DENSE_LEVEL))
        self._cutter = Cutter()

    def __call__(self, task: Task) -> None:
        """Do a task."""
        match task:
            case Block():
                self._store_block(task)
                self._reading.room_for_blocks.release()
            case Item():
                read_steadily(task, self._read_large, self._reading.warn)
                self._reading.progress.advance(files=1)
            case Draft():
                self._store(*task.taken(), is_dense=task.is_dense)
                self._reading.free_drafts.append(task)

    def _read_large(self, descriptor: int, _size_bytes: int) -> Contents:
        """Cut a file into chunks, which this thread and others name and store, block by block."""
        digests: list[bytes] = []
        read_bytes, rest = 0, memoryview(b"")
        is_end = False
        while not is_end and not self._crew.has_ended:
            # A new one each time: another thread may still use the one before.
            buffer = memoryview(bytearray(len(rest) + _BLOCK_BYTES))
            buffer[: len(rest)] = rest
            count = filled(descriptor, buffer[len(rest) :])
            read_bytes += count
            is_end = count < _BLOCK_BYTES
            data = buffer[: len(rest) + count]
            lengths = list(map(len, self._cutter.cut(data, is_end=is_end)))
            rest = data[sum(lengths) :]
            block = Block(data, lengths, digests, len(digests))
            digests += [b""] * len(lengths)
            if self._reading.room_for_blocks.acquire(blocking=False):
                self._crew.give(block, at_once=True)
            else:
                self._store_block(block)
        return digests, read_bytes

    def _store_block(self, block: Block) -> None:
        """Name the chunks, and store those together that are new and neighbours."""
        frame, start, end = new_frame(), 0, 0
        for number, length in enumerate(block.lengths, start=block.first):
            digest = digest_of(block.data[end : end + length])
            block.digests[number] = digest
            is_new = self._reading.claim(digest, frame, end - start, length)
            if is_new:
                end += length
            if end > start and (not is_new or end - start >= FRAME_BYTES):
                self._store_part(frame, block.data[start:end])
                frame, start = new_frame(), end
            if not is_new:
                start = end = end + length
        if end > start:
            self._store_part(frame, block.data[start:end])
        self._reading.progress.advance(size_bytes=end)

    def _store_part(self, frame: Frame, contents: memoryview) -> None:
        self._store(frame, contents, is_dense=is_dense(contents))

    def _store(self, frame: Frame, contents: memoryview, *, is_dense: bool) -> None:
        compressor = self._dense_compressor if is_dense else self._compressor
        data: bytes | memoryview = compressor.compress(contents)
        if len(data) >= len(contents):
            data = contents
        frame.pack, frame.start = self._reading.packer.add(data)
        frame.size_bytes, frame.length = len(data), len(contents)


class _CannotReadError(Exception):
    """The disk refuses a file. Sinks raise `OSError`, too, which must not be taken for that."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def read_steadily(
    item: Item, read: Callable[[int, int], Contents], warn: Callable[[str], None]
) -> None:
    """Read a file, again if it changed meanwhile; at last, take it as it is.

    `read` gets its descriptor and how long it should be.

    Raises:
        FileUnreadable: the disk refuses it.
        and whatever else `read` raises.
    """
    try:
        for _ in range(_ATTEMPTS):
            read_bytes = _read_once(item, read)
            if item.is_steady:
                return
    except _CannotReadError as exc:
        if _is_file(item.found.path):
            raise FileUnreadable(shown(item.found.path), exc.reason) from exc.__cause__
        item.is_gone = True
    else:
        item.found = msgspec.structs.replace(item.found, size_bytes=read_bytes)
        warn(f"`{shown(item.found.path)}` changed while it was read")


def _read_once(item: Item, read: Callable[[int, int], Contents]) -> int:
    """Read a file, and return how many bytes it had."""
    found = item.found
    descriptor = _opened(found.path)
    try:
        item.digests, read_bytes = read(descriptor, found.size_bytes)
        stat = os.fstat(descriptor)
    finally:
        os.close(descriptor)
    if not S_ISREG(stat.st_mode):
        raise _CannotReadError("it is no file any more")
    item.is_steady = stamp_in(stat) == found.stamp and read_bytes == found.size_bytes
    if not item.is_steady:
        item.found = describe(found.root, found.name, found.path, stat)
    return read_bytes


def _opened(path: bytes) -> int:
    try:
        return os.open(path, OPEN_FLAGS)
    except OSError as exc:
        raise _CannotReadError(exc.strerror or str(exc)) from exc


def filled(descriptor: int, buffer: memoryview) -> int:
    """Read until `buffer` is full or the file ends; return how many bytes came."""
    try:
        # Small files come at once, and there are many.
        count = os.readv(descriptor, [buffer])
        return count if count in (0, len(buffer)) else count + fill(descriptor, buffer[count:])
    except OSError as exc:
        raise _CannotReadError(exc.strerror or str(exc)) from exc


def _is_file(path: bytes) -> bool:
    try:
        return S_ISREG(os.lstat(path).st_mode)
    except OSError:
        return False
