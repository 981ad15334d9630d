"""Statements that are compiled once, for what the server does thousands of times a second.

SQLAlchemy compiles once too, but makes a key of the whole statement each time to find out that it
has, and walks through every parameter: for a lookup, which has a hundred, that takes five times as
long as the engine takes to answer.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Dialect, Select


@dataclass(frozen=True, slots=True)
class _Compiled:
    text: str
    # The name of each placeholder, `None` where the driver takes parameters by name.
    order: list[str] | None
    fixed: Mapping[str, Any]


class Prepared:
    """A statement that reads. Its parameters are the `bindparam`s with a name of their own."""

    def __init__(self, statement: Select[Any]) -> None:
        self.statement = statement
        self._compiled: dict[str, _Compiled] = {}

    def rows(self, connection: Connection, values: Mapping[str, Any]) -> list[tuple[Any, ...]]:
        """Return all rows, with the columns in the order of the statement.

        The driver's errors come as they are.
        """
        compiled = self._compiled_for(connection.dialect)
        named = {**compiled.fixed, **values}
        cursor = connection.connection.cursor()
        try:
            cursor.execute(
                compiled.text,
                named if compiled.order is None else [named[name] for name in compiled.order],
            )
            return list(cursor.fetchall())
        finally:
            cursor.close()

    def _compiled_for(self, dialect: Dialect) -> _Compiled:
        known = self._compiled.get(dialect.name)
        if known is None:
            compiled = self.statement.compile(dialect=dialect)
            order = getattr(compiled, "positiontup", None)
            known = _Compiled(str(compiled), order, compiled.params)
            self._compiled[dialect.name] = known
        return known
