"""Packs: frames behind one another, which leave as soon as there are enough, and come in ranges."""

import hashlib
import mmap
from contextlib import suppress
from queue import Empty, SimpleQueue
from threading import Lock, Thread
from typing import Final, NamedTuple, Protocol

from blake3 import blake3

from runcache.snapshot.limits import MIB
from runcache.snapshot.manifest import Pack

PACK_BYTES: Final = 32 * MIB
_IN_FLIGHT: Final = 2


class PackSink(Protocol):
    """Where the packs of a save go to."""

    def name(self, number: int) -> str:
        """Return by which name the manifest calls a pack, be it there or not."""
        ...

    def put(self, number: int, body: memoryview, *, blake3: bytes, sha256: bytes) -> None:
        """Keep a pack.

        Numbers count from 0. Several threads call at once, each may wait. `body` is overwritten
        once this returns. What it raises ends the save; another call may be running then.
        """
        ...


class PackReader(Protocol):
    """Bytes of a pack that arrive in order."""

    def readinto(self, buffer: memoryview, /) -> int:
        """Fill `buffer` from its start; return how many bytes came, 0 at the end only."""
        ...

    def close(self) -> None:
        """Let go of what the rest would come from."""


class PackSource(Protocol):
    """Where a restore has its packs from."""

    def read(self, pack: str, start: int, end: int) -> PackReader:
        """Return the bytes `start` to `end`, which is not included, of a pack.

        Several threads call at once, each may wait. What it raises ends the restore.
        """
        ...


class Place(NamedTuple):
    """Where a frame is: in the pack of that number, from that byte on."""

    pack: int
    start: int


class _Draft(NamedTuple):
    number: int
    buffer: mmap.mmap
    size_bytes: int


class Packer:
    """Puts frames into packs, and full packs into a sink, by threads of its own.

    Any thread may use it. At most three packs are in memory: who adds a frame while all of them
    wait for the sink, waits too.
    """

    def __init__(self, sink: PackSink) -> None:
        self._sink = sink
        self._lock = Lock()
        self._packs: dict[int, Pack] = {}
        self._next_number = 0
        self._buffer: mmap.mmap | None = None
        self._used_bytes = 0
        self._error: BaseException | None = None
        self._drafts: SimpleQueue[_Draft | None] = SimpleQueue()
        self._free: SimpleQueue[mmap.mmap | None] = SimpleQueue()
        for _ in range(_IN_FLIGHT + 1):
            self._free.put(None)
        self._threads: list[Thread] = []

    def add(self, frame: bytes | memoryview) -> Place:
        """Add a frame, and return where it will be.

        Raises:
            whatever the sink has raised.
        """
        with self._lock:
            if self._buffer is not None and self._used_bytes + len(frame) > PACK_BYTES:
                self._hand_over(self._buffer)
            if self._buffer is None:
                self._buffer = self._free_buffer()
            start = self._used_bytes
            self._buffer[start : start + len(frame)] = frame
            self._used_bytes += len(frame)
            return Place(self._next_number, start)

    def flush(self) -> dict[int, Pack]:
        """Hand over the last pack, and return all of them by number, without waiting for any."""
        with self._lock:
            if self._buffer is not None:
                self._hand_over(self._buffer)
            return self._packs

    def finish(self) -> None:
        """Hand over the last pack, and wait for all of them.

        Raises:
            whatever the sink has raised.
        """
        self.flush()
        with self._lock:
            self._end_threads()
            for thread in self._threads:
                thread.join()
            self._raise_error()
            self._let_go()

    def abandon(self) -> None:
        """Put nothing more, and let nobody wait for that; what is being put is put."""
        self._error = self._error or RuntimeError("the packs are abandoned")
        self._let_go()
        self._free.put(None)
        self._end_threads()

    def _let_go(self) -> None:
        # The buffers are long, and the collector may come late.
        with suppress(Empty):
            while True:
                self._free.get_nowait()

    def _end_threads(self) -> None:
        for _ in self._threads:
            self._drafts.put(None)

    def _hand_over(self, buffer: mmap.mmap) -> None:
        number = self._next_number
        self._packs[number] = Pack(self._sink.name(number), self._used_bytes)
        self._drafts.put(_Draft(number, buffer, self._used_bytes))
        self._next_number += 1
        self._buffer, self._used_bytes = None, 0
        if len(self._threads) < _IN_FLIGHT:
            name = f"packs-{len(self._threads)}"
            self._threads.append(Thread(target=self._put_all, name=name, daemon=True))
            self._threads[-1].start()

    def _free_buffer(self) -> mmap.mmap:
        buffer = self._free.get()
        if self._error is not None:
            self._free.put(None)  # for whoever waits, too
            raise self._error
        return _new_buffer() if buffer is None else buffer

    def _raise_error(self) -> None:
        if self._error is not None:
            raise self._error

    def _put_all(self) -> None:
        while (draft := self._drafts.get()) is not None:
            try:
                if self._error is None:
                    self._put(draft)
            except BaseException as exc:  # noqa: BLE001  -- it is raised where frames come from
                self._error = exc
            self._free.put(draft.buffer if self._error is None else None)
            del draft

    def _put(self, draft: _Draft) -> None:
        body = memoryview(draft.buffer)[: draft.size_bytes]
        names = {"blake3": blake3(body).digest(), "sha256": hashlib.sha256(body).digest()}
        self._sink.put(draft.number, body, **names)


def _new_buffer() -> mmap.mmap:
    """Return room for a pack, which takes memory as far as it is used."""
    buffer = mmap.mmap(-1, PACK_BYTES)
    if hasattr(mmap, "MADV_HUGEPAGE"):
        # One fault for 2 MiB, where 512 would take a few milliseconds; not every kernel can.
        with suppress(OSError):
            buffer.madvise(mmap.MADV_HUGEPAGE)
    return buffer
