"""How the entries of a list are found: which of the indexes is read, and how many there are.

A list is found in one of two ways, so that a page of a million entries takes about as long as one
of ten thousand:

* an index that has the order is read from where the page begins: that of all entries, of a ref's,
  or of each family's that may fit; and what else was asked for is looked at on the way;
* if few entries of such an index fit, they are read by another one and sorted.

How many fit is summed up from the tallies, except for keys and prefixes that reach into what
families fold: these are counted over the index of keys.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import (
    ColumnElement,
    Connection,
    Select,
    bindparam,
    func,
    select,
    tuple_,
    union_all,
)

from runcache.catalog.lookup import prefix_end
from runcache.catalog.prepared import Prepared
from runcache.catalog.tables import ENTRIES, REPOSITORIES, TALLIES
from runcache.listing import Order, Position, Selection, SortBy
from runcache.records import family_of

# How many families are read side by side.
FAMILIES_AT_ONCE: Final = 32

# If one of so many entries of a ref fits, its families are not looked at.
_DENSE: Final = 2
# Families are called as their keys are up to the first of these (see `records.family_of`).
_FOLDED: Final = "<"
_BEHIND_FOLDED: Final = chr(ord(_FOLDED) + 1)
_COLUMNS: Final = {
    SortBy.CREATED: ENTRIES.c.created_at,
    SortBy.LAST_ACCESSED: ENTRIES.c.last_accessed_at,
    SortBy.SIZE: ENTRIES.c.size_bytes,
}
_NEXT_FAMILY: Final = Prepared(
    select(func.min(TALLIES.c.family)).where(
        TALLIES.c.repository_id == bindparam("repository"),
        TALLIES.c.family >= bindparam("begin"),
        TALLIES.c.family > bindparam("after"),
        TALLIES.c.family < bindparam("end"),
    )
)


@dataclass(frozen=True, slots=True)
class _Families:
    """The families whose keys may fit a selection: `None` if they are all, or too many to name.

    With `are_whole` all keys of these families begin as asked for.
    """

    names: tuple[str, ...] | None
    are_whole: bool


@dataclass(frozen=True, slots=True)
class _Index:
    """Entries that an index has in order: all, those of a ref, or of each of some families.

    `entry_count` is how many there are. With `has_prefix` their keys begin as asked for.
    """

    groups: tuple[ColumnElement[bool], ...]
    entry_count: int
    are_families: bool = False
    has_prefix: bool = False


class Selected:
    """The entries of a repository that fit a selection, within one transaction."""

    def __init__(self, connection: Connection, repository_id: int, selection: Selection) -> None:
        self._connection = connection
        self._repository_id = repository_id
        self._selection = selection
        self._families = self._find_families()

    def count(self) -> int:
        """Return how many there are."""
        if self._selection == Selection():
            return self._everything.entry_count
        if self._families.are_whole:
            return self._tallied(*self._in_tallies())
        return int(self._connection.scalar(self._few(func.count())) or 0)

    def ids(
        self, order: Order, *, count: int, behind: Position | None, offset: int, limit: int
    ) -> list[int]:
        """Return the ids of a page, where `count` entries fit in all."""
        if offset >= count:
            return []
        index = self._index(count)
        last = offset + limit
        # In order, one of `entry_count / count` that are read belongs to the page.
        is_cheaper_to_sort = count < last * index.entry_count / count
        if is_cheaper_to_sort or self._selection.key is not None:
            page = self._sorted(order, behind)
        else:
            others = self._on_the_way(index)
            groups = [_read_in_order(group, others, order, behind) for group in index.groups]
            page = _merged(groups, order, last)
        return list(self._connection.scalars(page.limit(limit).offset(offset)))

    def all_ids(self) -> list[int]:
        """Return the ids of all, in no order."""
        return list(self._connection.scalars(self._few(ENTRIES.c.id)))

    def _index(self, count: int) -> "_Index":
        """Return what to read in order if `count` entries fit: where the fewest others are."""
        indexes: list[_Index] = []
        if self._selection.ref is not None:
            indexes.append(self._of_ref(self._selection.ref, count))
        if self._families.names and not (indexes and indexes[0].entry_count <= _DENSE * count):
            indexes.append(self._of_families(self._families.names, count))
        return min(indexes, key=lambda index: index.entry_count) if indexes else self._everything

    @property
    def _everything(self) -> "_Index":
        kept = select(REPOSITORIES.c.entry_count).where(REPOSITORIES.c.id == self._repository_id)
        return _Index((self._mine(),), self._connection.scalars(kept).one())

    def _of_ref(self, ref: str, count: int) -> "_Index":
        is_all = self._selection == Selection(ref=ref)
        entry_count = count if is_all else self._tallied(TALLIES.c.scope == ref)
        return _Index((self._mine() & (ENTRIES.c.scope == ref),), entry_count)

    def _of_families(self, names: tuple[str, ...], count: int) -> "_Index":
        selection, are_whole = self._selection, self._families.are_whole
        is_all = are_whole and selection.ref is None and selection.version is None
        return _Index(
            tuple(self._mine() & (ENTRIES.c.family == name) for name in names),
            count if is_all else self._tallied(TALLIES.c.family.in_(names)),
            are_families=True,
            has_prefix=are_whole,
        )

    def _tallied(self, *conditions: ColumnElement[bool]) -> int:
        mine = TALLIES.c.repository_id == self._repository_id
        counted = select(func.sum(TALLIES.c.entry_count)).where(mine, *conditions)
        return int(self._connection.scalar(counted) or 0)

    def _sorted(self, order: Order, behind: Position | None) -> Select[Any]:
        # The sums keep the engine from an index with the order, in which they may be far apart.
        value, entry_id = _COLUMNS[order.by] + 0, ENTRIES.c.id + 0
        return _in_order(self._few(ENTRIES.c.id), value, entry_id, order, behind)

    def _few(self, column: ColumnElement[int]) -> Select[Any]:
        """Select entries by the index that has the fewest others beside them."""
        fitting = [self._mine(), *_conditions(self._selection)]
        if self._selection.ref is None and not self._families.are_whole:
            return select(column).select_from(ENTRIES).where(*fitting)
        # Ref by ref and version by version, in which the keys are in order.
        tallies = select(TALLIES.c.scope, TALLIES.c.version).where(
            TALLIES.c.repository_id == self._repository_id, *self._in_tallies()
        )
        pairs = tallies.distinct().subquery()
        joined = pairs.join(
            ENTRIES, (ENTRIES.c.scope == pairs.c.scope) & (ENTRIES.c.version == pairs.c.version)
        )
        return select(column).select_from(joined).where(*fitting)

    def _mine(self) -> ColumnElement[bool]:
        return ENTRIES.c.repository_id == self._repository_id

    def _in_tallies(self) -> Iterator[ColumnElement[bool]]:
        """Yield the conditions for tallies of all entries that fit, and of no others if whole."""
        selection = self._selection
        for column, wanted in (
            (TALLIES.c.scope, selection.ref),
            (TALLIES.c.version, selection.version),
            (TALLIES.c.family, selection.family),
        ):
            if wanted is not None:
                yield column == wanted
        if self._families.are_whole:
            yield from _has_prefix(TALLIES.c.family, selection.prefix)

    def _on_the_way(self, index: "_Index") -> list[ColumnElement[bool]]:
        """Return what to look at in each entry of an index, so that it chooses no other index."""
        selection = self._selection
        others = Selection(
            prefix="" if index.has_prefix else selection.prefix,
            ref=selection.ref if index.are_families else None,
            version=selection.version,
            family=None if index.are_families else selection.family,
        )
        return _conditions(others, is_for_index=False)

    def _find_families(self) -> _Families:
        selection = self._selection
        prefix, end = selection.prefix, prefix_end(selection.prefix)
        if selection.key is not None:
            return _Families((family_of(selection.key),), are_whole=False)
        if selection.family is not None:
            is_whole = _FOLDED not in prefix and selection.family.startswith(prefix)
            return _Families((selection.family,), are_whole=is_whole)
        if not prefix:
            return _Families(None, are_whole=True)
        if _FOLDED in prefix or end is None:
            return _Families(None, are_whole=False)
        # A family that folds what comes behind some of the prefix may have keys that go on like it.
        beginnings = (prefix[:length] for length in range(len(prefix)))
        folded = [
            family
            for begin in beginnings
            for family in self._families_between(begin + _FOLDED, begin + _BEHIND_FOLDED)
        ]
        names = [*folded, *self._families_between(prefix, end)]
        is_named = len(names) <= FAMILIES_AT_ONCE
        return _Families(tuple(names) if is_named else None, are_whole=not folded)

    def _families_between(self, begin: str, end: str) -> list[str]:
        """Return the families from `begin` up to `end`, not many more than are read at once."""
        found: list[str] = []
        place = {"repository": self._repository_id, "begin": begin, "after": "", "end": end}
        while len(found) <= FAMILIES_AT_ONCE:
            [[family]] = _NEXT_FAMILY.rows(self._connection, place)
            if family is None:
                break
            found.append(family)
            place["after"] = family
        return found


def _conditions(selection: Selection, *, is_for_index: bool = True) -> list[ColumnElement[bool]]:
    def column(name: str) -> ColumnElement[str]:
        found: ColumnElement[str] = ENTRIES.c[name]
        return found if is_for_index else found.concat("")

    conditions = list(_has_prefix(column("key"), selection.prefix))
    for name, wanted in (
        ("key", selection.key),
        ("scope", selection.ref),
        ("version", selection.version),
        ("family", selection.family),
    ):
        if wanted is not None:
            conditions.append(column(name) == wanted)
    return conditions


def _has_prefix(column: ColumnElement[str], prefix: str) -> Iterator[ColumnElement[bool]]:
    if prefix:
        yield column >= prefix
        end = prefix_end(prefix)
        if end is not None:
            yield column < end


def _read_in_order(
    group: ColumnElement[bool],
    others: Sequence[ColumnElement[bool]],
    order: Order,
    behind: Position | None,
) -> Select[Any]:
    value = _COLUMNS[order.by]
    chosen = select(ENTRIES.c.id, value.label("value")).where(group, *others)
    return _in_order(chosen, value, ENTRIES.c.id, order, behind)


def _merged(groups: Sequence[Select[Any]], order: Order, last: int) -> Select[Any]:
    """Return groups that are in order as one that is; all up to the `last` may be of any group."""
    if len(groups) == 1:
        return groups[0]
    first_ones = (group.limit(last).subquery() for group in groups)
    merged = union_all(*(select(each.c.id, each.c.value) for each in first_ones)).subquery()
    return _in_order(select(merged.c.id), merged.c.value, merged.c.id, order, None)


def _in_order(
    statement: Select[Any],
    value: ColumnElement[int],
    entry_id: ColumnElement[int],
    order: Order,
    behind: Position | None,
) -> Select[Any]:
    if behind is not None:
        place, here = tuple_(value, entry_id), tuple_(behind.value, behind.entry_id)
        statement = statement.where(place < here if order.is_descending else place > here)
    if order.is_descending:
        return statement.order_by(value.desc(), entry_id.desc())
    return statement.order_by(value, entry_id)
