"""Which entries a policy would forget: a plan, without effects.

The rules are the hosted service's (reference of dependency caching, "Usage limits and eviction
policy"): entries that nobody used for a week go, and while a repository holds more than its limit,
the entry that was used longest ago goes first. An entry that alone exceeds the limit can never fit:
it goes before all others, so that it takes none of them along.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from enum import Enum
from typing import Final, TypeVar

from runcache.errors import InvalidLimit
from runcache.model import Entry

_Comparable = TypeVar("_Comparable", int, timedelta)


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How long entries live, how much of them is kept, and for how long their links work."""

    repo_limit_bytes: int = 10 * 1000**3
    total_limit_bytes: int | None = None
    min_free_bytes: int = 512 * 1024**2
    unused_for: timedelta = timedelta(days=7)
    link_ttl: timedelta = timedelta(hours=1)

    def of_each_repository(self) -> "LimitValues":
        """Return what owners and repositories inherit."""
        return LimitValues(min(self.repo_limit_bytes, MAX_LIMIT_BYTES), self.unused_for)


MAX_LIMIT_BYTES: Final = 2**63 - 1


@dataclass(frozen=True, slots=True)
class LimitValues:
    """How many bytes each repository keeps, and how long unused entries live.

    `None` says nothing: what is inherited counts.

    Raises:
        InvalidLimit: it is less than nothing, or more than can be counted.
    """

    size_bytes: int | None = None
    unused_for: timedelta | None = None

    def __post_init__(self) -> None:
        if self.size_bytes is not None and not 0 <= self.size_bytes <= MAX_LIMIT_BYTES:
            raise InvalidLimit(f"`{self.size_bytes}` bytes are not 0 to {MAX_LIMIT_BYTES}")
        if self.unused_for is not None and self.unused_for < timedelta(0):
            raise InvalidLimit("the time without an access is less than none")

    def lowered_by(self, other: "LimitValues") -> "LimitValues":
        """Return the lower of both, each for itself: nobody can allow more than was inherited."""
        return LimitValues(
            _lowest(self.size_bytes, other.size_bytes), _lowest(self.unused_for, other.unused_for)
        )


@dataclass(frozen=True, slots=True)
class EffectiveLimits:
    """What is set for a repository or an owner, what it inherits, and what counts.

    `own` is `None` if nothing is set. `inherited` and `effective` have both values.
    """

    own: LimitValues | None
    inherited: LimitValues
    effective: LimitValues


class Cascade:
    """The limits of a server, of owners and of repositories, of which the lowest counts.

    `set_limits` are by subject: `owner/name` for a repository, `owner` for each of its
    repositories.
    """

    def __init__(self, server: LimitValues, set_limits: Mapping[str, LimitValues]) -> None:
        self._server = server
        self._set = set_limits

    def of(self, subject: str) -> EffectiveLimits:
        """Return the limits of `owner/name`, of `owner`, or of the server itself (empty)."""
        owner, _, name = subject.partition("/")
        inherited = self._server
        if name and owner in self._set:
            inherited = inherited.lowered_by(self._set[owner])
        own = self._set.get(subject) if subject else None
        return EffectiveLimits(own, inherited, inherited.lowered_by(own or LimitValues()))

    def size_bytes_of(self, repository: str) -> int:
        """Return how many bytes a repository may keep."""
        found = self.of(repository).effective.size_bytes
        return MAX_LIMIT_BYTES if found is None else found

    def unused_for_of(self, repository: str) -> timedelta:
        """Return how long unused entries of a repository live."""
        found = self.of(repository).effective.unused_for
        return timedelta.max if found is None else found

    @property
    def least_size_bytes(self) -> int:
        """The least that any repository may be limited to."""
        every = [self._server, *self._set.values()]
        return min(
            (values.size_bytes for values in every if values.size_bytes is not None),
            default=MAX_LIMIT_BYTES,
        )

    def with_shorter_lives(self) -> list[str]:
        """Name the subjects for which entries live shorter than the server lets them."""
        return [
            subject
            for subject, values in self._set.items()
            if values.unused_for is not None
            and (self._server.unused_for is None or values.unused_for < self._server.unused_for)
        ]

    def replaced(self, subject: str, values: LimitValues) -> "Cascade":
        """Return the cascade in which `values` are set for `subject`."""
        return Cascade(self._server, {**self._set, subject: values})


@dataclass(frozen=True, slots=True)
class EvictionPreview:
    """What limits would forget if they were set now: `entries` are the first 100 to go."""

    entry_count: int
    size_bytes: int
    entries: tuple[Entry, ...]


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
            left = self._left.pop(blob.blob_id, blob.references) - 1
            if left == 0:
                freed_bytes += blob.size_bytes
            else:
                self._left[blob.blob_id] = left
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


def _lowest(one: _Comparable | None, other: _Comparable | None) -> _Comparable | None:
    given = [value for value in (one, other) if value is not None]
    return min(given) if given else None
