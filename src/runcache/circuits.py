"""Calls to an engine that may be away: each ends in time, and none is made in vain.

`circuitbreaker` counts the failures. Of what else there is, `purgatory` keeps the frames of every
refused call alive while a circuit is open, and goes by the wall clock; `pybreaker` holds a lock.
"""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from contextlib import contextmanager
from typing import Any, Final, TypeVar

# It has no types.
from circuitbreaker import (  # type: ignore[import-untyped]
    STATE_CLOSED,
    STATE_OPEN,
    CircuitBreaker,
)

from runcache.errors import CatalogUnavailable, StoreUnavailable

T = TypeVar("T")

OPENS_AFTER_FAILURES: Final = 3
PAUSE_SECONDS: Final = 2.0
SLOW_SECONDS: Final = 1.0
DOUBTFUL_SECONDS: Final = 2.0
_LET_GO_SECONDS: Final = 5
_HINT: Final = "try it again: as soon as it answers all goes on, which `/readyz` tells"


class Circuit:
    """What stands between this process and an engine, such as a database.

    After three calls in a row that failed the engine is taken for away. Calls are refused at once
    then, but for one every two seconds; the first one that succeeds ends that.

    `engine` is what messages call it, `away` what is raised, and what failures are known by.
    `heard` hears why it is taken for away from now on, or `None` when it is back. A call that is
    cancelled says nothing about the engine, unless it has waited for `slow_seconds` by then.
    """

    def __init__(
        self,
        engine: str,
        away: type[CatalogUnavailable | StoreUnavailable],
        *,
        heard: Callable[[str | None], None] | None = None,
        pause_seconds: float = PAUSE_SECONDS,
        slow_seconds: float = SLOW_SECONDS,
    ) -> None:
        self._engine = engine
        self._away = away
        self._heard = heard
        self._pause_seconds = pause_seconds
        self._slow_seconds = slow_seconds
        self._breaker = CircuitBreaker(OPENS_AFTER_FAILURES, pause_seconds, away, engine)
        self._next_attempt_at = 0.0
        self._is_away = False
        self._let_go: set[asyncio.Task[Any]] = set()

    @property
    def is_closed(self) -> bool:
        """Whether calls go through."""
        return bool(self._breaker.state == STATE_CLOSED)

    @property
    def is_in_doubt(self) -> bool:
        """Whether the last call failed, or the engine is away."""
        return not self.is_closed or bool(self._breaker.failure_count)

    async def call(
        self,
        act: Callable[[], Coroutine[Any, Any, T]],
        *,
        within_seconds: float,
        attempts: int = 1,
    ) -> T:
        """Return what `act` returns; with more `attempts` one that failed is repeated at once.

        While the engine is in doubt it has no more than two seconds. When the time is over the call
        is cancelled, and nobody waits for the end of that: to let go of a connection that is dead
        takes time, too.

        Raises:
            The class of `away`: it failed, took too long, or was not even tried.
        """
        self.require()
        if self.is_in_doubt:
            within_seconds = min(within_seconds, DOUBTFUL_SECONDS)
        begun = asyncio.get_running_loop().time()
        with self.judging():
            task = asyncio.create_task(self._tried(act, attempts))
            try:
                await asyncio.wait((task,), timeout=within_seconds)
            except asyncio.CancelledError:
                waited = asyncio.get_running_loop().time() - begun
                if waited >= self._slow_seconds:
                    self._judge(self.too_slow(waited))
                raise
            finally:
                if not task.done():
                    task.cancel()
                    self._leave(task)
            if not task.done():
                raise self.too_slow(within_seconds)
            return task.result()

    async def ended(self, work: Coroutine[Any, Any, None], *, within_seconds: float) -> None:
        """Wait for the end of `work`, but no longer than that: then it goes on alone."""
        task = asyncio.create_task(work)
        try:
            await asyncio.wait((task,), timeout=within_seconds)
        finally:
            self._leave(task)

    def require(self) -> None:
        """Make sure that the engine is worth a call.

        Raises:
            The class of `away`: it has failed a moment ago.
        """
        if self.is_closed:
            return
        now = asyncio.get_running_loop().time()
        if self._breaker.state == STATE_OPEN or now < self._next_attempt_at:
            raise self._away(f"the {self._engine} is away", hint=_HINT)
        self._next_attempt_at = now + self._pause_seconds

    @contextmanager
    def judging(self, *, is_proof: bool = True) -> Iterator[None]:
        """Judge the engine by what the block raises, or by its end if that `is_proof`."""
        try:
            yield
        except Exception as exc:
            self._judge(exc)
            raise
        else:
            if is_proof:
                self._breaker.reset()
                self._tell()

    def too_slow(self, within_seconds: float) -> CatalogUnavailable | StoreUnavailable:
        """Return the error for an answer that did not come."""
        message = f"the {self._engine} did not answer within {within_seconds:.3g} s"
        return self._away(message, hint=_HINT)

    async def close(self) -> None:
        """Wait for what was let go of, but not for long."""
        if self._let_go:
            await asyncio.wait(self._let_go, timeout=_LET_GO_SECONDS)

    async def _tried(self, act: Callable[[], Awaitable[T]], attempts: int) -> T:
        for _ in range(attempts - 1):
            try:
                return await act()
            except self._away:
                continue
        return await act()

    def _judge(self, error: Exception) -> None:
        self._breaker.__exit__(type(error), error, None)
        self._tell()

    def _tell(self) -> None:
        is_away = not self.is_closed
        if is_away != self._is_away:
            self._is_away = is_away
            if self._heard is not None:
                self._heard(str(self._breaker.last_failure) if is_away else None)

    def _leave(self, task: asyncio.Task[Any]) -> None:
        self._let_go.add(task)
        task.add_done_callback(self._forget)

    def _forget(self, task: asyncio.Task[Any]) -> None:
        self._let_go.discard(task)
        if not task.cancelled():
            task.exception()  # which nobody waits for any more
