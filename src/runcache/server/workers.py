"""Several processes on one port: a parent that keeps them running, and does nothing else.

Each worker is a server like any other, with a listening socket of its own among which the kernel
spreads connections. The parent keeps all of these open: what comes for a worker that has died waits
for the next one. It also holds the end of a pipe, which tells the workers when it dies itself.
"""

import asyncio
import os
import select
import shutil
import signal
import socket
import tempfile
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

import structlog

from runcache.config import Settings
from runcache.server.keys import SigningKey, key_of
from runcache.server.logs import configure_logs

if TYPE_CHECKING:
    from runcache.server.process import Inherited

RESTART_AFTER_SECONDS: Final = 1
_STOPS: Final = frozenset({signal.SIGTERM, signal.SIGINT})
_SIGNALS: Final = _STOPS | {signal.SIGCHLD}
_LOOK_EVERY_SECONDS: Final = 0.1
_ADDRESS_BYTES: Final = 1024
_FAILED: Final = 1
_log = structlog.get_logger("runcache.workers")


def serve_with_workers(settings: Settings, *, announce: Callable[[str], None]) -> int:
    """Serve with `settings.workers` processes until SIGTERM or SIGINT, and return the exit code.

    It returns in the parent, which calls `announce` once clients can connect, and in each worker.

    Raises:
        InvalidSettings, CatalogUnavailable, StoreUnavailable: a worker cannot serve; raised there.
    """
    configure_logs(settings.log_level)
    key = key_of(settings)
    parent = os.getpid()
    folder = Path(tempfile.mkdtemp(prefix="runcache-metrics-"))
    try:
        # The client library counts in files there if this is set when it is imported.
        os.environ["PROMETHEUS_MULTIPROC_DIR"] = str(folder)
        from runcache.server.process import serve  # noqa: PLC0415  -- see above

        crew = _Crew(_listeners(settings), key)
        inherited = crew.run(announce)
        if inherited is None:
            return crew.exit_code
        asyncio.run(serve(settings, announce=crew.tell_parent, inherited=inherited))
        return 0
    finally:
        # Else by the workers, of which the parent was killed.
        if os.getpid() == parent or os.getppid() != parent:
            shutil.rmtree(folder, ignore_errors=True)


class _Crew:
    """The workers of one parent, by the numbers of their sockets."""

    def __init__(self, listeners: Sequence[socket.socket], key: SigningKey) -> None:
        self.exit_code = 0
        self._listeners = listeners
        self._key = key
        self._lifeline, self._held = os.pipe()
        self._numbers: dict[int, int] = {}
        self._to_parent: int | None = None
        self._is_stopping = False

    def run(self, announce: Callable[[str], None]) -> "Inherited | None":
        """Keep a worker for each socket until a signal ends them, and return `None` then.

        In a worker this returns at once, with what it has from its parent.
        """
        signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
        address = ""
        # The first one makes what is missing, and says what is wrong, alone.
        for numbers in (range(1), range(1, len(self._listeners))):
            readers = []
            for number in numbers:
                reader, writer = os.pipe()
                if (inherited := self._fork(number, to_parent=writer)) is not None:
                    return inherited
                os.close(writer)
                readers.append(reader)
            addresses = [_read(reader) for reader in readers]
            address = next(iter(addresses), address)
            if not all(addresses):
                self._stop()
                break
        else:
            announce(address)
        return self._watch()

    def tell_parent(self, address: str) -> None:
        """Tell the parent of this worker, if it still waits for that, where it serves."""
        if self._to_parent is not None:
            os.write(self._to_parent, address.encode())
            os.close(self._to_parent)

    def _watch(self) -> "Inherited | None":
        while self._numbers or not self._is_stopping:
            missing = set(range(len(self._listeners))) - set(self._numbers.values())
            if missing and not self._is_stopping:
                came = signal.sigtimedwait(_SIGNALS, RESTART_AFTER_SECONDS)
                if came is None:
                    for number in missing:
                        if (inherited := self._fork(number)) is not None:
                            return inherited
                    continue
            else:
                came = signal.sigwaitinfo(_SIGNALS)
            if came.si_signo == signal.SIGCHLD:
                self._bury()
            else:
                self._stop()
        return None

    def _fork(self, number: int, *, to_parent: int | None = None) -> "Inherited | None":
        pid = os.fork()
        if pid:
            self._numbers[pid] = number
            return None
        from runcache.server.process import Inherited  # noqa: PLC0415  -- imported by now

        os.close(self._held)
        self._to_parent = to_parent
        _close(self._listeners[:number])
        _close(self._listeners[number + 1 :])
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)
        return Inherited(self._key, self._listeners[number], self._lifeline)

    def _bury(self) -> None:
        from prometheus_client.multiprocess import mark_process_dead  # noqa: PLC0415  -- as above

        while self._numbers:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if not pid:
                return
            if pid not in self._numbers:
                continue
            number = self._numbers.pop(pid)
            mark_process_dead(pid)  # type: ignore[no-untyped-call]
            code = os.waitstatus_to_exitcode(status)
            if not self._is_stopping:
                _log.error("worker.ended", worker=number, exit_code=code)
            elif code not in {0, -signal.SIGTERM}:
                self.exit_code = code if code > 0 else _FAILED

    def _stop(self) -> None:
        self._is_stopping = True
        # Only workers accept from now on, each as long as it can.
        _close(self._listeners)
        for pid in self._numbers:
            os.kill(pid, signal.SIGTERM)


def _listeners(settings: Settings) -> list[socket.socket]:
    """Return a listening socket for each worker, all of them on one port."""
    from runcache.server.process import BACKLOG, bound_socket  # noqa: PLC0415  -- as above

    # A socket that shares its port with others would not mind what already listens there.
    with bound_socket(settings) as reserved:
        listeners = []
        for _ in range(settings.workers):
            listener = socket.socket(reserved.family, socket.SOCK_STREAM)
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            listener.bind(reserved.getsockname())
            listeners.append(listener)
    for listener in listeners:
        listener.listen(BACKLOG)
    return listeners


def _read(reader: int) -> str:
    """Return the address that a worker tells; nothing if it ended before, or a signal came."""
    try:
        while not select.select([reader], [], [], _LOOK_EVERY_SECONDS)[0]:
            if _STOPS & signal.sigpending():
                return ""
        return os.read(reader, _ADDRESS_BYTES).decode()
    finally:
        os.close(reader)


def _close(listeners: Iterable[socket.socket]) -> None:
    for listener in listeners:
        listener.close()
