"""Pieces of parts one after the other, of which the next part is begun while one is read."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from dataclasses import dataclass

from runcache.store.blobs import FileBytes, Piece


@dataclass(frozen=True, slots=True)
class _Begun:
    """A part whose first piece is fetched, whoever waits for it."""

    pieces: AsyncGenerator[Piece, None]
    first: asyncio.Task[Piece | None]

    async def end(self) -> None:
        self.first.cancel()
        # How it ended matters to those alone who wanted it.
        await asyncio.gather(self.first, return_exceptions=True)
        await self.pieces.aclose()


async def in_sequence(
    parts: AsyncIterator[AsyncGenerator[Piece, None]],
) -> AsyncGenerator[Piece, None]:
    """Yield all pieces of all parts, each until the next one is asked for.

    While a part is read that does not lie in a file, the first piece of the next one is fetched:
    to ask for it takes a while.
    """
    current = await _begun(parts)
    following = None
    try:
        while current is not None:
            piece = await current.first
            if not isinstance(piece, FileBytes):
                following = await _begun(parts)
            while piece is not None:
                yield piece
                piece = await anext(current.pieces, None)
            await current.end()
            current = following or await _begun(parts)
            following = None
    finally:
        for begun in (current, following):
            if begun is not None:
                await begun.end()


async def _begun(parts: AsyncIterator[AsyncGenerator[Piece, None]]) -> _Begun | None:
    pieces = await anext(parts, None)
    return None if pieces is None else _Begun(pieces, asyncio.create_task(_first(pieces)))


async def _first(pieces: AsyncGenerator[Piece, None]) -> Piece | None:
    return await anext(pieces, None)
