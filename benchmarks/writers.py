"""How long processes wait that write into one SQLite file, beside SQLite's own waiting.

Four processes reserve keys of their own, four at once each, as fast as they can. The yardstick is
the same without taking turns, as SQLite itself lets who waits ask again. Both in turn, the first
one changing from round to round.
"""

import asyncio
import multiprocessing
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from statistics import median
from typing import Final, NamedTuple

from benchmarks.report import Figure, Section, at_most
from runcache.catalog import sqlite
from runcache.catalog.opening import open_catalog
from runcache.catalog.reserving import NewUpload
from runcache.locations import SqliteFile
from runcache.store import layout

PROCESSES: Final = 4
AT_ONCE: Final = 4
ROUNDS: Final = 5
QUICK_ROUNDS: Final = 2
SECONDS: Final = 4.0

# Forked ones would have the connections of their parent.
_SPAWNING: Final = multiprocessing.get_context("spawn")
_VERSION: Final = "0" * 64


class _Wrote(NamedTuple):
    """What the processes of a round did together."""

    per_second: float
    longest_seconds: float


def measure(folder: Path, *, quick: bool) -> Section:
    """Measure both in files in `folder`."""
    rounds = QUICK_ROUNDS if quick else ROUNDS
    ours: list[_Wrote] = []
    others: list[_Wrote] = []
    for number in range(rounds):
        for takes_turns in (True, False) if number % 2 else (False, True):
            file = folder / f"{number}-{takes_turns}" / "catalog.sqlite3"
            (ours if takes_turns else others).append(_round(file, takes_turns=takes_turns))
    notes = [
        f"{PROCESSES} processes, {AT_ONCE} at once each, for {SECONDS:.0f} s; medians of {rounds}",
        "yardstick: the same without turns",
    ]
    return Section("writers: processes that reserve keys at once", notes, [*_figures(ours, others)])


def _figures(ours: list[_Wrote], others: list[_Wrote]) -> Iterator[Figure]:
    all_ours, all_others = (median(one.per_second for one in some) for some in (ours, others))
    yield Figure(
        name="keys reserved",
        value=all_ours,
        unit="/s",
        yardstick=all_others,
        ratio=all_ours / all_others,
    )
    longest, theirs = (median(one.longest_seconds for one in some) for some in (ours, others))
    yield Figure(
        name="longest wait",
        value=longest * 1000,
        unit="ms",
        yardstick=theirs * 1000,
        ratio=longest / theirs,
        target=at_most(0.5),
    )


def _round(file: Path, *, takes_turns: bool) -> _Wrote:
    asyncio.run(_open_once(file))
    with _SPAWNING.Pool(PROCESSES) as pool:
        arguments = [(file, number, takes_turns) for number in range(PROCESSES)]
        waits = [wait for some in pool.starmap(_write, arguments, chunksize=1) for wait in some]
    return _Wrote(len(waits) / SECONDS, max(waits))


async def _open_once(file: Path) -> None:
    async with open_catalog(SqliteFile(file)):
        pass


def _write(file: Path, number: int, takes_turns: bool) -> list[float]:  # noqa: FBT001  -- of a pool
    """Reserve keys until the time is over; return how many seconds each took."""
    if not takes_turns:
        sqlite.turn = _no_turn  # type: ignore[assignment, attr-defined]
    return asyncio.run(_reserve_all(file, number))


def _no_turn(_path: Path, *, within_seconds: float) -> AbstractContextManager[None]:  # noqa: ARG001
    return nullcontext()


async def _reserve_all(file: Path, number: int) -> list[float]:
    waits: list[float] = []
    async with open_catalog(SqliteFile(file)) as catalog:
        end = time.monotonic() + SECONDS

        async def reserve() -> None:
            while (begin := time.monotonic()) < end:
                await catalog.uploads.reserve(_new(f"{number}-{len(waits)}-{begin}"))
                waits.append(time.monotonic() - begin)

        await asyncio.gather(*(reserve() for _ in range(AT_ONCE)))
    return waits


def _new(key: str) -> NewUpload:
    return NewUpload(
        repository="octo/hello",
        scope="refs/heads/main",
        key=key,
        version=_VERSION,
        job="job",
        blob=layout.new_blob_name(),
        created_at=0,
        expires_at=1,
    )
