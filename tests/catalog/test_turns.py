"""Several processes that write into one SQLite file take turns."""

import asyncio
import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from runcache.catalog.sqlite import SqliteConnections
from runcache.catalog.turns import turn
from tests.catalog.facts import add_fact, known_facts

LONG_SECONDS = 60
SHORT_SECONDS = 0.05


@pytest.fixture
def lock(tmp_path: Path) -> Path:
    return tmp_path / "catalog.write-lock"


@contextmanager
def another_ones_turn(lock: Path) -> Iterator[None]:
    descriptor = os.open(lock, os.O_CREAT | os.O_RDWR)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    try:
        yield
    finally:
        os.close(descriptor)


def take_turn(lock: Path) -> None:
    with turn(lock, within_seconds=LONG_SECONDS):
        pass


async def test_whoever_writes_waits_for_the_turn(tmp_path: Path, lock: Path) -> None:
    connections = await SqliteConnections.open(tmp_path / "catalog.sqlite3")
    with another_ones_turn(lock):
        writing = asyncio.create_task(connections.write(lambda c: add_fact(c, "one")))
        await asyncio.wait((writing,), timeout=0.2)
        assert not writing.done()
        assert await known_facts(connections) == set()

    await writing
    assert await known_facts(connections) == {"one"}
    await connections.close()


def test_a_turn_ends_also_by_an_error(lock: Path) -> None:
    with pytest.raises(ZeroDivisionError), turn(lock, within_seconds=LONG_SECONDS):
        raise ZeroDivisionError

    take_turn(lock)


def test_who_never_ends_a_turn_is_not_waited_for(lock: Path) -> None:
    went_on = []
    with another_ones_turn(lock):
        with turn(lock, within_seconds=SHORT_SECONDS):
            went_on.append("first")
        with turn(lock, within_seconds=SHORT_SECONDS):
            went_on.append("second")

    # Those who had waited in vain let go of it as soon as it comes.
    take_turn(lock)
    assert went_on == ["first", "second"]


async def test_many_take_turns(lock: Path) -> None:
    inside = 0
    at_once = []

    def work() -> None:
        nonlocal inside
        with turn(lock, within_seconds=LONG_SECONDS):
            inside += 1
            at_once.append(inside)
            os.sched_yield()
            inside -= 1

    await asyncio.gather(*(asyncio.to_thread(work) for _ in range(50)))

    assert at_once == [1] * 50
