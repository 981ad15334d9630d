"""Statements that find what is near a lookup: entries and uploads that nearly answer it.

However many entries there are, each reads a bounded number of rows over an index: entries with the
same key or family, those whose keys begin alike or are next in the order of bytes, and the newest.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import ColumnElement, Row, Select, or_, select

from runcache.catalog.connections import Connections
from runcache.catalog.lookup import prefix_end
from runcache.catalog.repositories import Repositories
from runcache.catalog.tables import ENTRIES, UPLOADS
from runcache.model import Entry
from runcache.records import family_of

# How many rows a question reads at the most, and how many it finds among them.
WINDOW: Final = 1000
FOUND: Final = 100
AROUND: Final = 25


@dataclass(frozen=True, slots=True)
class Kept:
    """An entry, and whether it is a miss until its bytes are verified."""

    entry: Entry
    is_suspect: bool


@dataclass(frozen=True, slots=True)
class Reserved:
    """A key that was reserved and is not saved. `active_at` is when its job was last heard of."""

    scope: str
    key: str
    version: str
    created_at: int
    active_at: int
    expires_at: int


@dataclass(frozen=True, slots=True)
class Neighbourhood:
    """What is near a lookup, each entry once; no entry if there is none at all."""

    entries: tuple[Kept, ...] = ()
    reserved: tuple[Reserved, ...] = ()


class Near:
    """Finds what is near a lookup in its repository."""

    def __init__(self, connections: Connections, repositories: Repositories) -> None:
        self._connections = connections
        self._repositories = repositories

    async def of(
        self,
        repository: str,
        keys: Sequence[str],
        spellings: Sequence[str],
        scopes: Sequence[str],
        *,
        only_scopes: bool,
    ) -> Neighbourhood:
        """Return what is near `keys`, which begin with the key itself.

        `spellings` are other ways to write that one. Entries of `scopes` are looked at first; with
        `only_scopes` no others are.
        """
        repository_id = await self._connections.read(
            lambda c: self._repositories.id_of(c, repository)
        )
        if repository_id is None:
            return Neighbourhood()
        questions = Questions(repository_id, keys, spellings, scopes)
        found: dict[int, Kept] = {}
        # One by one, so that lookups need not wait for all of them.
        for statement in questions.all(only_scopes=only_scopes):
            kept = await self._connections.read(
                lambda c, asked=statement: [_kept(row, repository) for row in c.execute(asked)]  # type: ignore[misc]
            )
            for each in kept:
                found.setdefault(each.entry.id, each)
        statement = questions.reserved(only_scopes=only_scopes)
        reserved = await self._connections.read(
            lambda c: [Reserved(*row) for row in c.execute(statement)]
        )
        return Neighbourhood(tuple(found.values()), tuple(reserved))


class Questions:
    """The statements about one lookup."""

    def __init__(
        self,
        repository_id: int,
        keys: Sequence[str],
        spellings: Sequence[str],
        scopes: Sequence[str],
    ) -> None:
        self._repository_id = repository_id
        self._keys = keys
        self._spellings = (keys[0], *spellings)
        self._scopes = scopes

    def all(self, *, only_scopes: bool) -> Iterator[Select[Any]]:
        """Yield those about entries, first of all in the scopes of the lookup."""
        for is_in_scopes in (True,) if only_scopes else (True, False):
            for key in self._spellings:
                yield self._first(ENTRIES.c.key == key, is_in_scopes=is_in_scopes)
            for key in self._keys:
                condition = _begins_with(ENTRIES.c.key, key)
                yield self._first(condition, ENTRIES.c.key, is_in_scopes=is_in_scopes)
            family = ENTRIES.c.family == family_of(self._keys[0])
            yield self._first(family, ENTRIES.c.created_at.desc(), is_in_scopes=is_in_scopes)
        for scope in self._scopes:
            newest = ENTRIES.c.created_at.desc()
            yield self._first(ENTRIES.c.scope == scope, newest, is_in_scopes=False)
        for key in self._spellings:
            for condition, order in (
                (ENTRIES.c.key < key, ENTRIES.c.key.desc()),
                (ENTRIES.c.key > key, ENTRIES.c.key),
            ):
                yield self._first(condition, order, is_in_scopes=only_scopes, limit=AROUND)

    def reserved(self, *, only_scopes: bool) -> Select[Any]:
        """Return the one about uploads, of which there are never many."""
        columns = ("scope", "key", "version", "created_at", "active_at", "expires_at")
        return (
            select(*(UPLOADS.c[name] for name in columns))
            .where(
                UPLOADS.c.repository_id == self._repository_id,
                or_(*(_begins_with(UPLOADS.c.key, key) for key in self._keys)),
                *([UPLOADS.c.scope.in_(self._scopes)] if only_scopes else []),
            )
            .order_by(UPLOADS.c.created_at.desc())
            .limit(FOUND)
        )

    def _first(
        self,
        condition: ColumnElement[bool],
        *order: ColumnElement[Any],
        is_in_scopes: bool,
        limit: int = FOUND,
    ) -> Select[Any]:
        """Return the first of those entries, or those of them that are in the scopes."""
        looked_at = (
            select(ENTRIES.c.id)
            .where(ENTRIES.c.repository_id == self._repository_id, condition)
            .order_by(*order)
            .limit(WINDOW if is_in_scopes else limit)
        )
        found = select(ENTRIES).where(ENTRIES.c.id.in_(looked_at))
        return (
            found.where(ENTRIES.c.scope.in_(self._scopes)).limit(limit) if is_in_scopes else found
        )


def _begins_with(column: ColumnElement[str], prefix: str) -> ColumnElement[bool]:
    end = prefix_end(prefix)
    return column >= prefix if end is None else (column >= prefix) & (column < end)


def _kept(row: Row[Any], repository: str) -> Kept:
    entry = Entry(
        row.id,
        repository,
        row.scope,
        row.key,
        row.version,
        row.size_bytes,
        row.created_at,
        row.last_accessed_at,
        row.is_snapshot,
    )
    return Kept(entry, row.is_suspect)
