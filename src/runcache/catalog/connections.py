"""How the catalog's statements reach an engine: one seam, whatever runs behind it."""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Protocol, TypeVar

from sqlalchemy import Connection

T = TypeVar("T")


class Duplicate(Exception):
    """A unique constraint did not let a row in: somebody else was first."""


class Connections(Protocol):
    """Runs work on a connection, one transaction each.

    Work is a function of a synchronous connection and touches nothing but the database. Either all
    of what it did is there afterwards, or nothing and its exception is raised.
    """

    async def look_up(self, work: Callable[[Connection], T]) -> T:
        """Run `work`, which reads and for which a client waits: soon, or not at all.

        Each of its statements may see a state of its own.

        Raises:
            CatalogUnavailable: the engine failed, or took longer than a second.
        """
        ...

    async def read(self, work: Callable[[Connection], T]) -> T:
        """Run `work`, which changes nothing, on one consistent state.

        Raises:
            CatalogUnavailable: the engine failed.
        """
        ...

    async def read_long(self, work: Callable[[Connection], T]) -> T:
        """As `read`, for work that may take long: no lookup waits for it.

        Raises:
            CatalogUnavailable: the engine failed.
        """
        ...

    async def write(self, work: Callable[[Connection], T]) -> T:
        """Run `work` alone among all writers, and commit it.

        Raises:
            Duplicate: a unique constraint stopped it.
            CatalogUnavailable: the engine failed, or was busy for too long.
        """
        ...

    def exclusively(self, name: str, *, wait: bool = False) -> AbstractAsyncContextManager[bool]:
        """Enter with `True` as the only holder of `name` among all processes.

        While there is another one, wait for its end, or else enter with `False`. The name is free
        again when its holder leaves or dies.
        """
        ...
