"""A guard around an engine of the catalog that may be away."""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

from sqlalchemy import Connection

from runcache.catalog.connections import Connections
from runcache.circuits import Circuit

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """How long is waited for the result of work, the time until there is a connection included."""

    look_up_seconds: float = 1.1
    read_seconds: float = 5
    read_long_seconds: float = 15
    write_seconds: float = 8


class GuardedConnections:
    """Connections whose every call ends in time (`Connections` is the contract).

    What reads is tried twice: a connection may have died since it was used last.
    """

    def __init__(
        self, connections: Connections, circuit: Circuit, patience: Patience | None = None
    ) -> None:
        self._connections = connections
        self._circuit = circuit
        self._patience = patience or Patience()

    async def look_up(self, work: Callable[[Connection], T]) -> T:
        """See `Connections.look_up`."""
        return await self._circuit.call(
            partial(self._connections.look_up, work),
            within_seconds=self._patience.look_up_seconds,
            attempts=2,
        )

    async def read(self, work: Callable[[Connection], T]) -> T:
        """See `Connections.read`."""
        return await self._circuit.call(
            partial(self._connections.read, work),
            within_seconds=self._patience.read_seconds,
            attempts=2,
        )

    async def read_long(self, work: Callable[[Connection], T]) -> T:
        """See `Connections.read_long`."""
        return await self._circuit.call(
            partial(self._connections.read_long, work),
            within_seconds=self._patience.read_long_seconds,
            attempts=2,
        )

    async def write(self, work: Callable[[Connection], T]) -> T:
        """See `Connections.write`. Nobody knows what became of work that failed in its commit."""
        return await self._circuit.call(
            partial(self._connections.write, work), within_seconds=self._patience.write_seconds
        )

    def exclusively(self, name: str, *, wait: bool = False) -> AbstractAsyncContextManager[bool]:
        """See `Connections.exclusively`."""
        return self._connections.exclusively(name, wait=wait)
