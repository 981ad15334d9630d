"""How fast lookups are with 10 thousand and with 1 million entries, over HTTP, on one process each.

Both servers run, and only one at a time is loaded, in turn. The mix is half exact keys, a quarter
prefixes that match thousands (in the large catalog) and a quarter misses, over 100 repositories
with a token each. The exact keys are thousands of different ones, so that most of these hits look
at their bytes (which a server does once in ten seconds an entry). The mix comes from eight
connections, which keep the server always busy: latencies there are mostly waiting. The kinds alone
come from one connection, so that they show what a lookup takes.
"""

import asyncio
from collections import defaultdict
from collections.abc import Iterable
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from statistics import median
from typing import Final

from benchmarks import wrk
from benchmarks.catalogs import DEFAULT_REF, OWN_REF, Contents, Lookup, fill, make_answers
from benchmarks.machine import missing, wait_until_idle
from benchmarks.report import Figure, Section, at_least, at_most
from benchmarks.wrk import Load
from runcache.testing.live_server import LiveServer

SMALL: Final = 10_000
LARGE: Final = 1_000_000
QUICK_LARGE: Final = 100_000
MIX: Final = ("exact", "prefix", "exact", "miss")
KINDS: Final = ("exact", "prefix", "miss", "old prefix")
LOOKUPS: Final = 16_000
LOOKUPS_OF_A_KIND: Final = 2_000
CONNECTIONS: Final = 8
ROUNDS: Final = 7
SECONDS: Final = 8
QUICK_ROUNDS: Final = 2
QUICK_SECONDS: Final = 3
KIND_ROUNDS: Final = 3
KIND_SECONDS: Final = 3

PER_SECOND: Final = at_least(1500)
P99_RATIO: Final = at_most(1.5)


@dataclass(frozen=True, slots=True)
class _Subject:
    """A running server, and the files of lookups for it, by kind."""

    server: LiveServer
    lookups: dict[str, Path]


def measure(folder: Path, *, quick: bool) -> Section:
    """Measure both catalogs; files in `folder` take up to 2 GiB."""
    large = QUICK_LARGE if quick else LARGE
    rounds, seconds = (QUICK_ROUNDS, QUICK_SECONDS) if quick else (ROUNDS, SECONDS)
    title = f"lookup: {SMALL} and {large} entries, medians of {rounds} rounds"
    if lacking := missing("wrk"):
        return Section(title, lacking, ())
    loads: dict[tuple[int, str], list[Load]] = defaultdict(list)
    with ExitStack() as stack:
        subjects = {
            count: _subject(stack, folder / str(count), Contents(count)) for count in (SMALL, large)
        }
        wait_until_idle(subject.server.process.pid for subject in subjects.values())
        # The first round warms up and does not count.
        for number in range(rounds + 1):
            for count, subject in _in_turn(subjects, number):
                load = _load(subject, "mix", CONNECTIONS, seconds)
                if number > 0:
                    loads[count, "mix"].append(load)
        for number in range(KIND_ROUNDS):
            for count, subject in _in_turn(subjects, number):
                for kind in KINDS:
                    loads[count, kind].append(_load(subject, kind, 1, KIND_SECONDS))
    notes = (
        "the yardstick is the small catalog; ratio: milliseconds of large / small",
        f"mix: {CONNECTIONS} connections of wrk on one thread, {seconds} s a round, interleaved",
        "kinds: one connection; `old prefix`, which is not in the mix, matches none of the newest",
    )
    return Section(title, notes, _figures(loads, large))


def _subject(stack: ExitStack, folder: Path, contents: Contents) -> _Subject:
    data, catalog, store = folder / "data", folder / "catalog.sqlite3", folder / "store"

    def start() -> LiveServer:
        return LiveServer(data, catalog=f"sqlite:///{catalog}", store=store.as_uri())

    # It makes both, and the store the catalog's own.
    start().stop()
    mix = contents.lookups(LOOKUPS, MIX)
    alone = {kind: contents.lookups(LOOKUPS_OF_A_KIND, (kind,)) for kind in KINDS}
    fill(catalog, contents)
    asyncio.run(make_answers(catalog, store, chain(mix, *alone.values())))
    server = stack.enter_context(start())
    files = {"mix": folder / "mix"} | {kind: folder / kind for kind in KINDS}
    tokens = {
        name: server.job_token(repository=name, ref=OWN_REF, default_branch=DEFAULT_REF)
        for name in contents.repositories
    }
    for kind, lookups in {"mix": mix, **alone}.items():
        _write(files[kind], lookups, tokens)
    return _Subject(server, files)


def _write(file: Path, lookups: Iterable[Lookup], tokens: dict[str, str]) -> None:
    with file.open("w") as writer:
        for lookup in lookups:
            writer.write(f"Bearer {tokens[lookup.repository]}\t{lookup.body()}\n")


def _load(subject: _Subject, kind: str, connections: int, seconds: int) -> Load:
    lookups = subject.lookups[kind]
    return wrk.run(subject.server.url, lookups, connections=connections, seconds=seconds)


def _in_turn(subjects: dict[int, _Subject], number: int) -> list[tuple[int, _Subject]]:
    pairs = list(subjects.items())
    return pairs if number % 2 else pairs[::-1]


def _figures(loads: dict[tuple[int, str], list[Load]], large: int) -> list[Figure]:
    figures: list[Figure] = []
    rates = {count: _median(loads[count, "mix"], "per_second") for count in (SMALL, large)}
    figures.append(
        Figure(name="mix, small catalog", value=rates[SMALL], unit="/s", target=PER_SECOND)
    )
    figures.append(
        Figure(name="mix, large catalog", value=rates[large], unit="/s", target=PER_SECOND)
    )
    for kind in ("mix", *KINDS):
        for attribute in ("p50_ms", "p99_ms"):
            small, big = (_median(loads[count, kind], attribute) for count in (SMALL, large))
            figures.append(
                Figure(
                    name=f"{kind}, {attribute.removesuffix('_ms')}",
                    value=big,
                    unit="ms",
                    yardstick=small,
                    ratio=big / small,
                    target=P99_RATIO if (kind, attribute) == ("mix", "p99_ms") else None,
                )
            )
    return figures


def _median(loads: Iterable[Load], attribute: str) -> float:
    values: list[float] = [getattr(load, attribute) for load in loads]
    return median(values)
