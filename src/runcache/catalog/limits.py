"""Statements about the limits that are set for repositories and owners."""

from datetime import timedelta
from typing import Final

from sqlalchemy import Connection, delete, insert, select

from runcache.catalog.connections import Connections
from runcache.catalog.tables import LIMITS
from runcache.retention import LimitValues

_MILLISECOND: Final = timedelta(milliseconds=1)


class SetLimits:
    """Limits by subject: `owner/name` of a repository, or `owner`."""

    def __init__(self, connections: Connections) -> None:
        self._connections = connections

    async def all(self) -> dict[str, LimitValues]:
        """Return all that are set: at most one for each repository and each owner."""
        columns = (LIMITS.c.subject, LIMITS.c.size_bytes, LIMITS.c.unused_for_ms)
        rows = await self._connections.read(lambda c: c.execute(select(*columns)).all())
        return {
            subject: LimitValues(
                size_bytes, None if unused_for_ms is None else unused_for_ms * _MILLISECOND
            )
            for subject, size_bytes, unused_for_ms in rows
        }

    async def set(self, subject: str, values: LimitValues, *, by: str, now_ms: int) -> None:
        """Replace the limits of `subject`; those that say nothing are not kept."""
        unused_for = values.unused_for
        row = {
            "subject": subject,
            "size_bytes": values.size_bytes,
            "unused_for_ms": None if unused_for is None else unused_for // _MILLISECOND,
            "changed_at": now_ms,
            "changed_by": by,
        }

        def work(connection: Connection) -> None:
            connection.execute(delete(LIMITS).where(LIMITS.c.subject == subject))
            if values != LimitValues():
                connection.execute(insert(LIMITS).values(**row))

        await self._connections.write(work)
