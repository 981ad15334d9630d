"""What nearly answered a lookup, and what was in its way: a decision over facts, without effects.

The nearest is what would have answered if one thing were different; of those that are equally
near, what a person can change comes first, and then what happened last.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from runcache.catalog.near import Kept, Neighbourhood, Reserved
from runcache.catalog.reserving import ABANDONED_AFTER_MS
from runcache.insight.explain.likeness import Alike, alike, merely_alike
from runcache.insight.explain.values import Cause, Question
from runcache.model import MatchKind
from runcache.records import Event, EventKind
from runcache.retention import Reason

MAX_CANDIDATES: Final = 10
# How many keys are looked at that match nothing: the nearest ones come first.
MAX_COMPARED: Final = 200
_MAX_ALIKE: Final = 3

# Of the ranks of keys: the key itself, blanks, case, a beginning, that in other case, hash, alike.
_COSTS_OF_KEYS: Final = (0, 1, 1, 1, 2, 3, 4)
_COST_OF_SCOPE: Final = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A lookup: its scopes are those that are searched, in this order."""

    question: Question
    keys: tuple[str, ...]
    versions: tuple[str, ...]
    scopes: tuple[str, ...]
    now_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """Something that nearly answered.

    `causes` are what was in its way, the main one first. `at` is when it was saved, reserved or
    went. One of `kept`, `reserved` and `event` says more.
    """

    alike: Alike
    causes: tuple[Cause, ...]
    scope: str
    key: str
    version: str
    at: int
    kept: Kept | None = None
    reserved: Reserved | None = None
    event: Event | None = None

    @property
    def order(self) -> tuple[float, ...]:
        """Compare by it: the nearest is the least."""
        cost = _COSTS_OF_KEYS[self.alike.rank] + sum(
            _COST_OF_SCOPE if cause is Cause.UNREADABLE_SCOPE else 1
            for cause in self.causes
            if cause is not self.alike.cause
        )
        is_pending = self.reserved is not None or self.causes[0] is Cause.SUSPECT
        return cost, self.alike.rank, -self.alike.similarity, not is_pending, -self.at


def candidates(
    asked: Asked, near: Neighbourhood, removals: Sequence[Event], *, is_answered: bool
) -> tuple[Candidate, ...]:
    """Return what nearly answered, the nearest first.

    If something was found that is not the key itself (`is_answered`), only what stood in the way of
    the key itself is of interest.
    """
    found = sorted(
        (
            *_of_entries(asked, near.entries),
            *_of_reserved(asked, near.reserved),
            *_of_removals(asked, near.entries, removals),
        ),
        key=lambda candidate: candidate.order,
    )
    if is_answered:
        found = [each for each in found if each.alike.kind is MatchKind.EXACT]
    elif any(each.alike.kind is not None for each in found):
        # Keys that are merely alike have to be right in all else to be of interest then.
        found = [each for each in found if each.alike.kind is not None or len(each.causes) == 1]
    return tuple(_thinned(found))


def is_matching(asked: Asked, kept: Kept) -> bool:
    """Say whether an entry answers some step of the lookup."""
    entry = kept.entry
    return (
        not kept.is_suspect
        and entry.scope in asked.scopes
        and entry.version in asked.versions
        and any(entry.key.startswith(key) for key in asked.keys)
    )


def _of_entries(asked: Asked, entries: Iterable[Kept]) -> Iterator[Candidate]:
    compared: dict[str, Alike | None] = {}
    for kept in entries:
        entry, like = kept.entry, alike(asked.keys, kept.entry.key)
        if like is None and (entry.key in compared or len(compared) < MAX_COMPARED):
            if entry.key not in compared:
                compared[entry.key] = merely_alike(asked.keys[0], entry.key)
            like = compared[entry.key]
        if like is None or is_matching(asked, kept):
            continue
        state = Cause.SUSPECT if kept.is_suspect else None
        yield Candidate(
            alike=like,
            causes=_causes(asked, like, entry.scope, entry.version, state),
            scope=entry.scope,
            key=entry.key,
            version=entry.version,
            at=entry.created_at,
            kept=kept,
        )


def _of_reserved(asked: Asked, reserved: Iterable[Reserved]) -> Iterator[Candidate]:
    for each in reserved:
        like = alike(asked.keys, each.key)
        if like is None:
            continue
        is_live = min(each.expires_at, each.active_at + ABANDONED_AFTER_MS) > asked.now_ms
        state = Cause.BEING_SAVED if is_live else Cause.UNFINISHED
        yield Candidate(
            alike=like,
            causes=_causes(asked, like, each.scope, each.version, state),
            scope=each.scope,
            key=each.key,
            version=each.version,
            at=each.created_at,
            reserved=each,
        )


def _of_removals(
    asked: Asked, entries: Iterable[Kept], removals: Iterable[Event]
) -> Iterator[Candidate]:
    # What was saved anew since, or went several times, is told once.
    told = {(kept.entry.scope, kept.entry.key, kept.entry.version) for kept in entries}
    for event in sorted(removals, key=lambda event: event.id, reverse=True):
        like = alike(asked.keys, event.key)
        place = (event.ref, event.key, event.version)
        if like is None or place in told:
            continue
        told.add(place)
        yield Candidate(
            alike=like,
            causes=_causes(asked, like, event.ref, event.version, _removed(event)),
            scope=event.ref,
            key=event.key,
            version=event.version,
            at=event.at,
            event=event,
        )


def _causes(
    asked: Asked, like: Alike, scope: str, version: str, state: Cause | None
) -> tuple[Cause, ...]:
    is_other_version = version not in asked.versions
    is_unreadable = scope not in asked.scopes
    found = (
        state,
        like.cause,
        Cause.UNREADABLE_SCOPE if is_unreadable else None,
        Cause.OTHER_VERSION if is_other_version else None,
    )
    return tuple(cause for cause in found if cause is not None)


def _removed(event: Event) -> Cause:
    if event.kind is EventKind.DELETED:
        return Cause.DELETED
    if event.kind is EventKind.DAMAGED:
        return Cause.DAMAGED
    return Cause.EXPIRED if event.reason == Reason.UNUSED.value else Cause.EVICTED


def _thinned(found: Iterable[Candidate]) -> Iterator[Candidate]:
    """Yield what tells something new: not ten entries with the same cause."""
    told: dict[tuple[object, ...], int] = {}
    left = MAX_CANDIDATES
    for candidate in found:
        about = (candidate.alike.rank, candidate.causes)
        told[about] = told.get(about, 0) + 1
        if told[about] <= _MAX_ALIKE and left:
            left -= 1
            yield candidate
