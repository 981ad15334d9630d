"""The one statement that answers a lookup.

Each step of the walk, with each version that is asked for, is a scalar subquery, and the first that
finds an entry ends the walk. For SQLite they are written out, and `coalesce` evaluates them in
order. PostgreSQL would plan anew for each shape of a walk, which takes longer than the walk: there
a recursion goes from step to step of any walk, and it is planned once.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final, TypeVar

from sqlalchemy import (
    ARRAY,
    BigInteger,
    Boolean,
    ColumnElement,
    Connection,
    FromClause,
    Integer,
    ScalarSelect,
    Select,
    Text,
    bindparam,
    case,
    cast,
    exists,
    func,
    literal_column,
    null,
    select,
)
from sqlalchemy.sql.elements import Grouping
from sqlalchemy.types import TypeEngine

from runcache.catalog.prepared import Prepared
from runcache.catalog.tables import BLOBS, ENTRIES, ENTRY_BLOBS, REPOSITORIES
from runcache.matching import Step

T = TypeVar("T")

# A prefix that matches thousands almost always matches one of the newest: reading these first keeps
# its p99 at a million entries at 0.25 ms instead of 2.2 ms, which sorting the whole range takes.
NEWEST_FIRST: Final = 64

# What a lookup reads: the fields of an `Entry` in their order, then those of its first blob.
ANSWER: Final = (
    ENTRIES.c.id,
    REPOSITORIES.c.name,
    ENTRIES.c.scope,
    ENTRIES.c.key,
    ENTRIES.c.version,
    ENTRIES.c.size_bytes,
    ENTRIES.c.created_at,
    ENTRIES.c.last_accessed_at,
    ENTRIES.c.is_snapshot,
    BLOBS.c.id,
    BLOBS.c.name,
    BLOBS.c.size_bytes,
)

_GROUP: Final = 100
# Written out, since who plans without the parameters must know them.
_NOTHING: Final = literal_column("0", Integer)
_ONE: Final = literal_column("1", Integer)
# Greater than every key, which has at most 256 such characters.
_BEHIND_ALL_KEYS: Final = chr(0x10FFFF) * 257
_LAST_CODE_POINT: Final = 0x10FFFF
_BEFORE_SURROGATES: Final = 0xD7FF
_AFTER_SURROGATES: Final = 0xE000


def prefix_end(prefix: str) -> str | None:
    """Return the least text that is greater than all that begin with `prefix`.

    `None` means that there is none. Text is ordered by its UTF-8 bytes, which is the order of code
    points.
    """
    for position in range(len(prefix) - 1, -1, -1):
        code_point = ord(prefix[position])
        if code_point < _LAST_CODE_POINT:
            following = _AFTER_SURROGATES if code_point == _BEFORE_SURROGATES else code_point + 1
            return prefix[:position] + chr(following)
    return None


def entries_with_blob() -> Select[Any]:
    """Select entries with the columns that `entry_of` reads, and their first blob."""
    return select(
        ENTRIES,
        REPOSITORIES.c.name.label("repository"),
        BLOBS.c.name.label("blob"),
        BLOBS.c.size_bytes.label("blob_bytes"),
    ).select_from(
        ENTRIES.join(REPOSITORIES, REPOSITORIES.c.id == ENTRIES.c.repository_id)
        .join(
            ENTRY_BLOBS,
            (ENTRY_BLOBS.c.entry_id == ENTRIES.c.id) & (ENTRY_BLOBS.c.position == 0),
        )
        .join(BLOBS, BLOBS.c.id == ENTRY_BLOBS.c.blob_id)
    )


def find_row(
    connection: Connection,
    repository_id: int,
    steps: Sequence[Step],
    versions: Sequence[str],
) -> tuple[Any, ...] | None:
    """Return the columns of `ANSWER` of the entry that answers a walk, or `None`.

    Each step asks for all `versions`, in this order, before the next one asks.
    """
    is_shared = connection.dialect.name == "postgresql"
    statement, parameters = (walked if is_shared else written_out)(steps, versions)
    rows = statement.rows(connection, {**parameters, "repository": repository_id})
    return rows[0] if rows else None


def written_out(
    steps: Sequence[Step], versions: Sequence[str]
) -> tuple[Prepared, Mapping[str, Any]]:
    """Return the statement for walks of this shape, and its parameters but `repository`."""
    shape: list[tuple[bool, bool]] = []
    parameters = {f"version_{number}": version for number, version in enumerate(versions)}
    for number, step in enumerate(steps):
        end = None if step.is_exact else prefix_end(step.key)
        shape.append((step.is_exact, end is not None))
        parameters[f"scope_{number}"] = step.scope
        parameters[f"key_{number}"] = step.key
        if end is not None:
            parameters[f"end_{number}"] = end
    return _of_shape(tuple(shape), len(versions)), parameters


def walked(steps: Sequence[Step], versions: Sequence[str]) -> tuple[Prepared, Mapping[str, Any]]:
    """Return the statement for any walk, and the parameters of this one but `repository`."""
    questions = [(step, version) for step in steps for version in versions]
    return _WALKED, {
        "count": len(questions),
        "scopes": [step.scope for step, _ in questions],
        "versions": [version for _, version in questions],
        "keys": [step.key for step, _ in questions],
        "ends": [prefix_end(step.key) or _BEHIND_ALL_KEYS for step, _ in questions],
        "are_exact": [step.is_exact for step, _ in questions],
    }


@dataclass(frozen=True, slots=True)
class _Question:
    """What a step asks for; `end` is that of the keys with its prefix, `around` what it is in."""

    scope: ColumnElement[str]
    version: ColumnElement[str]
    key: ColumnElement[str]
    end: ColumnElement[str] | None
    around: FromClause | None = None

    def exact(self) -> ColumnElement[int | None]:
        # PostgreSQL takes equal keys for rare, and looks for them in all scopes: thousands of pull
        # requests may have saved the same one. Of ranges it thinks otherwise.
        is_same = (
            ENTRIES.c.key == self.key
            if self.around is None
            else ENTRIES.c.key.between(self.key, self.key)
        )
        question: ScalarSelect[int | None] = (
            select(ENTRIES.c.id)
            .where(self._in_scope(), is_same)
            .correlate(self.around)
            .scalar_subquery()
        )
        return question

    def newest_with_prefix(self) -> ColumnElement[int | None]:
        matches = self._in_scope() & self._has_prefix(ENTRIES.c.key)
        newest = (
            select(ENTRIES.c.id, ENTRIES.c.key, ENTRIES.c.created_at)
            .where(self._in_scope())
            .order_by(ENTRIES.c.created_at.desc(), ENTRIES.c.id.desc())
            .limit(literal_column(str(NEWEST_FIRST)))
            .correlate(self.around)
            .subquery()
        )
        among_newest = (
            select(newest.c.id)
            .where(self._has_prefix(newest.c.key))
            .order_by(newest.c.created_at.desc(), newest.c.id.desc())
            .limit(_ONE)
            .correlate(self.around)
            .scalar_subquery()
        )
        in_range = (
            select(ENTRIES.c.id)
            .where(matches)
            # The sum keeps the engine from walking the whole scope in order of age.
            .order_by((ENTRIES.c.created_at + _NOTHING).desc(), ENTRIES.c.id.desc())
            .limit(_ONE)
            .correlate(self.around)
            .scalar_subquery()
        )
        any_match = exists(select(ENTRIES.c.id).where(matches).correlate(self.around))
        # Most steps of a miss match nothing, which one probe of the index tells.
        return case((any_match, func.coalesce(among_newest, in_range)), else_=None)

    def _in_scope(self) -> ColumnElement[bool]:
        return (
            (ENTRIES.c.repository_id == bindparam("repository"))
            & (ENTRIES.c.scope == self.scope)
            & (ENTRIES.c.version == self.version)
            & ENTRIES.c.is_suspect.is_(False)
        )

    def _has_prefix(self, key: ColumnElement[str]) -> ColumnElement[bool]:
        condition = key >= self.key
        return condition if self.end is None else condition & (key < self.end)


@lru_cache(maxsize=256)
def _of_shape(shape: tuple[tuple[bool, bool], ...], versions: int) -> Prepared:
    answers: list[ColumnElement[int | None]] = []
    for number, (is_exact, has_end) in enumerate(shape):
        for version in range(versions):
            question = _Question(
                bindparam(f"scope_{number}"),
                bindparam(f"version_{version}"),
                bindparam(f"key_{number}"),
                bindparam(f"end_{number}") if has_end else None,
            )
            answers.append(question.exact() if is_exact else question.newest_with_prefix())
    # In groups, since SQLite's functions take at most 127 arguments.
    groups = [
        func.coalesce(*answers[start : start + _GROUP], None)
        for start in range(0, len(answers), _GROUP)
    ]
    found = entries_with_blob().where(ENTRIES.c.id == func.coalesce(*groups, None))
    return Prepared(found.with_only_columns(*ANSWER))


def _of_any_shape() -> Prepared:
    begin = select(_NOTHING.label("step"), cast(null(), BigInteger).label("id"))
    walk = begin.cte("walk", recursive=True)
    step = walk.c.step + _ONE

    def asked(name: str, kind: TypeEngine[T]) -> ColumnElement[T]:
        # In parentheses, since the driver's placeholders end with their type.
        found: ColumnElement[T] = Grouping(bindparam(name, type_=ARRAY(kind)))[step]
        return found

    question = _Question(
        asked("scopes", Text()),
        asked("versions", Text()),
        asked("keys", Text()),
        asked("ends", Text()),
        around=walk,
    )
    is_exact = asked("are_exact", Boolean())
    answer = case((is_exact, question.exact()), else_=question.newest_with_prefix())
    walk = walk.union_all(
        select(step, answer).where(walk.c.id.is_(None), walk.c.step < bindparam("count"))
    )
    found = entries_with_blob().join(walk, walk.c.id == ENTRIES.c.id)
    return Prepared(found.with_only_columns(*ANSWER))


_WALKED: Final = _of_any_shape()
