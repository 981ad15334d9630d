"""How fast files are found and hashed, beside GitHub's own library in Node.

Both are whole processes, from start to end: `runcache hash-files` as it is installed, and Node with
a script that calls the `hashFiles` of `@actions/glob` and does nothing else. They run in turn, the
first one changing from round to round, on a tree like those of npm: 25 000 files of 4 KB on average
in 4 000 folders. What they print is thrown away; that both find the same is checked before.

* `**/package-lock.json`: 32 files among them, so this is start and search.
* `**`: every file is read.
* A file at the top: start, and nothing else.
"""

import os
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from random import Random
from typing import Final, NamedTuple

from benchmarks.report import Figure, Section, at_least, speed
from tests.genuine import NODE_FOLDER, find_node

FILES: Final = 25_000
QUICK_FILES: Final = 2_500
ROUNDS: Final = 5
QUICK_ROUNDS: Final = 2
PATTERNS: Final = ("**/package-lock.json", "**", "package.json")

_TARGET: Final = at_least(3)

# Its last line of output is the digest; those before it are the library's.
_SCRIPT: Final = """
import {{ hashFiles }} from "{library}";
const digest = await hashFiles(process.argv[1], process.cwd(), {{ followSymbolicLinks: false }});
console.log(digest);
"""


class _Took(NamedTuple):
    """The seconds of a process: those that passed, and those that it was computing."""

    seconds: float
    busy_seconds: float


def measure(folder: Path, *, quick: bool) -> Section:
    """Measure everything in a tree that is made in `folder`."""
    files, rounds = (QUICK_FILES, QUICK_ROUNDS) if quick else (FILES, ROUNDS)
    top = folder / "tree"
    size_bytes = _make_tree(top, files)
    took: defaultdict[tuple[str, str], list[_Took]] = defaultdict(list)
    for pattern in PATTERNS:
        commands = {"runcache": _ours(pattern), "node": _theirs(pattern)}
        _compare(commands, top)
        # The first round warms up and does not count.
        for number in range(rounds + 1):
            turn = list(commands.items())
            for name, command in turn if number % 2 else reversed(turn):
                one = _run(command, top)
                if number > 0:
                    took[name, pattern].append(one)
    notes = [
        f"{files} files of {size_bytes // files} bytes on average; whole processes, in turn",
        "yardstick: `hashFiles` of @actions/glob in Node; ratio: its seconds / ours",
    ]
    title = f"hashing: `runcache hash-files`, medians of {rounds} rounds"
    return Section(title, notes, list(_figures(took)))


def _figures(took: dict[tuple[str, str], list[_Took]]) -> Sequence[Figure]:
    figures = []
    for pattern in PATTERNS:
        ours, theirs = took["runcache", pattern], took["node", pattern]
        target = None if pattern == "package.json" else _TARGET
        figures.append(
            speed(
                f"`{pattern}`",
                [one.seconds for one in ours],
                [one.seconds for one in theirs],
                target,
            )
        )
        figures.append(
            speed(
                f"`{pattern}`, computing",
                [one.busy_seconds for one in ours],
                [one.busy_seconds for one in theirs],
            )
        )
    return figures


def _make_tree(top: Path, count: int) -> int:
    """Make `count` files, always the same ones, and return their size together."""
    chance = Random(count)  # noqa: S311  -- nothing here is secret
    top.mkdir()
    made, size_bytes, package = 1, (top / "package.json").write_text("{}"), 0
    while made < count:
        folder = top / f"packages/app-{package % 20}/node_modules/library-{package}"
        names = ["package.json", "README.md", "LICENSE"]
        if package % 25 == 0:
            names.append("package-lock.json")
        for inner in ("lib", "dist", "dist/esm", "test"):
            (folder / inner).mkdir(parents=True)
            names += [f"{inner}/file{number}.js" for number in range(chance.randint(2, 12))]
        for name in names[: count - made]:
            content = chance.randbytes(min(int(chance.lognormvariate(7.5, 1.3)), 200_000))
            (folder / name).write_bytes(content)
            size_bytes += len(content)
            made += 1
        package += 1
    return size_bytes


def _ours(pattern: str) -> list[str]:
    return [f"{sys.prefix}/bin/runcache", "hash-files", pattern]


def _theirs(pattern: str) -> list[str]:
    library = (NODE_FOLDER / "node_modules/@actions/glob/lib/glob.js").as_uri()
    script = _SCRIPT.format(library=library)
    return [str(find_node()), "--input-type=module", "--eval", script, pattern]


def _compare(commands: dict[str, list[str]], folder: Path) -> None:
    """Raise an error unless all commands print the same digest."""
    digests = {
        name: subprocess.run(
            command, cwd=folder, capture_output=True, text=True, check=True
        ).stdout.split()[-1]
        for name, command in commands.items()
    }
    if len(set(digests.values())) != 1:
        message = f"the digests differ: {digests}"
        raise RuntimeError(message)


def _run(command: list[str], folder: Path) -> _Took:
    begin = time.perf_counter()
    process = subprocess.Popen(
        command, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - begin
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        raise subprocess.CalledProcessError(process.returncode, command)
    return _Took(seconds, usage.ru_utime + usage.ru_stime)
