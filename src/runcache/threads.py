"""Threads that work off what the event loop hands them, in the order in which it comes."""

import asyncio
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from queue import SimpleQueue
from threading import Thread
from typing import Any, TypeVar

T = TypeVar("T")

_Job = tuple["asyncio.Future[Any]", Callable[[], Any]]
_Outcome = tuple["asyncio.Future[Any]", Any, BaseException | None]


class WorkerThreads:
    """Threads that work for the event loop in which they are made, one or more.

    An executor does the same, but takes three times as long to hand over, and wakes the loop for
    each outcome, where one call here takes all that have come together.
    """

    def __init__(self, name: str, count: int = 1) -> None:
        self._loop = asyncio.get_running_loop()
        self._count = count
        self._jobs: SimpleQueue[_Job | None] = SimpleQueue()
        self._outcomes: deque[_Outcome] = deque()
        self._is_loop_called = False
        for number in range(count):
            # They end with the process, even in the middle of something: as if it were killed.
            Thread(target=self._work, name=f"{name}-{number}", daemon=True).start()

    async def run(self, work: Callable[[], T]) -> T:
        """Run `work` in one of the threads, and return what it returns.

        A single thread does one thing after the other. Work is done also when whoever waits for it
        is cancelled.
        """
        done: asyncio.Future[T] = self._loop.create_future()
        self._jobs.put((done, work))
        return await done

    def end(self) -> None:
        """End once all is done that was handed over so far; do not wait for that."""
        for _ in range(self._count):
            self._jobs.put(None)

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            done, work = job
            result, error = None, None
            try:
                result = work()
            except BaseException as exc:  # noqa: BLE001  -- it is raised where the work came from
                error = exc
            self._outcomes.append((done, result, error))
            if not self._is_loop_called:
                self._is_loop_called = True
                # A loop that is closed meanwhile has nobody left who waits.
                with suppress(RuntimeError):
                    self._loop.call_soon_threadsafe(self._deliver)
            # What the work held must not live until the next one.
            del job, done, work, result, error

    def _deliver(self) -> None:
        # Before the first outcome is taken: one that comes later calls again.
        self._is_loop_called = False
        while self._outcomes:
            done, result, error = self._outcomes.popleft()
            if done.cancelled():
                continue
            if error is None:
                done.set_result(result)
            else:
                done.set_exception(error)
