"""A blob in order, while several connections fetch what is ahead of the reader."""

from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Final, Self

from runcache.client.ranges import PIECE_BYTES, LinkedBlob, RangeReader

PARALLEL: Final = 4
_READ_BYTES: Final = 1024 * 1024


class ParallelReader:
    """The `total_bytes` of a blob, of which `first` is the first piece (`transports.Reader`).

    It holds at most one piece more than there are connections.
    """

    def __init__(self, blob: LinkedBlob, first: RangeReader, total_bytes: int) -> None:
        self._pool = ThreadPoolExecutor(PARALLEL, thread_name_prefix="runcache-download")
        self._blob = blob
        self._starts = iter(range(PIECE_BYTES, total_bytes, PIECE_BYTES))
        self._total_bytes = total_bytes
        self._is_closed = False
        self._current = memoryview(b"")
        self._pieces: deque[Future[memoryview]] = deque(
            [self._pool.submit(self._fetched, first, PIECE_BYTES)]
        )
        for _ in range(PARALLEL - 1):
            self._submit_next()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def readinto(self, buffer: memoryview) -> int:
        """See `Reader.readinto`."""
        if not self._current.nbytes:
            if not self._pieces:
                return 0
            self._submit_next()
            self._current = self._pieces.popleft().result()
        count = min(buffer.nbytes, self._current.nbytes)
        buffer[:count] = self._current[:count]
        self._current = self._current[count:]
        return count

    def close(self) -> None:
        """See `Reader.close`. Threads that wait for bytes end once those come, or never do."""
        self._is_closed = True
        self._pieces.clear()
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _submit_next(self) -> None:
        start = next(self._starts, None)
        if start is not None:
            end = min(start + PIECE_BYTES, self._total_bytes)
            reader = self._blob.read(start, end)
            self._pieces.append(self._pool.submit(self._fetched, reader, end - start))

    def _fetched(self, reader: RangeReader, size_bytes: int) -> memoryview:
        piece = memoryview(bytearray(size_bytes))
        filled_bytes = 0
        with reader:
            while count := reader.readinto(piece[filled_bytes : filled_bytes + _READ_BYTES]):
                filled_bytes += count
                if self._is_closed:
                    break
        return piece
