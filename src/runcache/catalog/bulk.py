"""Many rows in one statement.

A statement a row would wait for the interpreter's lock each time, and keep the write lock of the
catalog four to seven times as long beside a busy event loop.
"""

from collections.abc import Sequence
from functools import lru_cache
from itertools import chain
from typing import Any, Final

from sqlalchemy import Connection, Dialect, Table

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
    start = 0
    while start < len(rows):
        count = min(_ROWS_AT_MOST, 1 << (len(rows) - start).bit_length() - 1)
        text = _statement(connection.dialect, table, columns, count)
        values = tuple(chain.from_iterable(rows[start : start + count]))
        connection.exec_driver_sql(text + ending, values)
        start += count


@lru_cache(maxsize=64)
def _statement(dialect: Dialect, table: Table, columns: tuple[str, ...], count: int) -> str:
    # By hand, since SQLAlchemy takes seconds for so many parameters.
    width = len(columns)
    names = ", ".join(map(dialect.identifier_preparer.quote, columns))
    is_numbered = dialect.paramstyle == "numeric_dollar"
    places = [f"${number}" if is_numbered else "?" for number in range(1, count * width + 1)]
    rows = ", ".join(f"({', '.join(places[i : i + width])})" for i in range(0, len(places), width))
    return f"INSERT INTO {table.name} ({names}) VALUES {rows}"  # noqa: S608  -- of our own words
