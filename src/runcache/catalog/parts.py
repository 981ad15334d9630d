"""Statements about the parts of a blob that is being received, within a transaction."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from sqlalchemy import (
    ARRAY,
    BigInteger,
    Connection,
    Integer,
    Text,
    bindparam,
    delete,
    func,
    insert,
    select,
    update,
)

from runcache.catalog.entries import BATCH
from runcache.catalog.tables import PARTS
from runcache.errors import InvalidBlockList

_PLACE_ONE: Final = (
    update(PARTS)
    .where(PARTS.c.blob_id == bindparam("blob"), PARTS.c.block_id == bindparam("blocks"))
    .values(position=bindparam("positions"), start=bindparam("starts"))
)
_PLACES: Final = (
    func.unnest(
        bindparam("blocks", type_=ARRAY(Text)),
        bindparam("positions", type_=ARRAY(Integer)),
        bindparam("starts", type_=ARRAY(BigInteger)),
    )
    .table_valued("block_id", "position", "start")
    .render_derived()
)
_PLACE_ALL: Final = (
    update(PARTS)
    .where(PARTS.c.blob_id == bindparam("blob"), PARTS.c.block_id == _PLACES.c.block_id)
    .values(position=_PLACES.c.position, start=_PLACES.c.start)
)


@dataclass(frozen=True, slots=True)
class NewPart:
    """A part that the store holds and that is about to become a block of an upload."""

    block_id: str
    name: str
    size_bytes: int


def insert_part(
    connection: Connection,
    blob_id: int,
    part: NewPart,
    *,
    position: int | None = None,
    start: int | None = None,
) -> None:
    """Make a stored part one of a blob, in its order if that is known."""
    connection.execute(
        insert(PARTS).values(
            blob_id=blob_id,
            block_id=part.block_id,
            name=part.name,
            size_bytes=part.size_bytes,
            position=position,
            start=start,
        )
    )


def replace_parts(connection: Connection, blob_id: int, part: NewPart) -> tuple[list[str], int]:
    """Make a part the whole of a blob; return the names and the bytes of those it replaces."""
    mine = PARTS.c.blob_id == blob_id
    former = connection.execute(select(PARTS.c.name, PARTS.c.size_bytes).where(mine)).all()
    connection.execute(delete(PARTS).where(mine))
    insert_part(connection, blob_id, part, position=0, start=0)
    return [row.name for row in former], sum(row.size_bytes for row in former)


def put_in_order(
    connection: Connection, blob_id: int, block_ids: Sequence[str]
) -> tuple[int, list[str]]:
    """Make a blob these blocks in this order; return its size and the names of the parts left out.

    Raises:
        InvalidBlockList: a block was never received.
    """
    mine = PARTS.c.blob_id == blob_id
    received = {row.block_id: row for row in connection.execute(select(PARTS).where(mine))}
    places: list[tuple[str, int, int]] = []
    start = 0
    for position, block_id in enumerate(block_ids):
        row = received.pop(block_id, None)
        if row is None:
            message = "the block list names a block that was never received"
            raise InvalidBlockList(message)
        places.append((block_id, position, start))
        start += row.size_bytes
    for batch in _batches(list(received)):
        connection.execute(delete(PARTS).where(mine, PARTS.c.block_id.in_(batch)))
    if places:
        _place(connection, blob_id, places)
    return start, [row.name for row in received.values()]


def _place(connection: Connection, blob_id: int, places: Sequence[tuple[str, int, int]]) -> None:
    """Give blocks, each by its id, their positions and starts."""
    names = ("blocks", "positions", "starts")
    if connection.dialect.name == "postgresql":
        # One statement: 50 000 would take longer than a writer may.
        arrays = dict(zip(names, map(list, zip(*places, strict=True)), strict=True))
        connection.execute(_PLACE_ALL, {**arrays, "blob": blob_id})
    else:
        rows = [dict(zip(names, place, strict=True)) | {"blob": blob_id} for place in places]
        connection.execute(_PLACE_ONE, rows)


def _batches(ids: Sequence[str]) -> list[Sequence[str]]:
    return [ids[start : start + BATCH] for start in range(0, len(ids), BATCH)]
