"""How many entries there are of each ref, family and version, and their whole sizes together.

A count over a million entries takes 30 ms or more, over their tallies hardly any time. They are
kept by those who add and drop entries, in the same transaction.
"""

from collections import Counter
from collections.abc import Iterable
from typing import Any, Final

from sqlalchemy import Connection, bindparam, delete, except_, func, insert, select, update

from runcache.catalog.tables import ENTRIES, REPOSITORIES, TALLIES

_NAMES: Final = ("repository_id", "scope", "family", "version")
_IS_ROW: Final = [TALLIES.c[name] == bindparam(f"of_{name}") for name in _NAMES]
_ADD: Final = (
    update(TALLIES)
    .where(*_IS_ROW)
    .values(
        entry_count=TALLIES.c.entry_count + bindparam("entries"),
        size_bytes=TALLIES.c.size_bytes + bindparam("bytes"),
    )
)
_REMOVE_EMPTY: Final = delete(TALLIES).where(*_IS_ROW, TALLIES.c.entry_count <= 0)
_COUNTED: Final = select(
    *(ENTRIES.c[name] for name in _NAMES),
    func.count().label("entry_count"),
    func.sum(ENTRIES.c.size_bytes).label("size_bytes"),
).group_by(*(ENTRIES.c[name] for name in _NAMES))


def count_added(
    connection: Connection,
    repository_id: int,
    scope: str,
    family: str,
    version: str,
    *,
    size_bytes: int,
) -> None:
    """Count one entry more."""
    names = dict(zip(_NAMES, (repository_id, scope, family, version), strict=True))
    row = {f"of_{name}": value for name, value in names.items()}
    if not connection.execute(_ADD, {**row, "entries": 1, "bytes": size_bytes}).rowcount:
        connection.execute(insert(TALLIES).values(**names, entry_count=1, size_bytes=size_bytes))


def count_dropped(connection: Connection, entries: Iterable[Any]) -> None:
    """Count these entries no longer."""
    counts: Counter[tuple[Any, ...]] = Counter()
    sizes: Counter[tuple[Any, ...]] = Counter()
    for entry in entries:
        names = tuple(getattr(entry, name) for name in _NAMES)
        counts[names] += 1
        sizes[names] += entry.size_bytes
    if not counts:
        return
    rows = [
        {f"of_{name}": value for name, value in zip(_NAMES, names, strict=True)} for names in counts
    ]
    changes = zip(rows, counts, strict=True)
    connection.execute(
        _ADD, [{**row, "entries": -counts[key], "bytes": -sizes[key]} for row, key in changes]
    )
    connection.execute(_REMOVE_EMPTY, rows)


def miscounted(connection: Connection) -> list[str]:
    """Name the repositories whose tallies differ from their entries."""
    kept = select(
        *(TALLIES.c[name] for name in _NAMES), TALLIES.c.entry_count, TALLIES.c.size_bytes
    )
    wrong = except_(kept, _COUNTED).subquery()
    lacking = except_(_COUNTED, kept).subquery()
    ids = select(wrong.c.repository_id).union(select(lacking.c.repository_id))
    return list(connection.scalars(select(REPOSITORIES.c.name).where(REPOSITORIES.c.id.in_(ids))))


def count_anew(connection: Connection) -> None:
    """Count all entries again."""
    connection.execute(delete(TALLIES))
    connection.execute(
        insert(TALLIES).from_select([*_NAMES, "entry_count", "size_bytes"], _COUNTED)
    )
