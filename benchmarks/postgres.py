"""How fast a catalog in PostgreSQL answers with 10 thousand and with 1 million entries.

The catalog alone, without HTTP: questions one after the other from one process over loopback, to a
server of its own, which has all catalogs and is asked in turn, so that the machine is equally busy
for each. Lookups and lists are those of `lookup` and `listing`, which measure SQLite below a server
over HTTP; so are the bounds.
"""

import asyncio
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AsyncExitStack, ExitStack
from dataclasses import dataclass
from itertools import islice, product
from pathlib import Path
from statistics import median, quantiles
from typing import Any, Final

import asyncpg
from sqlalchemy import Table

from benchmarks import crowd
from benchmarks.catalogs import SCOPES, VERSION, Contents, Lookup, rows_of
from benchmarks.report import Figure, Section, at_most
from runcache.catalog.catalog import Catalog
from runcache.catalog.opening import open_catalog
from runcache.catalog.tables import ENTRIES, REPOSITORIES
from runcache.listing import Order, Position, Selection, SortBy
from runcache.locations import parse_catalog
from runcache.matching import keys_of, walk
from tests.engines.postgres import running

SMALL: Final = 10_000
LARGE: Final = 1_000_000
QUICK_LARGE: Final = 50_000
MIX: Final = ("exact", "prefix", "exact", "miss")
KINDS: Final = ("exact", "prefix", "miss", "old prefix")
LOOKUPS: Final = 500
ROUNDS: Final = 7
QUICK_ROUNDS: Final = 2
AT_ONCE: Final = 4
PER_PAGE: Final = 100
PAGES: Final = 3
SELECTIONS: Final = {
    "all": Selection(),
    "prefix of many": Selection(prefix="Linux-npm-"),
    "prefix of old ones": Selection(prefix=crowd.OLD),
    "prefix of few": Selection(prefix="Linux-npm-ab"),
    "main": Selection(ref=crowd.MAIN),
    "main, prefix of old ones": Selection(ref=crowd.MAIN, prefix=crowd.OLD),
    "pull request": Selection(ref=crowd.pull_request(0.5)),
}
ORDERS: Final = tuple(Order(by, way) for by, way in product(SortBy, (False, True)))

P99_RATIO: Final = at_most(1.5)
P95_MS: Final = at_most(50)

_BATCH: Final = 10_000
_COUNT: Final = """
INSERT INTO tallies SELECT repository_id, scope, family, version, count(*), sum(size_bytes)
FROM entries GROUP BY repository_id, scope, family, version
"""

Times = defaultdict[tuple[int, str], list[float]]


@dataclass(frozen=True, slots=True)
class _Subject:
    """Two catalogs of so many entries: in many repositories, and in a single one."""

    many: Catalog
    crowd: Catalog
    lookups: dict[str, list[Lookup]]


def measure(folder: Path, *, quick: bool) -> Section:  # noqa: ARG001  -- the server has its own
    """Measure both; files below the folder of temporary files take up to 3 GiB."""
    large, rounds = (QUICK_LARGE, QUICK_ROUNDS) if quick else (LARGE, ROUNDS)
    with running() as server, ExitStack() as stack:
        urls = {
            (count, kind): stack.enter_context(server.database())
            for count in (SMALL, large)
            for kind in ("many", "crowd")
        }
        return asyncio.run(_measured(urls, large, rounds))


async def _measured(urls: dict[tuple[int, str], str], large: int, rounds: int) -> Section:
    times: Times = defaultdict(list)
    rates: defaultdict[int, list[float]] = defaultdict(list)
    async with AsyncExitStack() as stack:
        subjects = {count: await _subject(stack, urls, count) for count in (SMALL, large)}
        # The first round warms up and does not count.
        for number in range(rounds + 1):
            for count, subject in subjects.items():
                taken = {kind: await _look_up(subject, kind) for kind in ("mix", *KINDS)}
                taken["lists"] = await _list(subject.crowd)
                rate = await _rate(subject)
                if number > 0:
                    rates[count].append(rate)
                    for kind, milliseconds in taken.items():
                        times[count, kind] += milliseconds
    notes = (
        "the yardstick is the small catalog; ratio: milliseconds of large / small",
        f"one question after the other, but for lookups a second: {AT_ONCE} at once",
        f"lists: {len(SELECTIONS)} selections of one repository in six orders, p95 of a page",
    )
    title = f"postgres: {SMALL} and {large} entries, {rounds} rounds"
    return Section(title, notes, list(_figures(times, rates, large)))


async def _subject(stack: AsyncExitStack, urls: dict[tuple[int, str], str], count: int) -> _Subject:
    contents = Contents(count)
    lookups = {kind: contents.lookups(LOOKUPS, (kind,)) for kind in KINDS}
    await _fill(urls[count, "many"], rows_of(contents))
    await _fill(urls[count, "crowd"], _crowd(count))
    many, alone = [
        await stack.enter_async_context(open_catalog(parse_catalog(urls[count, kind])))
        for kind in ("many", "crowd")
    ]
    return _Subject(many, alone, {"mix": contents.lookups(LOOKUPS, MIX), **lookups})


async def _fill(url: str, batches: Iterable[tuple[Table, list[dict[str, Any]]]]) -> None:
    connection = await asyncpg.connect(url)
    indexes = await connection.fetch(
        "SELECT indexname, indexdef FROM pg_indexes WHERE indexname LIKE 'ix_entries_%'"
    )
    # Made afterwards, indexes take a fraction of the time.
    for name, _ in indexes:
        await connection.execute(f"DROP INDEX {name}")
    for table, rows in batches:
        records = [tuple(row.values()) for row in rows]
        await connection.copy_records_to_table(table.name, columns=list(rows[0]), records=records)
    for _, definition in indexes:
        await connection.execute(definition)
    await connection.execute(_COUNT)
    # What autovacuum does within a minute.
    await connection.execute("VACUUM ANALYZE")
    await connection.close()


def _crowd(count: int) -> Iterator[tuple[Table, list[dict[str, Any]]]]:
    yield REPOSITORIES, [{"id": 1, "name": crowd.REPOSITORY, "entry_count": count}]
    rows = crowd.rows_of(count)
    while batch := list(islice(rows, _BATCH)):
        yield ENTRIES, batch


async def _look_up(subject: _Subject, kind: str) -> list[float]:
    milliseconds: list[float] = []
    for lookup in subject.lookups[kind]:
        begin = time.perf_counter()
        await _find(subject.many, lookup)
        milliseconds.append((time.perf_counter() - begin) * 1000)
    return milliseconds


async def _find(catalog: Catalog, lookup: Lookup) -> None:
    steps = walk(SCOPES, keys_of(lookup.key, lookup.restore_keys))
    found = await catalog.entries.find(lookup.repository, [VERSION], steps)
    if (found is None) != (lookup.kind == "miss"):
        message = f"{lookup} found {found}"
        raise AssertionError(message)


async def _rate(subject: _Subject) -> float:
    mix = subject.lookups["mix"]
    queue = iter(mix)

    async def ask() -> None:
        for lookup in queue:
            await _find(subject.many, lookup)

    begin = time.perf_counter()
    await asyncio.gather(*(ask() for _ in range(AT_ONCE)))
    return len(mix) / (time.perf_counter() - begin)


async def _list(catalog: Catalog) -> list[float]:
    milliseconds: list[float] = []
    for selection, order in product(SELECTIONS.values(), ORDERS):
        behind: Position | None = None
        for _ in range(PAGES):
            begin = time.perf_counter()
            page, _ = await catalog.listing.page(
                crowd.REPOSITORY, selection, order, behind=behind, offset=0, limit=PER_PAGE
            )
            milliseconds.append((time.perf_counter() - begin) * 1000)
            if not page:
                break
            behind = Position(order.value_of(page[-1]), page[-1].id)
    return milliseconds


def _figures(times: Times, rates: dict[int, list[float]], large: int) -> Iterator[Figure]:
    yield Figure(
        name="lookups a second",
        value=median(rates[large]),
        unit="/s",
        yardstick=median(rates[SMALL]),
        ratio=median(rates[large]) / median(rates[SMALL]),
    )
    for kind in ("mix", *KINDS):
        for share in (50, 99):
            small, big = (_percentile(times[count, kind], share) for count in (SMALL, large))
            yield Figure(
                name=f"{kind}, p{share}",
                value=big,
                unit="ms",
                yardstick=small,
                ratio=big / small,
                target=P99_RATIO if (kind, share) == ("mix", 99) else None,
            )
    for count in (SMALL, large):
        yield Figure(
            name=f"a page of a list, {count} entries",
            value=_percentile(times[count, "lists"], 95),
            unit="ms",
            target=P95_MS,
        )


def _percentile(milliseconds: Sequence[float], share: int) -> float:
    return quantiles(milliseconds, n=100)[share - 1]
