"""A command that is run for the caller: signals go on to it, and its status is the caller's."""

import os
import signal
import subprocess
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType
from typing import Final

# What asks a program to stop, or to do what it has its own reasons for.
PASSED_ON: Final = (
    signal.SIGHUP,
    signal.SIGINT,
    signal.SIGQUIT,
    signal.SIGTERM,
    signal.SIGUSR1,
    signal.SIGUSR2,
)
_STOPPING: Final = frozenset({signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM})
_TYPED: Final = frozenset({signal.SIGINT, signal.SIGQUIT})
# What a shell answers.
_NOT_FOUND: Final = 127
_NOT_STARTED: Final = 126
_SIGNALLED: Final = 128


@dataclass(frozen=True, slots=True)
class Ended:
    """How a command ended.

    `status` is its exit status, or 128 and the number of the signal that ended it. `complaint`
    says why it could not be started, else it is None.
    """

    status: int
    was_asked_to_stop: bool = False
    complaint: str | None = None

    @property
    def is_success(self) -> bool:
        """Whether it did its work, and nobody wanted it to stop."""
        return self.status == 0 and not self.was_asked_to_stop


def run(command: Sequence[str], *, stdout: int | None = None) -> Ended:
    """Run a command to its end, with the terminal and the files of this process.

    Args:
        command: the program and its arguments.
        stdout: a descriptor to be its standard output, if it shall not be that of this process.
    """
    child: subprocess.Popen[bytes] | None = None
    received: list[int] = []
    early: list[int] = []

    def pass_on(number: int, _frame: FrameType | None) -> None:
        received.append(number)
        if child is None:
            early.append(number)
        elif not (number in _TYPED and _is_in_foreground()):
            child.send_signal(number)

    with _handled_by(pass_on):
        try:
            # Those who may type here choose the command.
            child = subprocess.Popen(command, stdout=stdout)  # noqa: S603
        except FileNotFoundError:
            return Ended(_NOT_FOUND, complaint=f"there is no program `{command[0]}`")
        except OSError as exc:
            return Ended(_NOT_STARTED, complaint=f"cannot run `{command[0]}`: {exc.strerror}")
        with child:
            for number in early:
                child.send_signal(number)
            code = child.wait()
    status = code if code >= 0 else _SIGNALLED - code
    return Ended(status, was_asked_to_stop=not _STOPPING.isdisjoint(received))


@contextmanager
def _handled_by(handler: Callable[[int, FrameType | None], None]) -> Iterator[None]:
    former = {number: signal.getsignal(number) for number in PASSED_ON}
    for number, was in former.items():
        # What the caller made us ignore, as `nohup` does, the command ignores as well.
        if was is not signal.SIG_IGN:
            signal.signal(number, handler)
    try:
        yield
    finally:
        for number, was in former.items():
            signal.signal(number, was)


def _is_in_foreground() -> bool:
    """Say whether a terminal sends what is typed there to the command as well as to us."""
    try:
        terminal = os.open("/dev/tty", os.O_RDONLY | os.O_NOCTTY)
    except OSError:
        return False
    try:
        return os.tcgetpgrp(terminal) == os.getpgrp()
    except OSError:
        return False
    finally:
        os.close(terminal)
