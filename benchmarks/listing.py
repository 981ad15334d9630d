"""How long a page of a list takes in a repository of 10 thousand and of 1 million entries.

Over GitHub's REST API, one request after the other on one connection, with pages of 100 entries.
Each selection is listed in all six orders, four pages deep by the links, and once by its number.
Both servers run and are asked in turn, so that the machine is equally busy for both.
"""

import json
import re
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from http.client import HTTPConnection
from itertools import product
from pathlib import Path
from statistics import quantiles
from typing import Final
from urllib.parse import urlencode, urlsplit

from benchmarks import crowd
from benchmarks.machine import wait_until_idle
from benchmarks.report import Figure, Section, at_most
from runcache.testing.live_server import LiveServer

SMALL: Final = 10_000
LARGE: Final = 1_000_000
QUICK_LARGE: Final = 100_000
ROUNDS: Final = 5
QUICK_ROUNDS: Final = 1
PAGES: Final = 4
PER_PAGE: Final = 100
SORTS: Final = ("created_at", "last_accessed_at", "size_in_bytes")
SELECTIONS: Final = {
    "all": {},
    "prefix of most": {"key": "Linux-"},
    "prefix of many": {"key": "Linux-npm-"},
    "prefix of old ones": {"key": crowd.OLD},
    "prefix of few": {"key": "Linux-npm-ab"},
    "prefix of none": {"key": "unheard-of"},
    "main": {"ref": crowd.MAIN},
    "pull request": {"ref": crowd.pull_request(0.5)},
    "main, prefix of many": {"ref": crowd.MAIN, "key": "Linux-npm-"},
    "main, prefix of old ones": {"ref": crowd.MAIN, "key": crowd.OLD},
    "pull request, prefix": {"ref": crowd.pull_request(0.5), "key": "Linux-"},
}

P95_MS: Final = at_most(50)
_NEXT: Final = re.compile(r'<([^>]*)>; rel="next"')


@dataclass(frozen=True, slots=True)
class _Subject:
    """A connection to a server, and the headers that its requests have."""

    server: LiveServer
    connection: HTTPConnection
    headers: dict[str, str]

    def page(self, target: str) -> tuple[float, str | None]:
        """Ask for a page; return the milliseconds, and the target of the next one."""
        begin = time.perf_counter()
        self.connection.request("GET", target, headers=self.headers)
        answer = self.connection.getresponse()
        body = answer.read()
        milliseconds = (time.perf_counter() - begin) * 1000
        if answer.status != 200 or "total_count" not in json.loads(body):
            message = f"{target} answered {answer.status}"
            raise RuntimeError(message)
        link = _NEXT.search(answer.getheader("Link") or "")
        if link is None:
            return milliseconds, None
        following = urlsplit(link[1])
        return milliseconds, f"{following.path}?{following.query}"


def measure(folder: Path, *, quick: bool) -> Section:
    """Measure both repositories; files in `folder` take up to 1 GiB."""
    large, rounds = (QUICK_LARGE, QUICK_ROUNDS) if quick else (LARGE, ROUNDS)
    times: dict[tuple[int, str], list[float]] = defaultdict(list)
    with ExitStack() as stack:
        subjects = {count: _subject(stack, folder / str(count), count) for count in (SMALL, large)}
        wait_until_idle(subject.server.process.pid for subject in subjects.values())
        # The first round warms up and does not count.
        for number, name, count in product(range(rounds + 1), SELECTIONS, subjects):
            taken = list(_pages(subjects[count], name))
            if number > 0:
                times[count, name] += taken
    notes = (
        f"p95 of {PER_PAGE} entries a page in milliseconds, over REST, one connection",
        f"the yardstick is the repository of {SMALL} entries; ratio: large / small",
        f"each in six orders, {PAGES} pages by links and the tenth by number, {rounds} rounds",
    )
    title = f"listing: {SMALL} and {large} entries in one repository"
    return Section(title, notes, list(_figures(times, large)))


def _subject(stack: ExitStack, data: Path, count: int) -> _Subject:
    # It makes the catalog.
    LiveServer(data).stop()
    crowd.fill(data / "catalog.sqlite3", count)
    # Nothing is too large or too old to be kept.
    server = stack.enter_context(LiveServer(data, repo_limit="1000TB", min_free="0"))
    address = urlsplit(server.url)
    connection = HTTPConnection(address.hostname or "", address.port)
    stack.callback(connection.close)
    token = server.api_token(crowd.REPOSITORY)
    return _Subject(server, connection, {"Authorization": f"Bearer {token}"})


def _pages(subject: _Subject, name: str) -> Iterator[float]:
    """Yield the milliseconds of each page of one selection."""
    for sort, direction in product(SORTS, ("asc", "desc")):
        query = {"sort": sort, "direction": direction, "per_page": str(PER_PAGE)}
        path = f"/repos/{crowd.REPOSITORY}/actions/caches"
        target: str | None = f"{path}?{urlencode({**query, **SELECTIONS[name]})}"
        yield subject.page(f"{target}&page=10")[0]
        for _ in range(PAGES):
            if target is None:
                break
            milliseconds, target = subject.page(target)
            yield milliseconds


def _figures(times: dict[tuple[int, str], list[float]], large: int) -> Iterator[Figure]:
    every = {
        count: [each for (of, _), taken in times.items() if of == count for each in taken]
        for count in (SMALL, large)
    }
    yield Figure(name="all of them, small", value=_p95(every[SMALL]), unit="ms", target=P95_MS)
    yield Figure(name="all of them, large", value=_p95(every[large]), unit="ms", target=P95_MS)
    for name in SELECTIONS:
        small, big = _p95(times[SMALL, name]), _p95(times[large, name])
        yield Figure(name=name, value=big, unit="ms", yardstick=small, ratio=big / small)


def _p95(milliseconds: list[float]) -> float:
    return quantiles(milliseconds, n=20)[-1]
