"""What the event log costs: one server, whose log is turned off and on again from round to round.

Lookups are the mix of `lookup.py`, from eight connections that keep the server busy. A transfer is
a lookup and the download of what it found, a save is one of an archive. Behind each of them the log
is written, twice a second: the processor time of the server says what that takes, on a machine
that does other things, too.
"""

import asyncio
import os
import signal
import sys
from collections import defaultdict
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from statistics import median
from typing import ClassVar, Final

from benchmarks import curl, wrk
from benchmarks.catalogs import DEFAULT_REF, OWN_REF, Contents, fill, make_answers
from benchmarks.jobs import BLOB_HEADER, Job
from benchmarks.lookup import CONNECTIONS, LOOKUPS, MIX
from benchmarks.machine import missing, wait_until_idle
from benchmarks.report import Figure, Section, at_least
from runcache.testing.live_server import LiveServer

ENTRIES: Final = 10_000
MIB: Final = 1024 * 1024
SIZE_BYTES: Final = 64 * MIB
DOWNLOADS: Final = 4
ROUNDS: Final = 21
QUICK_ROUNDS: Final = 5
SECONDS: Final = 2

_RATIO: Final = at_least(0.95)
_ON: Final = "on"
_OFF: Final = "off"
_CLOCK_TICKS: Final = os.sysconf("SC_CLK_TCK")

Found = defaultdict[tuple[str, str], list[float]]


class _Switchable(LiveServer):
    command: ClassVar[Sequence[str]] = (
        sys.executable,
        str(Path(__file__).with_name("switchable.py")),
    )


def measure(folder: Path, *, quick: bool) -> Section:
    """Measure both; files in `folder` take up to 4 GiB."""
    rounds = QUICK_ROUNDS if quick else ROUNDS
    title = f"records: the event log on and off, medians of {rounds} rounds"
    if lacking := (*missing("wrk"), *missing("curl")):
        return Section(title, lacking, ())
    payload = folder / "payload"
    payload.write_bytes(os.urandom(MIB) * (SIZE_BYTES // MIB))
    found: Found = defaultdict(list)
    with ExitStack() as stack:
        server, lookups = _server(stack, folder)
        _save(server, "payload", payload)
        # The first rounds warm up and do not count. Which comes first changes from pair to pair.
        for number in range(2 * (rounds + 1)):
            name = _ON if number % 4 in {0, 3} else _OFF
            wait_until_idle([server.process.pid])
            figures = _figures_of(server, lookups, payload, number)
            if number > 1:
                for figure, value in figures.items():
                    found[figure, name].append(value)
            if number % 2 == 0:
                server.process.send_signal(signal.SIGUSR1)
    notes = (
        "the yardstick is the server with its log off; ratio: how much of that speed is left",
        f"lookups: {CONNECTIONS} connections of wrk on one thread, {SECONDS} s a round",
        f"transfers: archives of {SIZE_BYTES // MIB} MiB, each looked up and got {DOWNLOADS} times",
    )
    return Section(title, notes, _figures(found))


def _server(stack: ExitStack, folder: Path) -> tuple[LiveServer, Path]:
    data, catalog, store = folder / "data", folder / "catalog.sqlite3", folder / "store"
    places = {"catalog": f"sqlite:///{catalog}", "store": store.as_uri(), "repo_limit": "100GB"}
    # It makes both, and the store the catalog's own.
    LiveServer(data, environ=None, **places).stop()
    contents = Contents(ENTRIES)
    mix = contents.lookups(LOOKUPS, MIX)
    fill(catalog, contents)
    asyncio.run(make_answers(catalog, store, mix))
    server = stack.enter_context(_Switchable(data, environ=None, **places))
    tokens = {
        name: server.job_token(repository=name, ref=OWN_REF, default_branch=DEFAULT_REF)
        for name in contents.repositories
    }
    lookups = folder / "mix"
    with lookups.open("w") as writer:
        for lookup in mix:
            writer.write(f"Bearer {tokens[lookup.repository]}\t{lookup.body()}\n")
    return server, lookups


def _figures_of(server: LiveServer, lookups: Path, payload: Path, number: int) -> dict[str, float]:
    before = _processor_seconds(server)
    load = wrk.run(server.url, lookups, connections=CONNECTIONS, seconds=SECONDS)
    used = _processor_seconds(server) - before
    job = Job.at(server)
    return {
        "lookups": load.per_second,
        "lookups a processor second": load.per_second * SECONDS / used,
        "p99 of a lookup": load.p99_ms,
        "downloads": sum(
            curl.get(job.find("payload"), size_bytes=SIZE_BYTES) for _ in range(DOWNLOADS)
        ),
        "save": _save(server, f"payload-{number}", payload),
    }


def _save(server: LiveServer, key: str, payload: Path) -> float:
    job = Job.at(server)
    seconds = curl.put(job.reserve(key), payload, BLOB_HEADER)
    job.finalize(key, payload.stat().st_size)
    return seconds


def _processor_seconds(server: LiveServer) -> float:
    fields = Path(f"/proc/{server.process.pid}/stat").read_text("ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _CLOCK_TICKS


def _figures(found: Found) -> list[Figure]:
    figures: list[Figure] = []
    for name, unit, is_speed in (
        ("lookups", "/s", True),
        ("lookups a processor second", "/s", True),
        ("p99 of a lookup", "ms", False),
        ("downloads", "s", False),
        ("save", "s", False),
    ):
        on, off = found[name, _ON], found[name, _OFF]
        # Round by round, since the machine is not the same from one to the next.
        ratio = median(a / b if is_speed else b / a for a, b in zip(on, off, strict=True))
        target = None if unit == "ms" else _RATIO
        figures.append(
            Figure(
                name=name,
                value=median(on),
                unit=unit,
                yardstick=median(off),
                ratio=ratio,
                target=target,
            )
        )
    return figures
