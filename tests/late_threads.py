"""Threads that are late at random: `make late` runs the tests with them.

What a test says must not depend on how soon a thread comes to its turn, which is soon on an idle
machine and late on one that checks something else beside it.
"""

import asyncio
import time
from collections.abc import Callable, Iterator
from functools import partial
from random import Random
from typing import Final, ParamSpec, TypeVar

import pytest

from runcache.threads import WorkerThreads

P = ParamSpec("P")
T = TypeVar("T")

LATE_OF_ALL: Final = 0.2
AT_MOST_SECONDS: Final = 0.05

_random: Final = Random()


@pytest.fixture(scope="session", autouse=True)
def _threads_are_late() -> Iterator[None]:
    """Let what threads do for the event loop begin late, and its outcome come late."""
    run, to_thread = WorkerThreads.run, asyncio.to_thread

    async def run_late(threads: WorkerThreads, work: Callable[[], T]) -> T:
        return await run(threads, partial(_late, work))

    async def to_late_thread(work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        return await to_thread(_late, partial(work, *args, **kwargs))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(WorkerThreads, "run", run_late)
        patch.setattr(asyncio, "to_thread", to_late_thread)
        yield


def _late(work: Callable[[], T]) -> T:
    _dawdle()
    try:
        return work()
    finally:
        _dawdle()


def _dawdle() -> None:
    if _random.random() < LATE_OF_ALL:
        # Mostly a little: a thread that is always late meets nothing that is early.
        time.sleep(AT_MOST_SECONDS * _random.random() ** 3)
