"""A disk that is full, without a disk that is full: the kernel refuses longer files."""

import resource
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def file_size_limit(limit_bytes: int, *, pid: int = 0) -> Iterator[None]:
    """Let every file of a process, by default this one, have at most `limit_bytes`."""
    former = resource.prlimit(pid, resource.RLIMIT_FSIZE)
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (limit_bytes, former[1]))
    try:
        yield
    finally:
        resource.prlimit(pid, resource.RLIMIT_FSIZE, former)
