"""Which entries a policy would forget: a plan, without effects.

The rules are the hosted service's (reference of dependency caching, "Usage limits and eviction
policy"): entries that nobody used for a week go, and while a repository holds more than its limit,
the entry that was used longest ago goes first. An entry that alone exceeds the limit can never fit:
it goes before all others, so that it takes none of them along.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta
from enum import Enum


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How long entries live, how much of them is kept, and for how long their links work."""

    repo_limit_bytes: int = 10 * 1000**3
    total_limit_bytes: int | None = None
    min_free_bytes: int = 512 * 1024**2
    unused_for: timedelta = timedelta(days=7)
    link_ttl: timedelta = timedelta(hours=1)


class Reason(Enum):
    """Why an entry was forgotten."""

    UNUSED = "unused_for"
    OVERSIZED = "oversized"
    REPO_LIMIT = "repo_limit"
    TOTAL_LIMIT = "total_limit"
    MIN_FREE = "min_free"


@dataclass(frozen=True, slots=True)
class BlobUse:
    """A blob of an entry, and how many entries hold it."""

    blob_id: int
    size_bytes: int
    references: int


@dataclass(frozen=True, slots=True)
class EntryUse:
    """What retention must know of an entry. Times are milliseconds since 1970."""

    entry_id: int
    size_bytes: int
    last_accessed_at: int
    blobs: tuple[BlobUse, ...]


@dataclass(frozen=True, slots=True)
class Forgotten:
    """An entry that goes, why, and the bytes that nothing else refers to afterwards."""

    entry_id: int
    reason: Reason
    freed_bytes: int


class References:
    """Counts how many entries still hold each blob while a plan drops entries."""

    def __init__(self) -> None:
        self._left: dict[int, int] = {}

    def drop(self, entry: EntryUse) -> int:
        """Drop `entry`, and return the bytes that nothing refers to any more."""
        freed_bytes = 0
        for blob in entry.blobs:
            left = self._left.get(blob.blob_id, blob.references) - 1
            self._left[blob.blob_id] = left
            if left == 0:
                freed_bytes += blob.size_bytes
        return freed_bytes


def unused_before(now_ms: int, unused_for: timedelta) -> int:
    """Return the time, in ms, before which an access does not keep an entry any more."""
    return now_ms - unused_for // timedelta(milliseconds=1)


def unused(
    entries: Iterable[EntryUse], *, before_ms: int, references: References
) -> list[Forgotten]:
    """Name the entries whose last access lies before `before_ms`."""
    return [
        Forgotten(entry.entry_id, Reason.UNUSED, references.drop(entry))
        for entry in entries
        if entry.last_accessed_at < before_ms
    ]


def over_limit(
    entries: Iterable[EntryUse],
    *,
    excess_bytes: int,
    reason: Reason,
    references: References,
    oversized_bytes: int | None = None,
) -> list[Forgotten]:
    """Name the entries that must go until `excess_bytes` are freed, least recently used first.

    Entries larger than `oversized_bytes` go first. `entries` may be a page of all, as long as it
    holds the first in that order.
    """

    def order(entry: EntryUse) -> tuple[bool, int, int]:
        return not is_oversized(entry), entry.last_accessed_at, entry.entry_id

    def is_oversized(entry: EntryUse) -> bool:
        return oversized_bytes is not None and entry.size_bytes > oversized_bytes

    plan: list[Forgotten] = []
    for entry in sorted(entries, key=order):
        if excess_bytes <= 0:
            break
        freed_bytes = references.drop(entry)
        excess_bytes -= freed_bytes
        why = Reason.OVERSIZED if is_oversized(entry) else reason
        plan.append(Forgotten(entry.entry_id, why, freed_bytes))
    return plan
