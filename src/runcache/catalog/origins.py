"""Statements about who saved entries, and what the client said of them."""

import json
from collections.abc import Iterable
from typing import Any

from sqlalchemy import Connection, Row, delete, insert, select

from runcache.catalog.connections import Connections
from runcache.catalog.tables import ENTRIES, ORIGINS
from runcache.model import Inputs
from runcache.records import Origin, job_name


class Origins:
    """Who saved what is there."""

    def __init__(self, connections: Connections) -> None:
        self._connections = connections

    async def get(self, entry_id: int) -> Origin | None:
        """Return the origin of an entry; `None` if there is no such entry."""
        statement = (
            select(ENTRIES.c.scope, ENTRIES.c.is_snapshot, ORIGINS)
            .select_from(ENTRIES.outerjoin(ORIGINS, ORIGINS.c.entry_id == ENTRIES.c.id))
            .where(ENTRIES.c.id == entry_id)
        )
        row = await self._connections.read(lambda c: c.execute(statement).one_or_none())
        return None if row is None else origin_of(row)


def origin_of(row: Row[Any]) -> Origin:
    """Return the origin in a row of `origins` with `scope` and `is_snapshot` of the entry."""
    return Origin(
        ref=row.scope,
        event=row.event,
        run=row.run,
        paths=None if row.paths is None else tuple(json.loads(row.paths)),
        compression=row.compression,
        system=row.system,
        cross_os=row.cross_os,
        format="snapshot" if row.is_snapshot else "archive",
    )


def insert_origin(
    connection: Connection, upload_id: int, *, event: str | None, run: str | None, inputs: Inputs
) -> None:
    """Note who makes an upload, and of what, within a transaction."""
    paths = None if inputs.paths is None else json.dumps(inputs.paths)
    connection.execute(
        insert(ORIGINS).values(
            entry_id=upload_id,
            event=event,
            run=run,
            paths=paths,
            compression=inputs.compression,
            system=inputs.system,
            cross_os=inputs.cross_os,
        )
    )


def drop_origins(connection: Connection, ids: Iterable[int]) -> None:
    """Forget the origins of uploads or entries within a transaction."""
    connection.execute(delete(ORIGINS).where(ORIGINS.c.entry_id.in_(list(ids))))


def saver_of(connection: Connection, entry_id: int, scope: str) -> str:
    """Return what the job is called that saves an entry to its `scope`."""
    row = connection.execute(
        select(ORIGINS.c.event, ORIGINS.c.run).where(ORIGINS.c.entry_id == entry_id)
    ).one_or_none()
    return job_name(scope, *(row or (None, None)))
