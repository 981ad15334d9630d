"""Whose turn it is to write into an SQLite file that several processes use.

SQLite itself lets those who wait ask again, less and less often, so that one who is unlucky waits
on and on: of four processes that did nothing but reserve keys, one waited for 2.8 s at once. The
kernel wakes who waits for a lock: then the longest wait was 64 to 70 ms, and up to 0.7 s beside
other programs.
"""

import fcntl
import os
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from pathlib import Path
from threading import Thread


@contextmanager
def turn(path: Path, *, within_seconds: float) -> Iterator[None]:
    """Have the turn during the block, or go on without it when the time is over.

    It is a courtesy that nothing depends on: who has it may have been stopped.

    Raises:
        OSError: the lock cannot be opened.
    """
    lock = os.open(path, os.O_CREAT | os.O_RDWR, 0o600)
    if not _locked_at_once(lock) and not _locked_in_time(lock, within_seconds):
        yield
        return
    try:
        yield
    finally:
        os.close(lock)


def _locked_at_once(lock: int) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _locked_in_time(lock: int, seconds: float) -> bool:
    """Wait in line in another thread, since the kernel knows no end of that."""
    mine: Future[None] = Future()

    def wait() -> None:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if mine.set_running_or_notify_cancel():
            mine.set_result(None)
        else:
            os.close(lock)

    Thread(target=wait, name="catalog-turn", daemon=True).start()
    try:
        mine.result(timeout=seconds)
    except TimeoutError:
        # It may have come at this very moment.
        return not mine.cancel()
    return True
