"""Many rows in one statement.

A statement a row would wait for the interpreter's lock each time, and keep the write lock of the
catalog four to seven times as long beside a busy event loop.
"""

from collections.abc import Sequence
from functools import lru_cache
from itertools import chain
from typing import Any, Final

from sqlalchemy import Column, Connection, Dialect, Table

# A power of two, so that a few shapes of statements are enough; SQLite takes 32 766 parameters.
_ROWS_AT_MOST: Final = 256


def insert_rows(
    connection: Connection,
    table: Table,
    columns: tuple[str, ...],
    rows: Sequence[Sequence[Any]],
    *,
    ending: str = "",
) -> None:
    """Insert rows of these columns; `ending` goes behind each statement."""
    names = ", ".join(map(connection.dialect.identifier_preparer.quote, columns))
    beginning = f"INSERT INTO {table.name} ({names}) "
    _execute_for(connection, rows, beginning, ending)


def raise_numbers(
    connection: Connection, column: Column[int], rows: Sequence[tuple[int, int]]
) -> None:
    """Set a column where it is less; rows are the `id` of one in its table, and the number."""
    table, name = column.table.name, column.name
    beginning = f"UPDATE {table} SET {name} = given.column2 FROM ("  # noqa: S608  -- our own words
    ending = f") AS given WHERE {table}.id = given.column1 AND {table}.{name} < given.column2"
    _execute_for(connection, rows, beginning, ending, kind="BIGINT")


def _execute_for(
    connection: Connection,
    rows: Sequence[Sequence[Any]],
    beginning: str,
    ending: str,
    *,
    kind: str | None = None,
) -> None:
    start = 0
    while start < len(rows):
        count = min(_ROWS_AT_MOST, 1 << (len(rows) - start).bit_length() - 1)
        text = _values(connection.dialect, len(rows[start]), count, kind)
        parameters = tuple(chain.from_iterable(rows[start : start + count]))
        connection.exec_driver_sql(f"{beginning}{text}{ending}", parameters)
        start += count


@lru_cache(maxsize=64)
def _values(dialect: Dialect, width: int, count: int, kind: str | None) -> str:
    # By hand, since SQLAlchemy takes seconds for so many parameters.
    is_numbered = dialect.paramstyle == "numeric_dollar"
    places = [f"${number}" if is_numbered else "?" for number in range(1, count * width + 1)]
    if kind is not None:
        # Where nothing else tells the types, the first row does.
        places[:width] = [f"CAST({place} AS {kind})" for place in places[:width]]
    rows = ", ".join(f"({', '.join(places[i : i + width])})" for i in range(0, len(places), width))
    return f"VALUES {rows}"
