"""Leases in PostgreSQL: what only one of all replicas does at a time.

A lease is a row that ends by the clock of the database, so its holder may die or freeze. Whoever
takes it over gives it the next number, and a transaction of a former holder finds its number gone
and changes nothing: it may wake up as late as it likes.
"""

import asyncio
import os
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from contextvars import ContextVar
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, TypeVar

from sqlalchemy import BigInteger, ColumnElement, Connection, cast, extract, func, select, update
from sqlalchemy.dialects.postgresql import insert

from runcache.catalog.tables import LEASES
from runcache.errors import CatalogUnavailable

T = TypeVar("T")

LIFE_SECONDS: Final = 15.0
_ASK_EVERY_SECONDS: Final = 1.0


@dataclass(frozen=True, slots=True)
class Lease:
    """One holding of a name: nobody else ever has this number of it."""

    name: str
    number: int


_HELD: Final[ContextVar[tuple[Lease, ...]]] = ContextVar("held_leases", default=())


class Leases:
    """Takes, keeps and gives back leases. `write` is that of `Connections`, whose clock counts."""

    def __init__(
        self,
        write: Callable[[Callable[[Connection], Any]], Awaitable[Any]],
        *,
        life_seconds: float = LIFE_SECONDS,
    ) -> None:
        self._write = write
        self._life_seconds = life_seconds

    @asynccontextmanager
    async def exclusively(self, name: str, *, wait: bool = False) -> AsyncIterator[bool]:
        """See `Connections.exclusively`.

        Raises:
            CatalogUnavailable: also when the lease could not be kept: what ran has been cancelled.
        """
        asked_at = asyncio.get_running_loop().time()
        while (lease := await self._taken(name)) is None and wait:
            await asyncio.sleep(_ASK_EVERY_SECONDS)
            asked_at = asyncio.get_running_loop().time()
        if lease is None:
            yield False
            return
        async with self._kept(lease, asked_at):
            yield True

    @asynccontextmanager
    async def _kept(self, lease: Lease, asked_at: float) -> AsyncIterator[None]:
        scope = asyncio.timeout_at(asked_at + self._life_seconds)
        outer = _HELD.get()
        try:
            async with scope:
                renewing = asyncio.create_task(self._renew(lease, scope))
                _HELD.set((*outer, lease))
                try:
                    yield
                finally:
                    _HELD.set(outer)
                    renewing.cancel()
                    await asyncio.gather(renewing, return_exceptions=True)
        except TimeoutError as exc:
            if not scope.expired():
                raise
            raise _lost(lease) from exc
        finally:
            # Else it ends by itself.
            with suppress(CatalogUnavailable):
                await self._write(partial(_end, lease))

    async def _taken(self, name: str) -> Lease | None:
        number = await self._write(partial(_take, name, self._life_seconds))
        return None if number is None else Lease(name, number)

    async def _renew(self, lease: Lease, scope: asyncio.Timeout) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(self._life_seconds / 3)
            asked_at = loop.time()
            try:
                is_kept = await self._write(partial(_prolong, lease, self._life_seconds))
            except CatalogUnavailable:
                continue
            if scope.expired():
                return
            scope.reschedule(asked_at + self._life_seconds if is_kept else loop.time())


def fenced(work: Callable[[Connection], T]) -> Callable[[Connection], T]:
    """Return `work` so that it fails unless the leases of the caller are still the caller's.

    To be called where the caller runs, who may be in `Leases.exclusively` any number of times.
    """
    held = _HELD.get()
    if not held:
        return work

    def checked(connection: Connection) -> T:
        for lease in held:
            # Locked, since whoever takes it over must wait for the end of this transaction.
            mine = select(LEASES.c.number).where(_is_mine(lease)).with_for_update(read=True)
            if connection.scalar(mine) is None:
                raise _lost(lease)
        return work(connection)

    return checked


def _take(name: str, life_seconds: float, connection: Connection) -> int | None:
    wanted = insert(LEASES).values(
        name=name,
        holder=f"{socket.gethostname()}:{os.getpid()}",
        number=1,
        expires_at=_in(life_seconds),
    )
    taken: int | None = connection.scalar(
        wanted.on_conflict_do_update(
            index_elements=[LEASES.c.name],
            set_={
                "holder": wanted.excluded.holder,
                "number": LEASES.c.number + 1,
                "expires_at": wanted.excluded.expires_at,
            },
            where=LEASES.c.expires_at <= _in(0),
        ).returning(LEASES.c.number)
    )
    return taken


def _prolong(lease: Lease, life_seconds: float, connection: Connection) -> bool:
    statement = update(LEASES).where(_is_mine(lease)).values(expires_at=_in(life_seconds))
    return connection.execute(statement).rowcount > 0


def _end(lease: Lease, connection: Connection) -> None:
    connection.execute(update(LEASES).where(_is_mine(lease)).values(expires_at=0))


def _is_mine(lease: Lease) -> ColumnElement[bool]:
    return (LEASES.c.name == lease.name) & (LEASES.c.number == lease.number)


def _in(seconds: float) -> ColumnElement[int]:
    """Return a moment in milliseconds since 1970, by the clock of the database."""
    now = extract("epoch", func.clock_timestamp()) * 1000
    return cast(now + seconds * 1000, BigInteger)


def _lost(lease: Lease) -> CatalogUnavailable:
    return CatalogUnavailable(f"`{lease.name}` took a break that was too long: another one does it")
