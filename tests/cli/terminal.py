"""A terminal that a test looks at."""

import fcntl
import os
import pty
import struct
import sys
import termios
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TextIO


class Terminal:
    """A terminal of 100 columns: what is written to `stream`, `shown` returns."""

    def __init__(self) -> None:
        self._screen, typed = pty.openpty()
        fcntl.ioctl(typed, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 100, 0, 0))
        self.stream: TextIO = os.fdopen(typed, "w")

    def shown(self) -> str:
        self.stream.close()
        written = b""
        try:
            while piece := os.read(self._screen, 65536):
                written += piece
        except OSError:  # how Linux says that the other end is closed
            pass
        os.close(self._screen)
        return written.decode()


@contextmanager
def stdout(stream: TextIO) -> Iterator[None]:
    """Let this stream be what `sys.stdout` is."""
    former, sys.stdout = sys.stdout, stream
    try:
        yield
    finally:
        sys.stdout = former
