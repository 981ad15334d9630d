"""How fast the read cache gives out what it has, beside a store on the same disk.

Two servers run at once: one with its store in a folder, the other with a bucket of SeaweedFS and a
read cache in front of it, all on the same RAM disk. curl reads the same bytes from both in turn, as
a whole and as eight ranges at once. Nothing is measured before the read cache has them.
"""

import time
from collections import defaultdict
from pathlib import Path
from typing import Final

from benchmarks import curl
from benchmarks.jobs import BLOB_HEADER, Job, block_ids, put_block_list, put_blocks
from benchmarks.machine import missing, plant_noise, touch_memory, wait_until_idle
from benchmarks.report import Section, at_least, speed
from runcache.testing.live_server import LiveServer
from tests.engines.seaweedfs import ENVIRONMENT, running

MIB: Final = 1024 * 1024
SIZE_BYTES: Final = 512 * MIB
QUICK_SIZE_BYTES: Final = 256 * MIB
ROUNDS: Final = 9
QUICK_ROUNDS: Final = 5
BLOCKS: Final = 16
RANGES: Final = 8
KEPT_WITHIN_SECONDS: Final = 60

_HIT: Final = at_least(0.9)


def measure(folder: Path, *, quick: bool) -> Section:
    """Measure hits; files in `folder` take up to seven times the entry."""
    size_bytes, rounds = (QUICK_SIZE_BYTES, QUICK_ROUNDS) if quick else (SIZE_BYTES, ROUNDS)
    title = f"read cache: entries of {size_bytes // MIB} MiB, medians of {rounds} rounds"
    if lacking := missing("curl"):
        return Section(title, lacking, ())
    touch_memory(folder, 7 * size_bytes)
    payload = folder / "payload"
    plant_noise(payload, size_bytes)
    bucket = folder / "weed"
    bucket.mkdir()
    with (
        running(bucket) as weed,
        LiveServer(folder / "local", repo_limit="100GB") as local,
        LiveServer(
            folder / "remote",
            environ=ENVIRONMENT,
            store=weed.store_url("bench"),
            read_cache="100GB",
            repo_limit="100GB",
        ) as remote,
    ):
        servers = {"local": local, "cached": remote}
        urls = {name: _saved(server, payload) for name, server in servers.items()}
        _keep(remote, urls["cached"], size_bytes)
        wait_until_idle([server.process.pid for server in servers.values()])
        seconds = _measured(urls, size_bytes, rounds)
    figures = [
        speed(name, seconds[f"{what} cached"], seconds[f"{what} local"], _HIT)
        for what, name in (
            ("get whole", "GET, saved in one piece"),
            ("get blocks", f"GET, saved in {BLOCKS} blocks"),
            ("ranges whole", f"{RANGES} ranges at once, one piece"),
            ("ranges blocks", f"{RANGES} ranges at once, blocks"),
        )
    ]
    return Section(
        title, ("ratio: seconds of the local store / seconds of the read cache",), figures
    )


def _saved(server: LiveServer, payload: Path) -> dict[str, str]:
    """Save the payload in one piece and in blocks, and return a link to each."""
    job = Job.at(server)
    size_bytes = payload.stat().st_size
    curl.put(job.reserve("whole"), payload, BLOB_HEADER)
    job.finalize("whole", size_bytes)
    link, ids = job.reserve("blocks"), block_ids(BLOCKS)
    put_blocks(link, payload, ids, lanes=2)
    put_block_list(link, ids)
    job.finalize("blocks", size_bytes)
    # Their digests are taken behind the commit.
    wait_until_idle([server.process.pid])
    return {key: job.find(key) for key in ("whole", "blocks")}


def _keep(server: LiveServer, urls: dict[str, str], size_bytes: int) -> None:
    """Read twice, and return once all of it is kept.

    Raises:
        RuntimeError: that took too long.
    """
    for url in urls.values():
        for _ in range(2):
            curl.get(url, size_bytes=size_bytes)
    until = time.monotonic() + KEPT_WITHIN_SECONDS
    while len([path for path in server.data.glob("read-cache/*/*") if not path.suffix]) < len(urls):
        if time.monotonic() > until:
            raise RuntimeError("the read cache does not keep what is read")
        time.sleep(0.1)


def _measured(
    urls: dict[str, dict[str, str]], size_bytes: int, rounds: int
) -> defaultdict[str, list[float]]:
    seconds: defaultdict[str, list[float]] = defaultdict(list)
    # The first round warms up and does not count.
    for number in range(rounds + 1):
        for name in list(urls)[:: 1 if number % 2 else -1]:
            for key, url in urls[name].items():
                whole = curl.get(url, size_bytes=size_bytes)
                ranges = curl.get_ranges(url, size_bytes=size_bytes, count=RANGES)
                if number:
                    seconds[f"get {key} {name}"].append(whole)
                    seconds[f"ranges {key} {name}"].append(ranges)
    return seconds
