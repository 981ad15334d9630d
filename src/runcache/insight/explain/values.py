"""A question about a lookup, and its answer: values, which pages, commands and JSON show alike.

Times are milliseconds since 1970 (UTC). Sentences are for people: they begin in upper case, put
literals in backticks and end with a full stop. Programs read the enumerations and facts instead.
"""

from dataclasses import dataclass
from enum import Enum

from runcache.access import Role
from runcache.matching import Outcome
from runcache.model import Entry, MatchKind
from runcache.versions import COMPRESSIONS, SNAPSHOT, cache_version


@dataclass(frozen=True, slots=True, kw_only=True)
class Inputs:
    """What makes a version. Without `compression` it is what runcache's own client looks for.

    That is a snapshot first, then archives; `zstd-without-long` or `gzip` is what `actions/cache`
    looks for. `system` is `Linux`, `macOS` or `Windows`.
    """

    paths: tuple[str, ...]
    compression: str | None = None
    system: str = "Linux"
    cross_os: bool = False

    @property
    def versions(self) -> tuple[str, ...]:
        """The versions that these inputs have, in order of preference."""
        return tuple(
            cache_version(self.paths, compression, self.system, cross_os=self.cross_os)
            for compression in self.compressions
        )

    @property
    def compressions(self) -> tuple[str, ...]:
        """The compressions that will do, in order of preference."""
        return (SNAPSHOT, *COMPRESSIONS) if self.compression is None else (self.compression,)


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """A lookup to be explained: `key` and `restore_keys` as a job on `ref` would look for them.

    What is looked for is of the version of `inputs`, or else of one of `versions`, in this order.
    `base_ref` is what a pull request goes to; it and `default_branch` may be names of branches.
    """

    key: str
    restore_keys: tuple[str, ...] = ()
    inputs: Inputs | None = None
    versions: tuple[str, ...] = ()
    ref: str = "refs/heads/main"
    base_ref: str | None = None
    default_branch: str = "main"

    @property
    def wanted_versions(self) -> tuple[str, ...]:
        """The versions that are looked for, in order of preference."""
        return self.inputs.versions if self.inputs else self.versions


@dataclass(frozen=True, slots=True)
class ReadableScope:
    """A scope that the lookup searches, and why it may be read from the ref."""

    scope: str
    role: Role
    sentence: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StepOutcome:
    """A step of the lookup and what came of it.

    `entry` is what answered.
    """

    scope: str
    role: Role
    key: str
    kind: MatchKind
    is_exact: bool
    outcome: Outcome
    entry: Entry | None
    sentence: str


class Cause(Enum):
    """Why something near was not restored."""

    EVICTED = "evicted"
    EXPIRED = "expired"
    DELETED = "deleted"
    DAMAGED = "damaged"
    SUSPECT = "suspect"
    BEING_SAVED = "being_saved"
    UNFINISHED = "unfinished"
    OTHER_VERSION = "other_version"
    UNREADABLE_SCOPE = "unreadable_scope"
    OTHER_BLANKS = "other_blanks"
    OTHER_CASE = "other_case"
    EMPTY_HASH = "empty_hash"
    OTHER_HASH = "other_hash"
    SIMILAR_KEY = "similar_key"
    NEVER_SAVED = "never_saved"
    NOTHING_SAVED = "nothing_saved"


class Input(Enum):
    """What can differ between two versions."""

    PATHS = "paths"
    COMPRESSION = "compression"
    SYSTEM = "system"


@dataclass(frozen=True, slots=True)
class Difference:
    """An input of the version that was asked for, and what it is of the one that is there.

    `None` is one that is not known.
    """

    input: Input
    asked: str | None
    saved: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class NearMiss:
    """Something that nearly answered, or what is wrong with the question itself.

    Attributes:
        cause: why it did not answer; `also` is what would stand in its way besides.
        kind: how it would have answered otherwise; `None` of keys that are merely alike.
        at: when it was saved, reserved, or went, as the cause has it.
        by: who deleted it, or whose save made it go.
        reason: of an eviction, the value of its `retention.Reason`.
        limit: what the eviction obeyed: bytes, or milliseconds without use.
        differences: in what its version differs; empty where that is not known.
        advice: what to do about it.
    """

    cause: Cause
    also: tuple[Cause, ...] = ()
    kind: MatchKind | None = None
    scope: str | None = None
    key: str | None = None
    version: str | None = None
    entry_id: int | None = None
    size_bytes: int | None = None
    at: int | None = None
    by: str | None = None
    reason: str | None = None
    limit: int | None = None
    differences: tuple[Difference, ...] = ()
    sentence: str
    advice: str | None = None


@dataclass(frozen=True, slots=True)
class Rival:
    """An entry that matches, too, and why another one was restored rather than it."""

    entry: Entry
    sentence: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """What a lookup found, or why it found nothing.

    Attributes:
        repository: `owner/name`.
        asked_at: when the question was answered.
        versions: what was looked for, in order of preference.
        headline: the answer in one sentence.
        scopes: what is searched, in order.
        steps: the lookup step by step.
        answer: the entry that a restore gets, and `kind` how it came to be that.
        rivals: after a hit, the nearest of the entries that match, too.
        nearest: after a miss, or a hit that is not exact, the nearest misses, the best one first.
    """

    repository: str
    asked_at: int
    question: Question
    versions: tuple[str, ...]
    headline: str
    scopes: tuple[ReadableScope, ...]
    steps: tuple[StepOutcome, ...]
    answer: Entry | None = None
    kind: MatchKind | None = None
    rivals: tuple[Rival, ...] = ()
    nearest: tuple[NearMiss, ...] = ()
