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
from prometheus_client.process_collector import ProcessCollector

from runcache.model import Entry, Hit, MatchKind
from runcache.retention import Reason
from runcache.service import Lookup, Observer

MISS: Final = "miss"
_SECONDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1, 5, 30, 300)


class Metrics(Observer):
    """Counts what the service does and what the handlers answer, from the start of the process."""

    def __init__(self) -> None:
        # Their creation times would double the output, and say what the process's start says.
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self._registry = CollectorRegistry()
        ProcessCollector(registry=self._registry)
        lookups = self._counter("lookups", "lookups by what they found", "result")
        self._missed = lookups.labels(MISS)
        self._found = {kind: lookups.labels(kind.value) for kind in MatchKind}
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
        )

    def found(self, lookup: Lookup, hit: Hit) -> None:  # noqa: ARG002  -- never a label
        """See `Observer.found`."""
        self._found[hit.kind].inc()

    def missed(self, lookup: Lookup) -> None:  # noqa: ARG002  -- never a label
        """See `Observer.missed`."""
        self._missed.inc()

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
        """Return all of them in Prometheus' text format."""
        return generate_latest(self._registry)

    def _answers_of(self, route: str, status: int) -> tuple[Counter, Histogram]:
        made = self._requests.labels(route, str(status)), self._seconds.labels(route)
        self._answers[route, status] = made
        return made

    def _counter(self, name: str, help_text: str, *labels: str) -> Counter:
        return Counter(f"runcache_{name}", help_text, labels, registry=self._registry)
