"""A twin: a process that does a part of the work of this one, and tells it what came of it.

The threads of one process share an interpreter, and so use little more than one core. A twin has
all that this process has in memory, and dies with it. It may only be forked where no other thread
runs, whose locks nobody would ever open in the twin.
"""

import fcntl
import os
import pickle
import signal
import traceback
from collections.abc import Callable
from contextlib import suppress
from threading import Lock
from typing import Final, NoReturn, Self

import msgspec

from runcache.errors import CacheError, TwinLost
from runcache.progress import Progress

_LENGTH_BYTES: Final = 4
_HELD_BACK: Final = (signal.SIGINT, signal.SIGTERM)


class _Advanced(msgspec.Struct, frozen=True, tag=True):
    files: int
    size_bytes: int


class _Failed(msgspec.Struct, frozen=True, tag=True):
    error: bytes


class _Finished(msgspec.Struct, frozen=True, tag=True):
    result: bytes


_Message = _Advanced | _Failed | _Finished


class Twin:
    """A process at work. To be used as a context; in the end it is gone, come what may.

    Attributes:
        result: what its work came to, once that was heard.
    """

    def __init__(self, process: int, told: int, alive: int) -> None:
        self.result = b""
        self._process = process
        self._told = told
        self._alive = alive

    @classmethod
    def forked(cls, work: Callable[[Progress], bytes]) -> "Twin | None":
        """Return a process that does `work`, which gets a progress to tell, in the main thread.

        It is `None` if there can be no further process.
        """
        told, tells = os.pipe()
        # Nobody writes to this one. That it is closed when this process ends kills the twin.
        watched, alive = os.pipe()
        parent = os.getpid()
        former = signal.pthread_sigmask(signal.SIG_BLOCK, _HELD_BACK)
        try:
            process = os.fork()
            if not process:
                os.close(alive)
                _live(work, tells, watched, parent, former)
        except OSError:
            os.close(told)
            os.close(alive)
            return None
        finally:
            os.close(tells)
            os.close(watched)
            signal.pthread_sigmask(signal.SIG_SETMASK, former)
        return cls(process, told, alive)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        # Who has told its result has nothing to do any more.
        with suppress(ProcessLookupError):
            os.kill(self._process, signal.SIGKILL)
        os.waitpid(self._process, 0)
        os.close(self._alive)

    def listen(self, progress: Progress) -> None:
        """Pass on how far it is, until there is a `result`. In one thread, which may be any.

        Raises:
            TwinLost: it ended without one.
            and whatever its work raises.
        """
        decoder = msgspec.msgpack.Decoder(_Message)
        with open(self._told, "rb") as told:
            while True:
                length = int.from_bytes(told.read(_LENGTH_BYTES))
                body = told.read(length)
                if not length or len(body) < length:
                    raise TwinLost
                match decoder.decode(body):
                    case _Advanced(files, size_bytes):
                        progress.advance(files=files, size_bytes=size_bytes)
                    case _Failed(error):
                        raise _revived(error)
                    case _Finished(result):
                        self.result = result
                        return


class _Telling:
    """What the work of a twin tells its progress to (`runcache.progress` has the contract)."""

    def __init__(self, descriptor: int) -> None:
        self._file = open(descriptor, "wb", buffering=0)  # noqa: SIM115  -- closed with the process
        self._lock = Lock()

    def phase(
        self, name: str, *, total_files: int | None = None, total_bytes: int | None = None
    ) -> None:
        """See `Progress.phase`."""

    def advance(self, *, files: int = 0, size_bytes: int = 0) -> None:
        """See `Progress.advance`."""
        self.tell(_Advanced(files, size_bytes))

    def tell(self, message: _Message) -> None:
        """Send a message."""
        body = msgspec.msgpack.encode(message)
        data = memoryview(len(body).to_bytes(_LENGTH_BYTES) + body)
        with self._lock:
            while data:
                data = data[self._file.write(data) or 0 :]


def _live(
    work: Callable[[Progress], bytes],
    tells: int,
    watched: int,
    parent: int,
    signals: set[signal.Signals] | set[int],
) -> NoReturn:
    """Be the twin: nothing of what this process would do in its end is done."""
    try:
        # What is typed reaches both, and the other one knows what to do.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_SETMASK, signals)
        _die_with(parent, watched)
        telling = _Telling(tells)
        try:
            telling.tell(_Finished(work(telling)))
        except BaseException as exc:  # noqa: BLE001  -- it is raised where the result is waited for
            telling.tell(_Failed(_preserved(exc)))
    finally:
        os._exit(0)


def _die_with(parent: int, watched: int) -> None:
    """Let the kernel end this process when nobody can write any more to what is `watched`."""
    signal.signal(signal.SIGIO, signal.SIG_DFL)
    fcntl.fcntl(watched, fcntl.F_SETOWN, os.getpid())
    fcntl.fcntl(watched, fcntl.F_SETFL, os.O_ASYNC)
    if os.getppid() != parent:
        os._exit(0)  # It died before.


def _preserved(error: BaseException) -> bytes:
    if not isinstance(error, CacheError):
        error.add_note("".join(traceback.format_exception(error)))
    return pickle.dumps((type(error), error.args, vars(error)))


def _revived(preserved: bytes) -> BaseException:
    # Errors are made of more than the text that they keep, so that Python's own way fails.
    kind, args, attributes = pickle.loads(preserved)  # noqa: S301  -- of this very program
    error: BaseException = kind.__new__(kind, *args)
    error.args = args
    vars(error).update(attributes)
    return error
