"""How fast bytes go through a replica whose store is a bucket, beside the bucket itself.

SeaweedFS and a server run at once, on the same RAM disk and the same cores. curl reads the objects
of an entry by signed links, one after the other, and the entry itself, in turn, so that whatever
else the machine does hits both alike; then the same with uploads. At the end many clients begin to
read and stop: what they cost is the `VmRSS` of the server, less what it held before.
"""

import socket
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import botocore.session
from botocore.config import Config

from benchmarks import curl
from benchmarks.direct import measure_direct
from benchmarks.jobs import BLOB_HEADER, Job, block_ids, put_block_list, put_blocks
from benchmarks.machine import (
    missing,
    plant_noise,
    resident_bytes,
    touch_memory,
    wait_until_idle,
)
from benchmarks.report import Figure, Section, at_least, at_most, speed
from runcache.testing.live_server import LiveServer
from tests.engines.seaweedfs import BUCKET, ENVIRONMENT, SeaweedFS, running

MIB: Final = 1024 * 1024
SIZE_BYTES: Final = 1024 * MIB
QUICK_SIZE_BYTES: Final = 256 * MIB
ROUNDS: Final = 7
QUICK_ROUNDS: Final = 3
BLOCKS: Final = 16
READERS: Final = 32
HOLD_SECONDS: Final = 3
LINK_TTL: Final = timedelta(hours=1)

_DOWN: Final = at_least(0.8)
_READER: Final = at_most(8)

Seconds = defaultdict[str, list[float]]


@dataclass(frozen=True, slots=True)
class _Bench:
    weed: SeaweedFS
    server: LiveServer
    payload: Path
    rounds: int

    @property
    def size_bytes(self) -> int:
        return self.payload.stat().st_size


def measure(folder: Path, *, quick: bool) -> Section:
    """Measure downloads, uploads and memory; files in `folder` take up to five times the entry."""
    size_bytes, rounds = (QUICK_SIZE_BYTES, QUICK_ROUNDS) if quick else (SIZE_BYTES, ROUNDS)
    title = f"s3: entries of {size_bytes // MIB} MiB, medians of {rounds} rounds"
    if lacking := missing("curl"):
        return Section(title, lacking, ())
    touch_memory(folder, 5 * size_bytes)
    payload = folder / "payload"
    plant_noise(payload, size_bytes)
    data = folder / "weed"
    data.mkdir()
    seconds: Seconds = defaultdict(list)
    with running(data) as weed, _server(folder, weed) as server:
        bench = _Bench(weed, server, payload, rounds)
        _measure_downloads(bench, seconds)
        _measure_uploads(bench, seconds)
        reader_bytes = _cost_of_readers(bench)
        direct = measure_direct(folder, weed, server, payload, quick=quick)
    one, many = (seconds[f"plain {name}"] for name in ("whole", "blocks"))
    figures = (
        speed("GET of an entry that is one object", seconds["whole"], one, _DOWN),
        speed(f"GET of one that is {BLOCKS} objects", seconds["blocks"], many, _DOWN),
        speed("PUT in one piece", seconds["put"], seconds["plain put"]),
        Figure(
            name=f"memory for each of {READERS} readers that stand still",
            value=reader_bytes / MIB,
            unit="MiB",
            target=_READER,
        ),
        direct,
    )
    notes = ("ratio: seconds of SeaweedFS alone / seconds through runcache",)
    return Section(title, notes, figures)


def _measure_downloads(bench: _Bench, seconds: Seconds) -> None:
    job = Job.at(bench.server)
    link = job.reserve("whole")
    curl.put(link, bench.payload, BLOB_HEADER)
    job.finalize("whole", bench.size_bytes)
    link, ids = job.reserve("blocks"), block_ids(BLOCKS)
    put_blocks(link, bench.payload, ids, lanes=2)
    put_block_list(link, ids)
    job.finalize("blocks", bench.size_bytes)
    _wait(bench)
    urls = {
        "plain whole": _objects(bench, 1),
        "whole": [job.find("whole")],
        "plain blocks": _objects(bench, BLOCKS),
        "blocks": [job.find("blocks")],
    }
    # The first round warms up and does not count.
    for number in range(bench.rounds + 1):
        for name, those in list(urls.items())[:: 1 if number % 2 else -1]:
            found = curl.get_all(those, size_bytes=bench.size_bytes)
            if number:
                seconds[name].append(found)


def _measure_uploads(bench: _Bench, seconds: Seconds) -> None:
    job = Job.at(bench.server)
    for number in range(2):
        plain = _signed(bench, "put_object", f"plain/{number}")
        seconds["plain put"].append(curl.put(plain, bench.payload))
        link = job.reserve(f"put {number}")
        seconds["put"].append(curl.put(link, bench.payload, BLOB_HEADER))


def _cost_of_readers(bench: _Bench) -> float:
    """Return how many bytes of memory a reader takes that asks for much and takes little."""
    url = urlsplit(Job.at(bench.server).find("whole"))
    _wait(bench)
    process_id = bench.server.process.pid
    before = resident_bytes(process_id)
    with ExitStack() as stack:
        for _ in range(READERS):
            connection = stack.enter_context(socket.socket())
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 64 * 1024)
            connection.connect((url.hostname, url.port))
            head = f"GET {url.path}?{url.query} HTTP/1.1\r\nHost: localhost\r\n\r\n"
            connection.sendall(head.encode())
            if not connection.recv(1024).startswith(b"HTTP/1.1 200 "):
                raise RuntimeError("a reader was refused")
        time.sleep(HOLD_SECONDS)
        held = resident_bytes(process_id)
    return max(held - before, 0) / READERS


@contextmanager
def _server(folder: Path, weed: SeaweedFS) -> Iterator[LiveServer]:
    with LiveServer(
        folder / "data",
        environ=ENVIRONMENT,
        store=weed.store_url("bench"),
        repo_limit="100GB",
    ) as server:
        yield server


def _wait(bench: _Bench) -> None:
    wait_until_idle([bench.server.process.pid, bench.weed.process.pid])


def _client(bench: _Bench) -> Any:  # noqa: ANN401  -- botocore makes its clients as it runs
    return botocore.session.get_session().create_client(
        "s3",
        endpoint_url=bench.weed.endpoint,
        region_name="us-east-1",
        aws_access_key_id=ENVIRONMENT["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=ENVIRONMENT["AWS_SECRET_ACCESS_KEY"],
        config=Config(signature_version="s3v4", s3={"addressing_style": "path"}),
    )


def _signed(bench: _Bench, operation: str, key: str) -> str:
    url: str = _client(bench).generate_presigned_url(
        operation,
        Params={"Bucket": BUCKET, "Key": key},
        ExpiresIn=int(LINK_TTL.total_seconds()),
    )
    return url


def _objects(bench: _Bench, count: int) -> list[str]:
    """Return links to the objects of the entry that is so many of them."""
    listed = _client(bench).list_objects_v2(Bucket=BUCKET, Prefix="bench/")
    size_bytes = bench.size_bytes // count
    keys = [found["Key"] for found in listed["Contents"] if found["Size"] == size_bytes]
    return [_signed(bench, "get_object", key) for key in keys]
