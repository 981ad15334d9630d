"""How many more lookups two replicas answer than one, and two workers than one process.

All of them run at once, over one PostgreSQL and one folder, and only those that are measured are
loaded, in turn. Each replica gets a wrk of its own, as from a proxy that spreads jobs evenly. What
answers share cores with what asks, so beside the rates there is the processor time that a lookup
takes: if it stays the same, more cores would give as many times the lookups.
"""

import os
from collections import defaultdict
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from random import Random
from statistics import median
from typing import Final

from benchmarks import wrk
from benchmarks.jobs import VERSION, Job, connect, target_of
from benchmarks.machine import missing, used_seconds, wait_until_idle
from benchmarks.report import Figure, Section, Target, at_least, at_most
from runcache.testing.live_server import LiveServer
from tests.engines.postgres import running

ENTRIES: Final = 200
LOOKUPS: Final = 4_000
CONNECTIONS: Final = 8
ROUNDS: Final = 7
SECONDS: Final = 6
QUICK_ROUNDS: Final = 2
QUICK_SECONDS: Final = 2
# Two that answer, the database and two that ask.
ENOUGH_CORES: Final = 5

_MORE_LOOKUPS: Final = at_least(1.6)
_TIME_OF_A_LOOKUP: Final = at_most(1.25)


@dataclass(frozen=True, slots=True)
class _Subject:
    """Where lookups go, and all processes that work for them."""

    urls: tuple[str, ...]
    processes: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class _Result:
    per_second: float
    milliseconds: float


def measure(folder: Path, *, quick: bool) -> Section:
    """Measure one and two of each."""
    rounds, seconds = (QUICK_ROUNDS, QUICK_SECONDS) if quick else (ROUNDS, SECONDS)
    cores = os.cpu_count() or 1
    title = f"replicas: {ENTRIES} entries, medians of {rounds} rounds, {cores} cores"
    if lacking := missing("wrk"):
        return Section(title, lacking, ())
    results: defaultdict[str, list[_Result]] = defaultdict(list)
    with ExitStack() as stack:
        subjects, lookups = _subjects(stack, folder)
        wait_until_idle({pid for subject in subjects.values() for pid in subject.processes})
        # The first round warms up and does not count.
        for number in range(rounds + 1):
            names = list(subjects)
            for name in names if number % 2 else names[::-1]:
                result = _load(subjects[name], lookups, seconds)
                if number > 0:
                    results[name].append(result)
    target = _MORE_LOOKUPS if cores >= ENOUGH_CORES else None
    notes = [
        "the yardstick is one of them; ratio: two / one",
        f"{CONNECTIONS} connections of wrk on one thread, {seconds} s a round, interleaved",
        "processor time is that of the servers and of PostgreSQL",
    ]
    if target is None:
        notes.append(f"{cores} cores are too few for a target of the rates: {ENOUGH_CORES} are not")
    figures = [
        figure
        for what, one, two in (
            ("replicas over PostgreSQL", "one replica", "two replicas"),
            ("workers over SQLite", "one process", "two workers"),
        )
        for figure in (
            _figure(f"{what}, lookups", results, "per_second", (one, two), target),
            _figure(
                f"{what}, processor time", results, "milliseconds", (one, two), _TIME_OF_A_LOOKUP
            ),
        )
    ]
    return Section(title, notes, figures)


def _subjects(stack: ExitStack, folder: Path) -> tuple[dict[str, _Subject], Path]:
    """Start everything, and write lookups that all of it takes."""
    key = folder / "signing.key"
    key.write_text("ab" * 32)
    shared = {"signing_key_file": str(key), "log_level": "error"}
    postgres = stack.enter_context(running())
    catalog = stack.enter_context(postgres.database())
    places = {"catalog": catalog, "store": (folder / "store").as_uri()}
    first, second = (
        stack.enter_context(LiveServer(folder / name, environ={}, **shared, **places))
        for name in ("first", "second")
    )
    alone = stack.enter_context(LiveServer(folder / "alone", environ={}, **shared))
    workers = stack.enter_context(LiveServer(folder / "workers", environ={}, **shared, workers="2"))
    for server in (first, alone, workers):
        _save_entries(Job.at(server))
    database = (postgres.process.pid,)
    subjects = {
        "one replica": _Subject((first.url,), (first.process.pid, *database)),
        "two replicas": _Subject(
            (first.url, second.url), (first.process.pid, second.process.pid, *database)
        ),
        "one process": _Subject((alone.url,), (alone.process.pid,)),
        "two workers": _Subject((workers.url,), (workers.process.pid,)),
    }
    return subjects, _lookups(folder / "lookups", first.job_token())


def _save_entries(job: Job) -> None:
    for number in range(ENTRIES):
        link = job.reserve(f"npm-linux-{number}")
        connection = connect(link)
        connection.request("PUT", target_of(link), b"data", {"x-ms-blob-type": "BlockBlob"})
        connection.getresponse().read()
        connection.close()
        job.finalize(f"npm-linux-{number}", len(b"data"))


def _lookups(file: Path, token: str) -> Path:
    """Write lookups: half of them exact, a quarter of them prefixes, the others misses."""
    choose = Random(1)  # noqa: S311  -- nothing here is secret
    with file.open("w") as writer:
        for number in range(LOOKUPS):
            exact = f"npm-linux-{choose.randrange(ENTRIES)}"
            key = (exact, f"npm-linux-new-{number}", exact, f"yarn-{number}")[number % 4]
            restore_key = key.partition("-")[0] + "-linux-"
            body = f'{{"key":"{key}","restore_keys":["{restore_key}"],"version":"{VERSION}"}}'
            writer.write(f"Bearer {token}\t{body}\n")
    return file


def _load(subject: _Subject, lookups: Path, seconds: int) -> _Result:
    before = used_seconds(subject.processes)
    share = CONNECTIONS // len(subject.urls)
    with ThreadPoolExecutor(len(subject.urls)) as threads:
        loads = list(
            threads.map(
                lambda url: wrk.run(url, lookups, connections=share, seconds=seconds), subject.urls
            )
        )
    per_second = sum(load.per_second for load in loads)
    used = used_seconds(subject.processes) - before
    return _Result(per_second, used / (per_second * seconds) * 1000)


def _figure(
    name: str,
    results: dict[str, list[_Result]],
    attribute: str,
    compared: Sequence[str],
    target: Target | None,
) -> Figure:
    one, two = (
        median(getattr(result, attribute) for result in results[which]) for which in compared
    )
    unit = "/s" if attribute == "per_second" else "ms"
    return Figure(name=name, value=two, unit=unit, yardstick=one, ratio=two / one, target=target)
