"""What is told of catalog and store when one of them goes away or comes back, or is too slow."""

from collections.abc import Callable
from functools import partial

import structlog

from runcache.server.metrics import Metrics
from runcache.service import Lookup, Observer

_log = structlog.get_logger("runcache.engines")


class ToldLookups(Observer):
    """Tells of each lookup that nobody could answer: no entry was missed, and no key is wrong."""

    def gave_up(self, lookup: Lookup, reason: Exception) -> None:
        """See `Observer.gave_up`."""
        error = str(reason) or "catalog and store took too long together"
        _log.warning("lookup.gave_up", repository=lookup.grant.repository, error=error)


def told_of(part: str, metrics: Metrics) -> Callable[[str | None], None]:
    """Return what hears of `catalog` or `store`, to log it and to show it in the metrics."""
    return partial(_changed, part, metrics)


def _changed(part: str, metrics: Metrics, reason: str | None) -> None:
    metrics.engine_away(part, is_away=reason is not None)
    if reason is None:
        _log.info("engine.back", part=part)
    else:
        _log.error("engine.away", part=part, error=reason)
