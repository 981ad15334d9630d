"""What is remembered of what happened to entries: events, who saved what, and sums of both.

Times are milliseconds since 1970 (UTC), sizes are bytes.
"""

import re
from dataclasses import dataclass
from datetime import date
from enum import Enum
from functools import lru_cache
from typing import Final, NamedTuple


class EventKind(Enum):
    """What happened."""

    HIT = "hit"
    MISS = "miss"
    SAVED = "saved"
    RESTORED = "restored"  # the first blob of an entry was downloaded from its beginning
    EVICTED = "evicted"
    DELETED = "deleted"
    DAMAGED = "damaged"


LOOKUPS: Final = (EventKind.HIT, EventKind.MISS, EventKind.RESTORED)
"""What jobs do thousands of times, and may be lost in a crash; the other kinds are changes."""

CHANGES: Final = tuple(kind for kind in EventKind if kind not in LOOKUPS)

REMOVALS: Final = (EventKind.EVICTED, EventKind.DELETED, EventKind.DAMAGED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """What happened once, to an entry or to a lookup.

    Attributes:
        ref: the scope of the entry; of a miss the ref of the job.
        version: of a miss the one that was asked for first.
        reason: of a hit the value of its `MatchKind`, of an eviction its `retention.Reason`.
        limit: what an eviction obeyed: bytes, or for `unused_for` milliseconds.
        by: whose doing it was: `job …`, `token …`, `entry …` for an eviction that the save of that
            entry caused; `None` if nobody's.
        restore_keys: what a lookup asked for besides `key`, in order. For a hit that is not exact
            the key that was asked for is the first of them.
    """

    id: int
    at: int
    kind: EventKind
    repository: str
    ref: str
    key: str
    version: str
    entry_id: int | None = None
    size_bytes: int | None = None
    reason: str | None = None
    limit: int | None = None
    by: str | None = None
    restore_keys: tuple[str, ...] = ()

    @property
    def family(self) -> str:
        """The family of the key."""
        return family_of(self.key)


class NewLookup(NamedTuple):
    """An event of a lookup that is not written down yet: the fields of `Event` as they are kept.

    `kind` is a value of `EventKind`, and `restore_keys` have commas between them: no key has one.
    """

    at: int
    kind: str
    repository: str
    ref: str
    key: str
    version: str
    entry_id: int | None
    size_bytes: int | None
    reason: str | None
    limit: None
    by: str
    restore_keys: str | None


@dataclass(frozen=True, slots=True)
class Removal:
    """Why entries go: the fields of their `Event`s."""

    kind: EventKind
    reason: str | None = None
    limit: int | None = None
    by: str | None = None


DELETED: Final = Removal(EventKind.DELETED)
DAMAGED: Final = Removal(EventKind.DAMAGED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """Who saved an entry, and what made its version as far as the client said so.

    Attributes:
        ref: the job's.
        event: what started the job, `push` for example.
        run: the run of the workflow.
        paths: what the client was asked to save, one pattern each.
        compression: `zstd-without-long`, `gzip`, or what stands there in a snapshot's version.
        system: `Linux`, `macOS` or `Windows`.
        cross_os: whether the entry is for all systems.
        format: `snapshot` or `archive`.
    """

    ref: str
    event: str | None
    run: str | None
    paths: tuple[str, ...] | None
    compression: str | None
    system: str | None
    cross_os: bool | None
    format: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Day:
    """What happened within a day (UTC)."""

    date: date
    hits: int = 0
    misses: int = 0
    restored: int = 0
    saved_bytes: int = 0
    evicted_bytes: int = 0
    deleted_bytes: int = 0


@dataclass(frozen=True, slots=True)
class HitRate:
    """How many lookups found something, and how many did not."""

    hits: int
    misses: int

    @property
    def share(self) -> float | None:
        """The share of hits, from 0 to 1; `None` if nothing was looked up."""
        total = self.hits + self.misses
        return self.hits / total if total else None


@dataclass(frozen=True, slots=True)
class FamilyRate:
    """The lookups whose key is of one family."""

    family: str
    hits: int
    misses: int


@lru_cache(maxsize=1024)
def job_name(ref: str, event: str | None, run: str | None) -> str:
    """Return what a job is called in `Event.by`: `job refs/heads/main, push, run 17`."""
    known = (ref, event, run and f"run {run}")
    return f"job {', '.join(filter(None, known))}"


def entry_name(entry_id: int) -> str:
    """Return what an entry is called in `Event.by`: `entry 17`."""
    return f"entry {entry_id}"


HASH: Final = "<hash>"
VERSION: Final = "<version>"
DATE: Final = "<date>"
NUMBER: Final = "<number>"

_SHORTEST_HASH: Final = 7  # of a commit, as Git abbreviates it
_SHORTEST_DIGEST: Final = 20
_SHORTEST_RANDOM_WORD: Final = 10
_SHORTEST_NUMBER: Final = 3
# What an abbreviated commit may look like, and hardly any run or time.
_DIGITS_OF_A_HASH: Final = (7, 8)
_MEAN_RUN: Final = 2.6

# What `hashFiles` makes, and Git.
_USUAL: Final = re.compile(r"(?<![0-9a-f])(?:[0-9a-f]{24})?[0-9a-f]{40}(?![0-9a-f])", re.ASCII)
# The same where nothing parts it from the word before, and others.
_HEX_DIGESTS: Final = re.compile(r"[0-9a-f]{32,}", re.ASCII)
_DIGEST_LENGTHS: Final = (128, 96, 64, 40, 32)

_WHOLE: Final = re.compile(
    r"""
    (?P<hash>
        (?<![A-Za-z0-9+/]) [A-Za-z0-9+/]{20,} ={1,2}  # base64
        | (?<![0-9A-Za-z]) [0-9a-f]{8} (?: -[0-9a-f]{4} ){3} -[0-9a-f]{12} (?![0-9A-Za-z])  # UUID
    )
    | (?P<date>
        (?<![0-9A-Za-z]) (?: 19 | 20 ) \d\d
        (?: -?W\d\d (?: -\d )? | -\d\d (?: -\d\d )? | [01]\d [0-3]\d )
        (?: [T_-]? \d\d (?: [:-]? \d\d ){1,2} (?: Z | [+-]\d\d:?\d\d )? )?
        (?![0-9A-Za-z])
    )
    """,
    re.VERBOSE | re.ASCII | re.IGNORECASE,
)
_VERSION: Final = re.compile(
    r"""
    (?: (?<![0-9A-Za-z]) v )? (?<![0-9.]) \d+ (?: \. (?: \d+ | x | \* ) )+
    (?: [-.]? (?: alpha | beta | rc | pre | dev | post | nightly | snapshot ) \.? \d*
        | [ab]\d+ | \+ [0-9A-Za-z.]+ )*
    """,
    re.VERBOSE | re.ASCII | re.IGNORECASE,
)
_WORD: Final = re.compile(
    r"(?<![0-9A-Za-z])(?:[A-Za-z]*+[0-9][0-9A-Za-z]*|[a-f]{16,}(?![0-9A-Za-z]))", re.ASCII
)
_HEX: Final = re.compile(r"g?([0-9a-f]+|[0-9A-F]+)", re.ASCII)
_RUNS: Final = re.compile(r"[0-9]+|[A-Za-z]+", re.ASCII)


def family_of(key: str) -> str:
    """Return what keys have in common that differ in hashes, versions, dates and runs only.

    `Linux-npm-3f2a91c` is of the family `Linux-npm-<hash>`. Numbers below 100 stay: they tell Node
    20 from Node 22, and one part of a matrix from another.
    """
    # Without it a key is hardly ever a new one, and what is remembered takes no time.
    return _folded(_USUAL.sub(HASH, key))


def _folded_digest(found: re.Match[str]) -> str:
    before = len(found[0]) - next(length for length in _DIGEST_LENGTHS if length <= len(found[0]))
    return found[0][:before] + HASH


@lru_cache(maxsize=4096)
def _folded(key: str) -> str:
    folded = _HEX_DIGESTS.sub(_folded_digest, key)
    folded = _WHOLE.sub(lambda found: f"<{found.lastgroup}>", folded)
    return _WORD.sub(_folded_word, _VERSION.sub(VERSION, folded))


def _folded_word(found: re.Match[str]) -> str:
    word = found[0]
    if not word.isdigit():
        return HASH if _is_random(word) else word
    if len(word) in _DIGITS_OF_A_HASH:
        return HASH
    return NUMBER if len(word) >= _SHORTEST_NUMBER else word


def _is_random(word: str) -> bool:
    """Say whether a word of letters and digits looks like a digest in base 16, 32 or 36."""
    length = len(word)
    if _HEX.fullmatch(word):
        return length >= _SHORTEST_HASH
    if length >= _SHORTEST_DIGEST:
        return sum(map(str.isdigit, word)) > 1
    return length >= _SHORTEST_RANDOM_WORD and length <= _MEAN_RUN * len(_RUNS.findall(word))


OTHERS: Final = "<others>"
_FAMILIES_A_DAY: Final = 500
_DAYS_KNOWN: Final = 1_000


class Families:
    """The families of keys that are looked up, of which a repository has 500 a day.

    Further ones count as one: whoever makes keys up shall not fill the catalog with sums.
    """

    def __init__(self) -> None:
        self._known: dict[tuple[int, int], set[str]] = {}

    def of(self, repository_id: int, day: int, key: str) -> str:
        """Return the family of a key that is looked up on a day (counted since 1970)."""
        family = family_of(key)
        known = self._known.get((repository_id, day))
        if known is None:
            if len(self._known) >= _DAYS_KNOWN:
                self._known.clear()
            known = self._known[repository_id, day] = set()
        if family not in known:
            if len(known) >= _FAMILIES_A_DAY:
                return OTHERS
            known.add(family)
        return family
