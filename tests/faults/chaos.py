"""What is done to the processes that a cache is made of, and to the connections between them."""

import asyncio
import os
import random
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final
from urllib.error import URLError
from urllib.request import urlopen

from runcache.testing import FaultProxy, LiveServer
from runcache.testing.faults import (
    Cut,
    Drip,
    Fault,
    HalfOpen,
    HttpError,
    Latency,
    Refusal,
    Reset,
    Throttle,
)
from tests.engines.postgres import Postgres
from tests.engines.seaweedfs import ENVIRONMENT, SeaweedFS

KIB: Final = 1024
READY_WITHIN_SECONDS: Final = 60

CONNECTION_FAULTS: Final[Sequence[Fault]] = (
    Latency(0.1),
    Latency(1),
    Reset(),
    HalfOpen(),
    Refusal(),
    Drip(0.02),
    Throttle(64 * KIB),
    Cut(10 * KIB),
)
STORE_FAULTS: Final[Sequence[Fault]] = (
    *CONNECTION_FAULTS,
    HttpError(500),
    HttpError(503, code="SlowDown"),
    HttpError(503, frozenset(("PUT", "POST"))),
)


class Store:
    """SeaweedFS that may be killed and comes back with what it had."""

    def __init__(self, server: SeaweedFS, folder: Path) -> None:
        self.endpoint = server.endpoint
        self.process = server.process
        self._folder = folder

    def restart(self) -> None:
        """Kill it, start it again, and return once it answers."""
        self.process.kill()
        self.process.wait()
        with (self._folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                self.process.args,
                env=os.environ | ENVIRONMENT,
                cwd=self._folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        until = time.monotonic() + READY_WITHIN_SECONDS
        while time.monotonic() < until:
            try:
                with urlopen(f"{self.endpoint}/healthz", timeout=1):  # noqa: S310  -- our own
                    return
            except (URLError, OSError):
                time.sleep(0.05)
        raise RuntimeError("SeaweedFS did not come back")

    def close(self) -> None:
        """End it."""
        self.process.kill()
        self.process.wait()


class Chaos:
    """Does something to an engine or a replica, again and again, and mends it.

    Attributes:
        counts: how often what was done.
    """

    def __init__(
        self,
        *,
        postgres: Postgres,
        store: Store,
        to_catalog: FaultProxy,
        to_store: FaultProxy,
        replicas: Sequence[LiveServer],
        chance: random.Random,
    ) -> None:
        self.counts: Counter[str] = Counter()
        self._postgres = postgres
        self._store = store
        self._to_catalog = to_catalog
        self._to_store = to_store
        self._replicas = replicas
        self._chance = chance

    async def disturb_connections(self, is_over: asyncio.Event) -> None:
        """Let the connections to one engine or the other fail in one way after the other."""
        while not is_over.is_set():
            faults = self._chance.choice(
                ((self._to_catalog, CONNECTION_FAULTS), (self._to_store, STORE_FAULTS))
            )
            proxy, fault = faults[0], self._chance.choice(faults[1])
            engine = "catalog" if proxy is self._to_catalog else "store"
            self.counts[f"{engine}: {type(fault).__name__}"] += 1
            with proxy.injected(fault):
                await self._pause(is_over, 0.2, 3)
            await self._pause(is_over, 1.5, 5)

    async def disturb_processes(self, is_over: asyncio.Event) -> None:
        """Kill, stop and restart processes, one at a time."""
        deeds = (
            (4, self._kill_replica),
            (4, self._freeze_replica),
            (2, self._restart_replica),
            (2, self._kill_worker),
            (2, self._kill_backend),
            (1, self._crash_postgres),
            (2, self._freeze_postgres),
            (1, self._kill_store),
            (2, self._freeze_store),
        )
        weights, choices = zip(*deeds, strict=True)
        while not is_over.is_set():
            (deed,) = self._chance.choices(choices, weights)
            self.counts[deed.__name__.strip("_").replace("_", " ")] += 1
            await deed(is_over)
            await self._pause(is_over, 1.5, 5)

    async def _kill_replica(self, is_over: asyncio.Event) -> None:
        replica = self._chance.choice(self._replicas)
        await asyncio.to_thread(replica.kill)
        await self._pause(is_over, 0, 1)
        await self._start(replica)

    async def _restart_replica(self, _: asyncio.Event) -> None:
        replica = self._chance.choice(self._replicas)
        await asyncio.to_thread(replica.stop)
        await self._start(replica)

    async def _start(self, replica: LiveServer) -> None:
        """Start a replica, again and again as a supervisor would while an engine is away."""
        while True:
            try:
                return await asyncio.to_thread(replica.restart)
            except RuntimeError:
                self.counts["start that failed"] += 1
                await asyncio.sleep(0.2)

    async def _kill_worker(self, _: asyncio.Event) -> None:
        workers = [pid for one in self._replicas for pid in _children_of(one.process.pid)]
        # Its parent starts another one.
        self._kill_one_of(workers)

    async def _freeze_replica(self, is_over: asyncio.Event) -> None:
        parent = self._chance.choice(self._replicas).process.pid
        await self._freeze([parent, *_children_of(parent)], is_over)

    async def _kill_backend(self, _: asyncio.Event) -> None:
        # PostgreSQL ends all connections then, and recovers as after a crash.
        self._kill_one_of(_children_of(self._postgres.process.pid))

    async def _crash_postgres(self, is_over: asyncio.Event) -> None:
        await asyncio.to_thread(self._postgres.stop)
        await self._pause(is_over, 0, 2)
        await asyncio.to_thread(self._postgres.start)

    async def _freeze_postgres(self, is_over: asyncio.Event) -> None:
        server = self._postgres.process.pid
        await self._freeze([server, *_children_of(server)], is_over)

    async def _kill_store(self, _: asyncio.Event) -> None:
        await asyncio.to_thread(self._store.restart)

    async def _freeze_store(self, is_over: asyncio.Event) -> None:
        await self._freeze([self._store.process.pid], is_over)

    def _kill_one_of(self, processes: Sequence[int]) -> None:
        # It may end by itself at this moment, or all of them may have.
        with suppress(ProcessLookupError):
            for process in self._chance.sample(processes, min(1, len(processes))):
                os.kill(process, signal.SIGKILL)

    async def _freeze(self, processes: Sequence[int], is_over: asyncio.Event) -> None:
        for process in processes:
            # PostgreSQL starts and ends processes as it likes.
            with suppress(ProcessLookupError):
                os.kill(process, signal.SIGSTOP)
        try:
            await self._pause(is_over, 0.2, 3)
        finally:
            for process in processes:
                with suppress(ProcessLookupError):
                    os.kill(process, signal.SIGCONT)

    async def _pause(self, is_over: asyncio.Event, least: float, most: float) -> None:
        """Let things be for a while, or until it is over."""
        with suppress(TimeoutError):
            await asyncio.wait_for(is_over.wait(), self._chance.uniform(least, most))


def _children_of(process: int) -> list[int]:
    return [
        int(pid) for pid in Path(f"/proc/{process}/task/{process}/children").read_text().split()
    ]
