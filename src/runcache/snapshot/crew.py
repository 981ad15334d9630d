"""Threads that work off tasks, of which some make further ones."""

from collections import deque
from collections.abc import Callable
from threading import Condition, Thread
from types import TracebackType
from typing import Generic, Self, TypeVar

T = TypeVar("T")


class Crew(Generic[T]):
    """So many threads, each with a worker of its own, until all tasks are done or one has failed.

    As a context it waits for the end of all tasks, and raises what the first failed one raised; if
    none did, its threads have ended, too. Left by an exception, it forgets the tasks that have not
    begun, and waits for nothing.
    """

    def __init__(
        self, name: str, count: int, make_worker: Callable[[], Callable[[T], None]]
    ) -> None:
        self._make_worker = make_worker
        self._tasks: deque[T] = deque()
        self._unfinished = 0
        self._has_ended = False
        self._error: BaseException | None = None
        self._changed = Condition()
        self._threads = [
            Thread(target=self._work, name=f"{name}-{number}", daemon=True)
            for number in range(count)
        ]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            if kind is None:
                self.wait()
        finally:
            self._end()
        if kind is None:
            for thread in self._threads:
                thread.join()

    @property
    def has_ended(self) -> bool:
        """Say whether it is no use to go on."""
        return self._has_ended

    def give(self, task: T, *, at_once: bool = False) -> None:
        """Add a task: behind the others, or before them.

        Raises:
            whatever a task has raised.
        """
        with self._changed:
            self._raise_error()
            if at_once:
                self._tasks.appendleft(task)
            else:
                self._tasks.append(task)
            self._unfinished += 1
            self._changed.notify()

    def wait(self) -> None:
        """Wait until all tasks are done.

        Raises:
            whatever a task has raised.
        """
        self.wait_until(lambda: not self._unfinished)

    def wait_until(self, is_so: Callable[[], bool]) -> None:
        """Wait until something is so, which only tasks can make so.

        Raises:
            whatever a task has raised.
        """
        with self._changed:
            while not is_so() and self._error is None:
                self._changed.wait()
            self._raise_error()

    def _raise_error(self) -> None:
        if self._error is not None:
            raise self._error

    def _end(self) -> None:
        with self._changed:
            self._has_ended = True
            self._tasks.clear()
            self._changed.notify_all()

    def _work(self) -> None:
        try:
            work = self._make_worker()
            while (task := self._next()) is not None:
                work(task)
                del task
                with self._changed:
                    self._unfinished -= 1
                    self._changed.notify_all()
        except BaseException as exc:  # noqa: BLE001  -- it is raised where the tasks come from
            with self._changed:
                self._error = self._error or exc
            self._end()

    def _next(self) -> T | None:
        with self._changed:
            while not self._tasks:
                if self._has_ended:
                    return None
                self._changed.wait()
            return self._tasks.popleft()
