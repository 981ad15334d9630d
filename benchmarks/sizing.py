"""What a request and a gigabyte cost on each shape of server, and what that makes of jobs an hour.

`python -m benchmarks.sizing` prints the tables of docs/sizing.md. Costs are processor time of the
server and of its engines, by the kernel's count; they depend little on what else the machine does.
Each call has a connection of its own, as jobs have. What is done behind a commit counts, too.
"""

import argparse
import shutil
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from http import HTTPStatus
from pathlib import Path
from typing import Final

from benchmarks.jobs import Job, connect, target_of
from benchmarks.machine import (
    description,
    peak_resident_bytes,
    plant_noise,
    resident_bytes,
    scratch,
    wait_until_idle,
)
from benchmarks.programs import Client, Genuine, Ours
from benchmarks.programs import Job as Place
from benchmarks.report import Figure, Section
from benchmarks.shapes import SHAPES, Shape, ShapeName, running
from benchmarks.sizing_tables import Costs, tables

REQUESTS: Final = 400
QUICK_REQUESTS: Final = 100
SMALL_BYTES: Final = 64 * 1024
LARGE_BYTES: Final = 512 * 1024**2
QUICK_LARGE_BYTES: Final = 128 * 1024**2
GB: Final = 10**9
# Digests and syncs, and the records of lookups.
LEAVE_WORK_BEHIND: Final = ("commit", "lookup")
CLIENTS: Final[Mapping[str, Client]] = {"`actions/cache`": Genuine(), "our client": Ours()}


def measure(folder: Path, *, quick: bool) -> Section:
    """Measure all shapes; files in `folder` take up to ten times the size of the large entry."""
    found = costs(folder, quick=quick)
    figures = [
        Figure(name=f"{SHAPES[shape]}: {name}, {part}", value=seconds * 1000, unit="ms")
        for shape, cost in found.items()
        for name, parts in cost.seconds.items()
        for part, seconds in parts.items()
    ]
    notes = ("processor time a request, and a gigabyte; `python -m benchmarks.sizing` has tables",)
    return Section("sizing: what requests and gigabytes cost", notes, figures)


def costs(folder: Path, *, quick: bool) -> dict[ShapeName, Costs]:
    """Measure what each shape costs."""
    requests, size_bytes = (QUICK_REQUESTS, QUICK_LARGE_BYTES) if quick else (REQUESTS, LARGE_BYTES)
    with running(folder) as shapes:
        return {shape.name: _costs_of(shape, folder, requests, size_bytes) for shape in shapes}


def _costs_of(shape: Shape, folder: Path, requests: int, size_bytes: int) -> Costs:
    wait_until_idle([shape.server.process.pid])
    idle_bytes = resident_bytes(shape.server.process.pid)
    seconds: dict[str, dict[str, float]] = {}
    bytes_before, rows_before = shape.catalog_size()
    _request_by_request(shape, requests, seconds)
    bytes_after, rows_after = shape.catalog_size()
    for name, client in CLIENTS.items():
        place = Place(
            shape.server.url, shape.server.job_token(), folder / "workspace", folder / "home"
        )
        _gigabytes(shape, client, name, place, size_bytes, seconds)
    return Costs(
        seconds,
        idle_bytes,
        peak_resident_bytes(shape.server.process.pid),
        (bytes_after - bytes_before) / requests,
        (rows_after - rows_before) / requests,
    )


def _request_by_request(shape: Shape, requests: int, seconds: dict[str, dict[str, float]]) -> None:
    job = Job.at(shape.server)
    keys = [f"small-{number}" for number in range(requests)]
    # Whatever is imported or connected late is, before anything counts.
    _put(job.reserve("first"), SMALL_BYTES)
    job.finalize("first", SMALL_BYTES)
    _get(job.find("first"))
    links: list[str] = []
    steps: dict[str, Callable[[str], object]] = {
        "reserve": lambda key: links.append(job.reserve(key)),
        "upload of 64 KiB": lambda key: _put(links[keys.index(key)], SMALL_BYTES),
        "commit": lambda key: job.finalize(key, SMALL_BYTES),
        "lookup": lambda key: found.append(job.find(key)),
        "download of 64 KiB": lambda key: _get(found[keys.index(key)]),
    }
    found: list[str] = []
    wait_until_idle([shape.server.process.pid])
    for name, step in steps.items():
        with _counted(shape, seconds, name, per=requests, settles=name in LEAVE_WORK_BEHIND):
            for key in keys:
                step(key)


def _gigabytes(
    shape: Shape,
    client: Client,
    name: str,
    place: Place,
    size_bytes: int,
    seconds: dict[str, dict[str, float]],
) -> None:
    """Save and restore what cannot be compressed, each on a machine that has never seen it."""
    place.cached.mkdir(parents=True)
    plant_noise(place.cached / "random", size_bytes)
    try:
        with _counted(shape, seconds, f"GB up, {name}", per=size_bytes / GB, settles=True):
            client.save(place, name.strip("`"))
        shutil.rmtree(place.workspace)
        shutil.rmtree(place.home)
        with _counted(shape, seconds, f"GB down, {name}", per=size_bytes / GB):
            client.restore(place, name.strip("`"))
    finally:
        shutil.rmtree(place.workspace, ignore_errors=True)
        shutil.rmtree(place.home, ignore_errors=True)


@contextmanager
def _counted(
    shape: Shape,
    seconds: dict[str, dict[str, float]],
    name: str,
    *,
    per: float,
    settles: bool = False,
) -> Iterator[None]:
    """Count what the block makes the shape do; if it `settles`, until it is at rest again."""
    before = shape.processor_seconds()
    yield
    if settles:
        wait_until_idle(shape.processes())
    after = shape.processor_seconds()
    seconds[name] = {part: (used - before[part]) / per for part, used in after.items()}


def _put(link: str, size_bytes: int) -> None:
    _asked(link, "PUT", 201, bytes(size_bytes))


def _get(link: str) -> None:
    _asked(link, "GET", 200)


def _asked(link: str, method: str, status: int, body: bytes | None = None) -> None:
    connection = connect(link)
    headers = {"x-ms-blob-type": "BlockBlob"} if body is not None else {}
    connection.request(method, target_of(link), body, headers)
    response = connection.getresponse()
    answer = response.read()
    connection.close()
    if response.status == HTTPStatus.TEMPORARY_REDIRECT:
        _asked(response.headers["Location"], method, status, body)
    elif response.status != status:
        message = f"the server answered {response.status}: {answer[:500]!r}"
        raise RuntimeError(message)


def main() -> int:
    """Measure, and print the tables."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.sizing", description="Size runcache."
    )
    parser.add_argument("--quick", action="store_true", help="smaller: to try it, not to judge by")
    quick: bool = parser.parse_args().quick
    print("; ".join(f"{name.replace('_', ' ')}: {value}" for name, value in description().items()))
    with scratch() as folder:
        found = costs(folder, quick=quick)
    for table in tables(found):
        print(f"\n{table}", end="")
    return 0


if __name__ == "__main__":
    sys.exit(main())
