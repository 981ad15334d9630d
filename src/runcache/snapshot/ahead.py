"""A scan that begins before it is needed, in a process of its own, on another core.

A thread would do nothing of the kind: most of a scan are calls of less than 4 µs to the disk, after
each of which it would wait for the interpreter.
"""

import os
import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from itertools import islice
from types import TracebackType
from typing import Final, NoReturn, Self

import msgspec

from runcache.snapshot.forking import may_fork_now
from runcache.snapshot.index import FileIndex
from runcache.snapshot.limits import MIB
from runcache.snapshot.scan import Found, Scan, Selection

_PART_FILES: Final = 256
_LENGTH_BYTES: Final = 4
# What the child keeps while nobody listens; then it waits.
_MAX_UNSENT_BYTES: Final = 16 * MIB

_Find = Callable[[Callable[[str], None]], Iterator[Found]]


class _Part(msgspec.Struct, array_like=True):
    """What a child tells. `warnings` are those of the whole scan, and mark its last part."""

    founds: list[Found]
    warnings: list[str] | None = None


class ScanAhead(Scan):
    """A scan by a child process, as long as the context lasts.

    The child only helps: where it cannot be made, or ends too soon for whatever reason, this
    process scans, and raises what there is to raise.
    """

    def __init__(
        self,
        roots: Sequence[bytes],
        selection: Selection | None,
        index: FileIndex | None,
        *,
        may_fork: bool,
    ) -> None:
        super().__init__(roots, selection, index)
        self._may_fork = may_fork
        self._child: int | None = None
        self._parts: int | None = None

    def __enter__(self) -> Self:
        if self._may_fork and may_fork_now():
            with suppress(OSError):
                self._fork()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._parts is not None:
            os.close(self._parts)
        if self._child is not None:
            os.kill(self._child, signal.SIGKILL)
            os.waitpid(self._child, 0)

    def founds(self, warn: Callable[[str], None]) -> Iterator[Found]:
        """Yield what `scan` does.

        Raises:
            FileUnreadable: a folder or link cannot be read.
        """
        told: list[list[Found]] = []
        for part in self._told():
            told.append(part.founds)
            yield from part.founds
            if part.warnings is not None:
                for warning in part.warnings:
                    warn(warning)
                return
        known = {(found.root, found.name) for founds in told for found in founds}
        for found in super().founds(warn):
            if (found.root, found.name) not in known:
                yield found

    def _fork(self) -> None:
        parts, ours = os.pipe()
        # The child obeys its parent, and the end of the pipe, not what a terminal tells both.
        former = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})
        try:
            self._child = os.fork()
            if self._child == 0:
                _be_the_child(parts, ours, super().founds)
            self._parts = parts
        except OSError:
            os.close(parts)
            raise
        finally:
            os.close(ours)
            signal.pthread_sigmask(signal.SIG_SETMASK, former)

    def _told(self) -> Iterator[_Part]:
        """Yield what the child tells, once; if the last part has no warnings, it has failed."""
        if self._parts is None:
            return
        decoder = msgspec.msgpack.Decoder(_Part)
        with open(self._parts, "rb") as stream:
            self._parts = None
            while len(header := stream.read(_LENGTH_BYTES)) == _LENGTH_BYTES:
                data = stream.read(int.from_bytes(header, "big"))
                try:
                    yield decoder.decode(data)
                except msgspec.DecodeError:
                    return


def _be_the_child(theirs: int, parts: int, find: _Find) -> NoReturn:
    """Scan, and end without a word: of what fails here, the parent hears when it does the same."""
    try:
        os.close(theirs)
        _tell(parts, find)
    finally:
        os._exit(0)


def _tell(parts: int, find: _Find) -> None:
    """Write parts into a pipe, without waiting for the reader but at the end."""
    encoder = msgspec.msgpack.Encoder()
    unsent = bytearray()
    warnings: list[str] = []
    founds = find(warnings.append)
    is_last = False
    while not is_last:
        some = list(islice(founds, _PART_FILES))
        is_last = len(some) < _PART_FILES
        data = encoder.encode(_Part(some, warnings if is_last else None))
        unsent += len(data).to_bytes(_LENGTH_BYTES, "big") + data
        os.set_blocking(parts, is_last or len(unsent) > _MAX_UNSENT_BYTES)
        with suppress(BlockingIOError):
            while unsent:
                del unsent[: os.write(parts, unsent)]
