"""Doing the same to many things, several of them at once."""

import asyncio
from collections.abc import Callable, Coroutine, Iterable
from typing import Any, Final, TypeVar

T = TypeVar("T")
R = TypeVar("R")

# An engine far away takes many milliseconds to answer, and a disk gains nothing from more.
_AT_ONCE: Final = 8


async def several(act: Callable[[T], Coroutine[Any, Any, R]], things: Iterable[T]) -> list[R]:
    """Return what `act` returns for each thing, in order.

    After a failure nothing else is begun; it is raised once what runs has ended.
    """
    slots = asyncio.Semaphore(_AT_ONCE)
    failures: list[Exception] = []

    async def one(thing: T) -> list[R]:
        async with slots:
            if failures:
                return []
            try:
                return [await act(thing)]
            except Exception as exc:  # noqa: BLE001  -- raised below
                failures.append(exc)
                return []

    async with asyncio.TaskGroup() as tasks:
        done = [tasks.create_task(one(thing)) for thing in things]
    if failures:
        raise failures[0]
    return [result for task in done for result in task.result()]
