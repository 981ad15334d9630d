"""What is told of the read cache."""

from typing import Final

import structlog

from runcache.server.metrics import Metrics

FOLDER: Final = "read-cache"
"""Where it is, in the data folder."""

_log = structlog.get_logger("runcache.server")


class ToldReading:
    """Counts what a read cache does, and logs what is wrong (`store.read_cache`)."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics

    def read_locally(self, size_bytes: int) -> None:
        """See `ReadCacheObserver.read_locally`."""
        self._metrics.read_locally(size_bytes)

    def read_from_store(self) -> None:
        """See `ReadCacheObserver.read_from_store`."""
        self._metrics.read_from_store()

    def evicted_locally(self, count: int) -> None:
        """See `ReadCacheObserver.evicted_locally`."""
        self._metrics.evicted_locally(count)

    def damaged_locally(self, blob: str) -> None:
        """See `ReadCacheObserver.damaged_locally`."""
        self._metrics.damaged_locally()
        _log.error("read_cache.damaged", blob=blob)

    def mismatched(self, blob: str) -> None:
        """See `ReadCacheObserver.mismatched`."""
        _log.error("read_cache.mismatched", blob=blob)

    def failed_locally(self, error: Exception) -> None:
        """See `ReadCacheObserver.failed_locally`."""
        _log.warning("read_cache.failed", error=str(error))
