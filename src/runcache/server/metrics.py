"""What `/metrics` shows. No label ever holds a key, a repository or a token."""

from typing import Final

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.process_collector import ProcessCollector

from runcache.errors import StoreUnavailable
from runcache.model import Entry, Hit, MatchKind
from runcache.retention import Reason
from runcache.service import Lookup, Observer

MISS: Final = "miss"
CATALOG: Final = "catalog"
STORE: Final = "store"
PARTS: Final = (CATALOG, STORE)
_SECONDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1, 5, 30, 300)


class Metrics(Observer):
    """Counts what the service does and what the handlers answer, from the start of the server.

    With `is_shared` it counts together with other processes (`server/workers.py`), in files that
    all of them read.
    """

    def __init__(self, *, is_shared: bool = False) -> None:
        # Their creation times would double the output, and say what the process's start says.
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self._registry = self._shown = CollectorRegistry()
        if is_shared:
            self._shown = CollectorRegistry()
            MultiProcessCollector(self._shown)  # type: ignore[no-untyped-call]
        else:
            ProcessCollector(registry=self._registry)
        lookups = self._counter("lookups", "lookups by what they found", "result")
        self._missed = lookups.labels(MISS)
        self._found = {kind: lookups.labels(kind.value) for kind in MatchKind}
        self._degraded = self._counter(
            "degraded_lookups", "lookups answered as misses since a part was away", "part"
        )
        self._away = Gauge(
            "runcache_engine_away",
            "whether this part is taken for away, and not asked but now and then",
            ("part",),
            registry=self._registry,
            multiprocess_mode="livemax",
        )
        for part in PARTS:
            self._degraded.labels(part)
            self._away.labels(part).set(0)
        self._saved = self._counter("saved_entries", "entries that were committed")
        self._saved_bytes = self._counter("saved_bytes", "bytes of committed entries")
        self._damaged = self._counter("damaged_entries", "entries dropped since bytes were wrong")
        self._reports = self._counter("damage_reports", "clients that said an entry was damaged")
        self._evicted = self._counter("evicted_entries", "entries forgotten by a limit", "reason")
        for reason in Reason:
            self._evicted.labels(reason.value)
        self._unrecorded = self._counter(
            "unrecorded_lookups", "lookups and downloads that the event log had no room for"
        )
        self._requests = self._counter("requests", "requests answered", "route", "status")
        self._seconds = Histogram(
            "runcache_request_seconds",
            "time from the request's headers to the end of its answer",
            ("route",),
            buckets=_SECONDS,
            registry=self._registry,
        )
        # To ask for a metric by its labels takes longer than to count: these are asked for once.
        self._answers: dict[tuple[str, int], tuple[Counter, Histogram]] = {}
        self._bytes = self._counter("transferred_bytes", "bytes of blobs", "direction")
        self._in_flight = Gauge(
            "runcache_transfers_in_flight",
            "bodies of blobs that are being sent or received",
            ("direction",),
            registry=self._registry,
            multiprocess_mode="livesum",
        )

        self._read_cache_hits = self._counter(
            "read_cache_hits", "reads of parts of blobs from the read cache"
        )
        self._read_cache_misses = self._counter(
            "read_cache_misses", "reads of parts of blobs past the read cache"
        )
        self._read_cache_bytes = self._counter("read_cache_bytes", "bytes read from the read cache")
        self._read_cache_evictions = self._counter(
            "read_cache_evictions", "files of the read cache that made room for others"
        )
        self._read_cache_damages = self._counter(
            "read_cache_damaged_files", "files of the read cache that were not as they had been"
        )

    def found(self, lookup: Lookup, hit: Hit) -> None:  # noqa: ARG002  -- never a label
        """See `Observer.found`."""
        self._found[hit.kind].inc()

    def missed(self, lookup: Lookup) -> None:  # noqa: ARG002  -- never a label
        """See `Observer.missed`."""
        self._missed.inc()

    def gave_up(self, lookup: Lookup, reason: Exception) -> None:  # noqa: ARG002  -- never a label
        """See `Observer.gave_up`."""
        self._degraded.labels(STORE if isinstance(reason, StoreUnavailable) else CATALOG).inc()

    def engine_away(self, part: str, *, is_away: bool) -> None:
        """Show whether `catalog` or `store` is away."""
        self._away.labels(part).set(is_away)

    def saved(self, entry: Entry) -> None:
        """See `Observer.saved`."""
        self._saved.inc()
        self._saved_bytes.inc(entry.size_bytes)

    def damaged(self, blob: str) -> None:  # noqa: ARG002  -- never a label
        """See `Observer.damaged`."""
        self._damaged.inc()

    def damage_reported(self, entry: Entry, reason: str) -> None:  # noqa: ARG002  -- never labels
        """See `Observer.damage_reported`."""
        self._reports.inc()

    def read_locally(self, size_bytes: int) -> None:
        """Count a read from the read cache."""
        self._read_cache_hits.inc()
        self._read_cache_bytes.inc(size_bytes)

    def read_from_store(self) -> None:
        """Count a read past the read cache."""
        self._read_cache_misses.inc()

    def evicted_locally(self, count: int) -> None:
        """Count files that the read cache evicted."""
        self._read_cache_evictions.inc(count)

    def damaged_locally(self) -> None:
        """Count a file of the read cache that was wrong."""
        self._read_cache_damages.inc()

    def evicted(self, reason: Reason, count: int) -> None:
        """Count entries that a sweep forgot."""
        self._evicted.labels(reason.value).inc(count)

    def unrecorded(self, count: int) -> None:
        """Count lookups that the records had no room for."""
        self._unrecorded.inc(count)

    def answered(self, route: str, status: int, seconds: float) -> None:
        """Count an answer."""
        requests, times = self._answers.get((route, status)) or self._answers_of(route, status)
        requests.inc()
        times.observe(seconds)

    def transferred(self, direction: str, size_bytes: int) -> None:
        """Count bytes of blobs."""
        self._bytes.labels(direction).inc(size_bytes)

    def in_flight(self, direction: str) -> Gauge:
        """Return the gauge of running transfers in one direction."""
        return self._in_flight.labels(direction)

    def exposition(self) -> bytes:
        """Return all of them in Prometheus' text format; this may read files."""
        return generate_latest(self._shown)

    def _answers_of(self, route: str, status: int) -> tuple[Counter, Histogram]:
        made = self._requests.labels(route, str(status)), self._seconds.labels(route)
        self._answers[route, status] = made
        return made

    def _counter(self, name: str, help_text: str, *labels: str) -> Counter:
        return Counter(f"runcache_{name}", help_text, labels, registry=self._registry)
