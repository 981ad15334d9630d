"""`hashFiles`: one digest for the contents of all files that match (management §5.1)."""

import os
import stat
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING, Final, Self

from runcache.errors import FileUnreadable
from runcache.globs.patterns import read_patterns
from runcache.globs.walk import search

if TYPE_CHECKING:
    from concurrent.futures import Future, ThreadPoolExecutor

# What is smaller is hashed sooner than a thread could be told to.
LARGE_BYTES: Final = 512 * 1024

_PIECE_BYTES: Final = 1024 * 1024
_MAX_WAITING: Final = 1000


def hash_files(
    patterns: Sequence[str],
    *,
    root: Path,
    follow_symbolic_links: bool = False,
    home: Path | None = None,
) -> str:
    """Return what `hashFiles(…)` is in an expression if `root` is the workspace.

    That is the SHA-256, in hexadecimal digits, of the SHA-256 digests of all matching files in
    their order, or an empty text if there are none. The toolkit's function of this name, which
    actions call, follows links unless it is told otherwise.

    Args:
        patterns: the arguments, each of which may have several lines.
        root: the folder at which relative patterns begin; files outside of it are ignored.
        follow_symbolic_links: whether to enter folders through links, and leave out broken ones.
        home: what `~` stands for; by default the home folder of the user.

    Raises:
        InvalidPattern: one of the patterns cannot be.
        FileUnreadable: a match, or a folder that may hold one, cannot be read.
    """
    files = matching_files(
        patterns, root=root, follow_symbolic_links=follow_symbolic_links, home=home
    )
    return digest_of(files)


def matching_files(
    patterns: Sequence[str],
    *,
    root: Path,
    follow_symbolic_links: bool = False,
    home: Path | None = None,
) -> Iterator[str]:
    """Find the files that `hash_files` reads: absolute paths, in order.

    Raises:
        InvalidPattern: one of the patterns cannot be.
        FileUnreadable: a link that matches is broken, or a folder cannot be read.
    """
    try:
        top = os.path.realpath(root)
    except FileNotFoundError as exc:  # the working folder was deleted
        raise FileUnreadable.because_of(exc, str(root)) from exc
    read = read_patterns(patterns, root=top, home=None if home is None else str(home))
    for found in search(read, follow_links=follow_symbolic_links, within=top):
        is_folder = found.is_folder or (found.is_link and _leads_to_folder(found.path))
        if not is_folder and found.path.startswith(f"{top}/"):
            yield found.path


def _leads_to_folder(link: str) -> bool:
    try:
        return stat.S_ISDIR(Path(link).stat().st_mode)
    except FileNotFoundError:
        hint = "exclude it with `!`, or follow links: then broken ones are left out"
        raise FileUnreadable(link, "it is a broken link", hint=hint) from None
    except OSError as exc:
        raise FileUnreadable.because_of(exc, link) from exc


def digest_of(files: Iterable[str]) -> str:
    """Return the digest of the digests of `files`, or an empty text if there are none.

    Memory is bounded, be the files many or huge. Large ones are read in threads.

    Raises:
        FileUnreadable: one of them cannot be read, or is no ordinary file.
    """
    outer, is_empty = sha256(), True
    for digest in _digests(files):
        outer.update(digest)
        is_empty = False
    return "" if is_empty else outer.hexdigest()


def _digests(files: Iterable[str]) -> Iterator[bytes]:
    """Yield the digest of each file, in order."""
    waiting: deque[bytes | Future[bytes]] = deque()
    with _Threads() as threads:
        for path in files:
            waiting.append(_digest_of_small(path) or threads.digest_of_large(path))
            while waiting and (isinstance(waiting[0], bytes) or len(waiting) > _MAX_WAITING):
                yield _settled(waiting.popleft())
        yield from map(_settled, waiting)


def _settled(digest: "bytes | Future[bytes]") -> bytes:
    return digest if isinstance(digest, bytes) else digest.result()


def _digest_of_small(path: str) -> bytes | None:
    with _opened(path) as (file, size_bytes):
        if size_bytes >= LARGE_BYTES:
            return None
        digest = sha256()
        # A file may hold more than it says, as those in `/proc` do.
        while piece := os.read(file, max(size_bytes + 1, 4096)):
            digest.update(piece)
        return digest.digest()


class _Threads:
    """Threads that hash large files; they are started for the first one."""

    def __init__(self) -> None:
        self._pool: ThreadPoolExecutor | None = None
        self._is_over = Event()

    def digest_of_large(self, path: str) -> "Future[bytes]":
        if self._pool is None:
            from concurrent.futures import ThreadPoolExecutor  # noqa: PLC0415  -- it takes 10 ms

            self._pool = ThreadPoolExecutor(os.cpu_count())
        return self._pool.submit(self._digest, path)

    def _digest(self, path: str) -> bytes:
        digest, buffer = sha256(), memoryview(bytearray(_PIECE_BYTES))
        with _opened(path) as (file, _):
            while (count := os.readv(file, [buffer])) and not self._is_over.is_set():
                digest.update(buffer[:count])
        return digest.digest()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        # Whoever fails or is interrupted does not wait for gigabytes.
        self._is_over.set()
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)


@contextmanager
def _opened(path: str) -> Iterator[tuple[int, int]]:
    """Open a file, and give its descriptor and its size in bytes."""
    try:
        # A pipe would keep us waiting for somebody to write to it.
        file = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        try:
            status = os.fstat(file)
            if not stat.S_ISREG(status.st_mode) and not _is_null(status):
                raise FileUnreadable(path, "it is no ordinary file")
            yield file, status.st_size
        finally:
            os.close(file)
    except OSError as exc:
        raise FileUnreadable.because_of(exc, path) from exc


def _is_null(status: os.stat_result) -> bool:
    """Say whether this is what configuration is linked to that shall be empty."""
    return status.st_rdev == Path(os.devnull).stat().st_rdev
