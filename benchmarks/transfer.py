"""How fast bytes go in and out, beside nginx with the same file on the same RAM disk.

Both servers run at once and are measured in turn, the first one changing from round to round, so
that whatever else the machine does hits both alike. The client is curl (`curl.py`); blocks come
from threads that `sendfile`.

* GET: the whole file on one connection, and eight ranges at once. Of our two entries one came in
  one piece and one in 16 blocks.
* PUT: reserve + PUT + finalize on our side, a PUT into a folder on the side of nginx. Also as 16
  blocks, eight at a time, with reserve, block list and finalize.
* PUT of a pack, which is hashed on its way, beside our own PUT of a blob.
* Finalizing: Put Block List + finalize, once every block was received.

A saved entry is hashed in the background, and nothing is measured before that has ended.
"""

import hashlib
import shutil
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Final, TypeVar

from blake3 import blake3 as Blake3  # noqa: N812  -- it is a class

from benchmarks import curl, nginx
from benchmarks.jobs import BLOB_HEADER, Job, block_ids, put_block_list, put_blocks
from benchmarks.machine import missing, touch_memory, wait_until_idle
from benchmarks.report import Figure, Section, at_least, at_most, speed
from runcache.testing.live_server import LiveServer
from runcache.wire.native import Digests

MIB: Final = 1024 * 1024
SIZE_BYTES: Final = 1024 * MIB
QUICK_SIZE_BYTES: Final = 256 * MIB
ROUNDS: Final = 7
QUICK_ROUNDS: Final = 2
RANGES: Final = 8
BLOCKS: Final = 16
MANY_BLOCKS: Final = 1024

_WHOLE: Final = at_least(0.9)
_RANGES: Final = at_least(0.85)
_PUT: Final = at_least(0.75)
_PACK: Final = at_least(0.5)
_FINALIZE: Final = at_most(50)

T = TypeVar("T")
Seconds = defaultdict[str, list[float]]


@dataclass(frozen=True, slots=True)
class _Bench:
    folder: Path
    payload: Path
    nginx_url: str | None
    rounds: int
    # Headers of a pack.
    digests: tuple[str, ...]

    @property
    def size_bytes(self) -> int:
        return self.payload.stat().st_size


def measure(folder: Path, *, quick: bool) -> Section:
    """Measure everything; files come and go in `folder`, up to six times the size of the entry."""
    size_bytes, rounds = (QUICK_SIZE_BYTES, QUICK_ROUNDS) if quick else (SIZE_BYTES, ROUNDS)
    title = f"transfer: entries of {size_bytes // MIB} MiB, medians of {rounds} rounds"
    if lacking := missing("curl"):
        return Section(title, lacking, ())
    lacking = missing("nginx")
    touch_memory(folder, 6 * size_bytes)
    with nullcontext() if lacking else nginx.serving(folder / "nginx") as nginx_url:
        payload = folder / "nginx" / "files" / "payload"
        _make_payload(payload, size_bytes)
        bench = _Bench(folder, payload, nginx_url, rounds, _digests_of(payload))
        seconds: Seconds = defaultdict(list)
        _measure_downloads(bench, seconds)
        _measure_uploads(bench, seconds)
    notes = lacking or [nginx.NOTE, "ratio: seconds of nginx / seconds of runcache"]
    return Section(title, notes, _figures(seconds))


def _measure_downloads(bench: _Bench, seconds: Seconds) -> None:
    size_bytes = bench.size_bytes
    with _server(bench.folder) as server:
        job = Job.at(server)
        _save_whole(job, "whole", bench.payload)
        _save_blocks(job, "blocks", bench.payload, BLOCKS)
        wait_until_idle([server.process.pid])
        urls = {"one": job.find("whole"), "parts": job.find("blocks")}
        if bench.nginx_url is not None:
            urls["nginx"] = f"{bench.nginx_url}/payload"
        # The first round warms up and does not count.
        for number in range(bench.rounds + 1):
            for name, url in _in_turn(urls, number):
                whole = curl.get(url, size_bytes=size_bytes)
                ranges = curl.get_ranges(url, size_bytes=size_bytes, count=RANGES)
                if number > 0:
                    seconds[f"get {name}"].append(whole)
                    seconds[f"ranges {name}"].append(ranges)


def _measure_uploads(bench: _Bench, seconds: Seconds) -> None:
    servers: dict[str, Callable[[], dict[str, float]]] = {"ours": lambda: _upload_ours(bench)}
    if bench.nginx_url is not None:
        servers["nginx"] = lambda: _upload_nginx(bench)
    for number in range(bench.rounds + 1):
        for _, upload in _in_turn(servers, number):
            found = upload()
            if number > 0:
                for name, value in found.items():
                    seconds[name].append(value)


def _upload_ours(bench: _Bench) -> dict[str, float]:
    """Return the seconds of each way to save, on a new server whose files then go."""
    with _server(bench.folder) as server:
        job = Job.at(server)
        first = bench.folder / "first"
        first.write_bytes(b"the first request imports and connects")
        _save_whole(job, "first", first)
        found: dict[str, float] = {}
        wait_until_idle([server.process.pid])
        found["put ours"] = _save_whole(job, "whole", bench.payload)
        for count in (BLOCKS, MANY_BLOCKS):
            wait_until_idle([server.process.pid])
            all_of_it, finalizing = _save_blocks(job, f"{count} blocks", bench.payload, count)
            found[f"blocks {count}"] = all_of_it
            found[f"finalize {count}"] = finalizing
        wait_until_idle([server.process.pid])
        headers = (f"Authorization: Bearer {job.token}", *bench.digests)
        found["pack"] = curl.put(job.reserve_pack("snapshot"), bench.payload, *headers)
    return found


def _upload_nginx(bench: _Bench) -> dict[str, float]:
    uploaded = bench.payload.with_name("uploaded")
    try:
        return {"put nginx": curl.put(f"{bench.nginx_url}/uploaded", bench.payload)}
    finally:
        uploaded.unlink(missing_ok=True)


def _save_whole(job: Job, key: str, file: Path) -> float:
    """Save an entry in one piece, and return the seconds of all three requests."""
    with _timed() as reserved:
        link = job.reserve(key)
    put = curl.put(link, file, BLOB_HEADER)
    with _timed() as finalized:
        job.finalize(key, file.stat().st_size)
    return reserved[0] + put + finalized[0]


def _save_blocks(job: Job, key: str, file: Path, count: int) -> tuple[float, float]:
    """Save an entry in blocks, and return the seconds of all of it and of its end."""
    with _timed() as all_of_it:
        link = job.reserve(key)
        ids = block_ids(count)
        put_blocks(link, file, ids, lanes=RANGES)
        with _timed() as finalizing:
            put_block_list(link, ids)
            job.finalize(key, file.stat().st_size)
    return all_of_it[0], finalizing[0]


def _figures(seconds: Seconds) -> list[Figure]:
    get, ranges, put = seconds["get nginx"], seconds["ranges nginx"], seconds["put nginx"]
    figures = [
        speed("GET, saved in one piece", seconds["get one"], get, _WHOLE),
        speed(f"GET, saved in {BLOCKS} blocks", seconds["get parts"], get, _WHOLE),
        speed(f"{RANGES} ranges at once, one piece", seconds["ranges one"], ranges, _RANGES),
        speed(f"{RANGES} ranges at once, blocks", seconds["ranges parts"], ranges, _RANGES),
        speed("reserve + PUT + finalize", seconds["put ours"], put, _PUT),
        speed(f"the same in {BLOCKS} blocks, 8 at a time", seconds[f"blocks {BLOCKS}"], put),
        speed(f"the same in {MANY_BLOCKS} blocks", seconds[f"blocks {MANY_BLOCKS}"], put),
        speed("PUT of a pack, beside our own PUT", seconds["pack"], seconds["put ours"], _PACK),
    ]
    for count in (BLOCKS, MANY_BLOCKS):
        value = median(seconds[f"finalize {count}"]) * 1000
        name = f"block list + finalize, {count} blocks"
        figures.append(Figure(name=name, value=value, unit="ms", target=_FINALIZE))
    return figures


def _in_turn(things: dict[str, T], number: int) -> list[tuple[str, T]]:
    pairs = list(things.items())
    return pairs if number % 2 else pairs[::-1]


@contextmanager
def _server(folder: Path) -> Iterator[LiveServer]:
    data = folder / "data"
    try:
        with LiveServer(data, repo_limit="100GB") as server:
            yield server
    finally:
        shutil.rmtree(data, ignore_errors=True)


@contextmanager
def _timed() -> Iterator[list[float]]:
    """Yield a list that holds the seconds of the block once it has ended."""
    found: list[float] = []
    started = time.perf_counter()
    yield found
    found.append(time.perf_counter() - started)


def _digests_of(file: Path) -> tuple[str, ...]:
    with file.open("rb") as reader:
        sha256 = hashlib.file_digest(reader, "sha256").digest()
    blake3 = Blake3().update_mmap(file).digest()
    return tuple(f"{name}: {value}" for name, value in Digests(blake3, sha256).headers.items())


def _make_payload(file: Path, size_bytes: int) -> None:
    block = b"\x5e" * MIB
    with file.open("wb") as writer:
        for _ in range(size_bytes // MIB):
            writer.write(block)
