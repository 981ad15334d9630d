"""How fast our client is beside GitHub's own, on one server, each call a process of its own.

Both save and restore the same tree of generated files (`trees.py`) on the same RAM disk, in turn,
the first one changing from round to round. Each round has a repository and machines of its own, so
that nothing is known from the rounds before:

1. a save of a tree that is not known at all, on a machine that has never saved;
2. a restore of it on another machine, into nothing;
3. the same restore again, onto files that are all there;
4. a save under a new key on the first machine, after 5 % of the files were given other contents.

GitHub's client knows neither 3 nor 4: it does everything again, which is what they are beside.
A miss looks for a key that nobody has saved. Nothing is measured while the server still works on
what came before.
"""

import shutil
from collections import defaultdict
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from typing import Final

from benchmarks import trees
from benchmarks.machine import touch_memory, wait_until_idle
from benchmarks.programs import Client, Genuine, Job, Ours
from benchmarks.report import Figure, Section, Target, at_least, at_most, speed
from benchmarks.usage import stored_bytes
from runcache.testing.live_server import LiveServer

ROUNDS: Final = 5
QUICK_ROUNDS: Final = 1
LARGE_ROUNDS: Final = 2
MISSES: Final = 5
LARGE_FILES: Final = 60_000
LARGE_BYTES: Final = 2_000_000_000
CLIENTS: Final[dict[str, Client]] = {"ours": Ours(), "theirs": Genuine()}

Found = defaultdict[str, list[float]]


@dataclass(frozen=True, slots=True)
class _Size:
    files: int
    size_bytes: int
    rounds: int


@dataclass(frozen=True, slots=True, kw_only=True)
class _Targets:
    """What the ratios should be, if anything."""

    cold_save: Target | None = None
    stored: Target | None = None
    cold_restore: Target | None = None
    changed_save: Target | None = None
    sent: Target | None = None
    intact_restore: Target | None = None
    miss: Target | None = None


FLOORS: Final = _Targets(
    cold_save=at_least(1.4),
    stored=at_most(1.15),
    cold_restore=at_least(1.5),
    changed_save=at_least(4),
    sent=at_most(0.12),
    intact_restore=at_least(2.5),
    miss=at_most(0.8),
)

AIMS: Final = "the aim: 1.4 for the first save, 1.5 for the first restore, 8 for what follows each"


def measure(folder: Path, *, quick: bool) -> Section:
    """Measure the tree that has floors; files in `folder` take up to 3 GB."""
    rounds = QUICK_ROUNDS if quick else ROUNDS
    return _section(folder, _Size(trees.FILES, trees.SIZE_BYTES, rounds), FLOORS)


def measure_large(folder: Path, *, quick: bool) -> Section:
    """Measure a tree as large as those of big projects; files in `folder` take up to 12 GB."""
    rounds = QUICK_ROUNDS if quick else LARGE_ROUNDS
    section = _section(folder, _Size(LARGE_FILES, LARGE_BYTES, rounds), _Targets())
    return replace(section, notes=(*section.notes, AIMS))


@dataclass(frozen=True, slots=True)
class _Subject:
    """One of the clients, with a repository and two machines that nobody has used."""

    name: str
    client: Client
    repository: str
    saver: Job
    restorer: Job


def _section(folder: Path, size: _Size, targets: _Targets) -> Section:
    touch_memory(folder, 4 * size.size_bytes)
    found: Found = defaultdict(list)
    # The first round warms up and does not count.
    for number in range(size.rounds + 1):
        measured = _round(folder, size, number)
        if number > 0:
            for name, values in measured.items():
                found[name] += values
    title = (
        f"client: {size.files} files, {size.size_bytes / 1e6:.0f} MB,"
        f" medians of {size.rounds} rounds"
    )
    notes = (
        "whole processes, beside the npm library @actions/cache on the same server",
        "ratio: its seconds / seconds of runcache; of a miss and of bytes the other way round",
    )
    return Section(title, notes, _figures(found, targets))


def _round(folder: Path, size: _Size, number: int) -> Found:
    found: Found = defaultdict(list)
    tree = folder / "workspace" / "deps"
    with LiveServer(folder / "data", repo_limit="100GB") as server:
        trees.plant(tree, files=size.files, size_bytes=size.size_bytes, seed=number)
        subjects = [_subject(server, folder, name) for name in CLIENTS]
        if number % 2:
            subjects.reverse()
        for subject in subjects:
            _measure_first(server, subject, found)
        trees.change(tree, seed=number)
        for subject in subjects:
            _measure_changed(server, subject, found)
    for used in folder.iterdir():
        if used.is_dir():
            shutil.rmtree(used)
    return found


def _measure_first(server: LiveServer, subject: _Subject, found: Found) -> None:
    """Measure the misses, the first save, and the restores of it."""
    name, client = subject.name, subject.client
    for number in range(MISSES):
        ran = client.restore(subject.restorer, f"absent-{number}", is_there=False)
        found[f"miss {name}"].append(ran.seconds)
    wait_until_idle([server.process.pid])
    found[f"cold save {name}"].append(client.save(subject.saver, "first").seconds)
    wait_until_idle([server.process.pid])
    found[f"stored {name}"].append(stored_bytes(server, subject.repository))
    found[f"cold restore {name}"].append(client.restore(subject.restorer, "first").seconds)
    found[f"intact restore {name}"].append(client.restore(subject.restorer, "first").seconds)
    # On a RAM disk it is memory, which the other one shall find as well.
    shutil.rmtree(subject.restorer.workspace)


def _measure_changed(server: LiveServer, subject: _Subject, found: Found) -> None:
    """Measure the save of what changed since the first one."""
    ran = subject.client.save(subject.saver, "second")
    found[f"changed save {subject.name}"].append(ran.seconds)
    found[f"sent {subject.name}"].append(ran.answer.get("new_bytes", 0))
    wait_until_idle([server.process.pid])


def _figures(found: Found, targets: _Targets) -> list[Figure]:
    def faster(name: str, row: str, target: Target | None) -> Figure:
        return speed(row, found[f"{name} ours"], found[f"{name} theirs"], target)

    def less(name: str, row: str, target: Target | None, *, of: str, unit: str) -> Figure:
        scale = 1e6 if unit == "MB" else 1
        ours, theirs = median(found[f"{name} ours"]) / scale, median(found[of]) / scale
        return Figure(
            name=row, value=ours, unit=unit, yardstick=theirs, ratio=ours / theirs, target=target
        )

    return [
        faster("cold save", "save, nothing known", targets.cold_save),
        less("stored", "bytes stored", targets.stored, of="stored theirs", unit="MB"),
        faster("cold restore", "restore, nothing there", targets.cold_restore),
        faster("intact restore", "restore, all there", targets.intact_restore),
        faster("changed save", "save after a change of 5 %", targets.changed_save),
        less("sent", "bytes sent for it, of all", targets.sent, of="stored ours", unit="MB"),
        less("miss", "miss", targets.miss, of="miss theirs", unit="s"),
    ]


def _subject(server: LiveServer, folder: Path, name: str) -> _Subject:
    repository = f"octo/{name}"
    # No blanks in these names: GitHub's client cannot restore below one.
    token = server.job_token(repository=repository)
    saver = Job(server.url, token, folder / "workspace", folder / f"{name}-saver")
    restorer = Job(server.url, token, folder / f"{name}-restored", folder / f"{name}-restorer")
    return _Subject(name, CLIENTS[name], repository, saver, restorer)
