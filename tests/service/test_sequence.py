"""Parts one after the other: in order, the next one begun early, and all of them ended."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

import pytest

from runcache.errors import BlobMissing
from runcache.service.sequence import in_sequence
from runcache.store.blobs import FileBytes, Piece


@dataclass
class Parts:
    """Parts of two pieces each; `said` is what happened to them."""

    count: int
    missing: int = -1
    file: BinaryIO | None = None
    is_ahead: asyncio.Event = field(default_factory=asyncio.Event)
    said: list[str] = field(default_factory=list)

    async def begun(self) -> AsyncGenerator[AsyncGenerator[Piece, None], None]:
        for number in range(self.count):
            yield self._pieces(number)

    async def _pieces(self, number: int) -> AsyncGenerator[Piece, None]:
        self.said.append(f"begin {number}")
        if number:
            self.is_ahead.set()
        try:
            await asyncio.sleep(0)
            if number == self.missing:
                raise BlobMissing("blob")
            if self.file is not None:
                yield FileBytes(self.file, 0, 1)
            for half in "ab":
                yield f"{number}{half}".encode()
        finally:
            self.said.append(f"end {number}")

    async def read(self, most: int = 100) -> list[Piece]:
        pieces: list[Piece] = []
        async with aclosing(in_sequence(self.begun())) as sequence:
            async for piece in sequence:
                pieces.append(piece)
                self.said.append(f"piece {len(pieces)}")
                await asyncio.sleep(0.01)
                if len(pieces) == most:
                    break
        return pieces


async def test_pieces_come_in_order_and_the_next_part_is_begun_while_one_is_read() -> None:
    parts = Parts(3)

    pieces = await parts.read()

    assert pieces == [b"0a", b"0b", b"1a", b"1b", b"2a", b"2b"]
    assert parts.said == [
        *("begin 0", "piece 1", "begin 1", "piece 2", "end 0"),
        *("piece 3", "begin 2", "piece 4", "end 1"),
        *("piece 5", "piece 6", "end 2"),
    ]


async def test_of_nothing_there_is_nothing() -> None:
    assert await Parts(0).read() == []


async def test_parts_that_are_files_are_opened_one_by_one(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"x")
    with path.open("rb") as file:
        parts = Parts(2, file=file)

        await parts.read()

    assert parts.said.index("end 0") < parts.said.index("begin 1")


@pytest.mark.parametrize("most", [1, 2, 3, 4])
async def test_whoever_leaves_early_leaves_nothing_open(most: int) -> None:
    parts = Parts(3)

    await parts.read(most)

    begun = {said.split()[1] for said in parts.said if said.startswith("begin")}
    assert begun == {said.split()[1] for said in parts.said if said.startswith("end")}


async def test_a_part_that_is_missing_is_so_in_its_turn() -> None:
    parts = Parts(3, missing=1)

    with pytest.raises(BlobMissing):
        await parts.read()

    assert parts.said == ["begin 0", "piece 1", "begin 1", "end 1", "piece 2", "end 0"]


async def test_a_reader_that_is_cancelled_ends_what_was_begun() -> None:
    parts = Parts(2)
    reading = asyncio.create_task(parts.read())
    await parts.is_ahead.wait()

    reading.cancel()
    await asyncio.wait((reading,))

    assert {"end 0", "end 1"} <= set(parts.said)
