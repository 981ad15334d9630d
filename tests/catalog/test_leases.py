"""What only one replica does at a time: whoever dies, freezes or is cut off, and wakes up late."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from typing import Any, Final

import pytest
from sqlalchemy import BigInteger, Connection, cast, extract, func, select, update

from runcache.catalog.catalog import Catalog
from runcache.catalog.leases import Leases
from runcache.catalog.postgres import PostgresConnections
from runcache.catalog.tables import LEASES
from runcache.errors import CatalogUnavailable
from runcache.locations import PostgresDatabase, parse_catalog

SHORT: Final = 1.5
_CLOCK: Final = cast(extract("epoch", func.clock_timestamp()) * 1000, BigInteger)

# Takes a lease, freezes, and once it is woken up does what it was about to do.
FREEZES: Final = f"""
import asyncio, os, signal, sys
from runcache.catalog.catalog import Catalog
from runcache.catalog.leases import Leases
from runcache.catalog.postgres import PostgresConnections
from runcache.errors import CatalogUnavailable
from runcache.locations import parse_catalog

async def main():
    connections = await PostgresConnections.open(parse_catalog(sys.argv[1]))
    catalog = Catalog(connections)
    try:
        async with Leases(connections.write, life_seconds={SHORT}).exclusively("sweep") as is_mine:
            print("mine" if is_mine else "another's", flush=True)
            os.kill(os.getpid(), signal.SIGSTOP)
            await catalog.exchange_fact("done by", "the late one")
            print("done", flush=True)
    except CatalogUnavailable as exc:
        print(exc, flush=True)
    await connections.close()

asyncio.run(main())
"""


@pytest.fixture
async def replicas(postgres_url: str) -> AsyncIterator[tuple[PostgresConnections, ...]]:
    """Two replicas that use one database."""
    location = parse_catalog(postgres_url)
    assert isinstance(location, PostgresDatabase)
    first, second = [await PostgresConnections.open(location) for _ in range(2)]
    yield first, second
    await first.close()
    await second.close()


async def test_one_replica_at_a_time_holds_a_name(
    replicas: tuple[PostgresConnections, ...],
) -> None:
    first, second = replicas

    async with first.exclusively("sweep") as is_mine:
        async with second.exclusively("sweep") as is_theirs, first.exclusively("sweep") as is_ours:
            assert (is_mine, is_theirs, is_ours) == (True, False, False)
        async with second.exclusively("settle") as is_another:
            assert is_another
    async with second.exclusively("sweep") as is_theirs_now:
        assert is_theirs_now


async def test_who_waits_comes_next(replicas: tuple[PostgresConnections, ...]) -> None:
    first, second = replicas
    order: list[str] = []

    async def wait() -> None:
        async with second.exclusively("forget", wait=True) as is_mine:
            assert is_mine
            order.append("second")

    async with asyncio.TaskGroup() as tasks, first.exclusively("forget"):
        tasks.create_task(wait())
        await asyncio.sleep(0)
        order.append("first")

    assert order == ["first", "second"]


async def test_a_lease_is_kept_for_as_long_as_the_work_takes(
    replicas: tuple[PostgresConnections, ...],
) -> None:
    first, second = replicas

    async with Leases(first.write, life_seconds=SHORT).exclusively("sweep"):
        first_end = await second.read(_end)
        await _until(second, lambda c: _now(c) > first_end)
        async with second.exclusively("sweep") as is_theirs:
            assert not is_theirs


async def test_what_a_dead_replica_held_is_free_soon(
    replicas: tuple[PostgresConnections, ...], postgres_url: str
) -> None:
    _, second = replicas
    process = await _frozen_replica(postgres_url)

    process.kill()
    await process.wait()

    async with second.exclusively("sweep", wait=True) as is_mine:
        assert is_mine


async def test_who_wakes_up_late_changes_nothing_any_more(
    replicas: tuple[PostgresConnections, ...], postgres_url: str
) -> None:
    _, second = replicas
    catalog = Catalog(second)
    process = await _frozen_replica(postgres_url)
    assert process.stdout is not None

    async with second.exclusively("sweep", wait=True):
        await catalog.exchange_fact("done by", "the next one")
        process.send_signal(signal.SIGCONT)
        said = (await process.stdout.read()).decode()
        await process.wait()

    assert "done" not in said.splitlines()
    assert "took a break that was too long" in said
    assert await catalog.fact("done by") == "the next one"


async def test_who_has_lost_a_lease_is_stopped(replicas: tuple[PostgresConnections, ...]) -> None:
    first, second = replicas
    refusals: list[str] = []

    async def work() -> None:
        async with Leases(first.write, life_seconds=SHORT).exclusively("sweep"):
            await second.write(_take_over)
            try:
                await Catalog(first).exchange_fact("done by", "the late one")
            except CatalogUnavailable as exc:
                refusals.append(str(exc))
            await asyncio.Event().wait()

    with pytest.raises(CatalogUnavailable, match="took a break"):
        await work()

    assert len(refusals) == 1
    assert await Catalog(second).fact("done by") is None


async def test_who_cannot_renew_a_lease_is_stopped_before_it_ends() -> None:
    answers = iter([1])

    async def write(_work: Callable[[Connection], Any]) -> int:
        if (number := next(answers, None)) is None:
            message = "the database is away"
            raise CatalogUnavailable(message)
        return number

    loop = asyncio.get_running_loop()
    begun = loop.time()
    with pytest.raises(CatalogUnavailable, match="took a break"):
        async with Leases(write, life_seconds=SHORT).exclusively("sweep"):
            await asyncio.Event().wait()

    assert loop.time() - begun < 2 * SHORT


async def test_work_that_fails_or_runs_out_of_time_fails_as_it_would_alone(
    replicas: tuple[PostgresConnections, ...],
) -> None:
    first, second = replicas

    with pytest.raises(TimeoutError):
        async with first.exclusively("sweep"):
            raise TimeoutError
    with pytest.raises(ZeroDivisionError):
        async with first.exclusively("sweep"):
            raise ZeroDivisionError

    async with second.exclusively("sweep") as is_theirs:
        assert is_theirs


async def _frozen_replica(url: str) -> asyncio.subprocess.Process:
    """Return a replica that has the lease of sweeps and is stopped."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", FREEZES, url), stdout=subprocess.PIPE
    )
    assert process.stdout is not None
    assert await process.stdout.readline() == b"mine\n"
    # Waits until it is stopped, and leaves it to be waited for.
    await asyncio.to_thread(os.waitid, os.P_PID, process.pid, os.WSTOPPED | os.WNOWAIT)
    return process


async def _until(replica: PostgresConnections, condition: Callable[[Connection], bool]) -> None:
    async with asyncio.timeout(10):
        while not await replica.read(condition):
            pass


def _end(connection: Connection) -> int:
    end: int = connection.scalars(select(LEASES.c.expires_at)).one()
    return end


def _now(connection: Connection) -> int:
    now: int = connection.scalars(select(_CLOCK)).one()
    return now


def _take_over(connection: Connection) -> None:
    connection.execute(update(LEASES).values(number=LEASES.c.number + 1))
