"""What somebody without the rights of root sees, in a process of its own."""

import multiprocessing
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Final, TypeVar

# What is imported late elsewhere could not be any more, where the rights to do so are gone.
import pyfastcdc  # noqa: F401

T = TypeVar("T")

FORKING: Final = multiprocessing.get_context("forkserver")
NOBODY: Final = 65534


@contextmanager
def open_folder() -> Iterator[Path]:
    """Yield a folder in which everybody may do everything, unlike in those of pytest."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o777)
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


class FailedAsNobody(Exception):
    """What `act` raised, as text: the name of its kind, and what it says."""


def as_nobody(act: Callable[..., T], *args: object) -> T:
    """Return what `act`, a function of a module, returns when it has not the rights of root.

    Raises:
        FailedAsNobody: it failed.
    """
    here, there = FORKING.Pipe(duplex=False)
    child = FORKING.Process(target=_call, args=(there, act, args))
    child.start()
    there.close()
    has_failed, outcome = here.recv()
    child.join()
    if has_failed:
        raise FailedAsNobody(outcome)
    result: T = outcome
    return result


def _call(connection: Connection, act: Callable[..., object], args: tuple[object, ...]) -> None:
    if os.getuid() == 0:
        os.setgroups([])
        os.setgid(NOBODY)
        os.setuid(NOBODY)
    try:
        connection.send((False, act(*args)))
    except Exception as exc:  # noqa: BLE001  -- it is raised where the call came from
        connection.send((True, f"{type(exc).__name__}: {exc}"))
