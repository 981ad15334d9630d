"""What a gigabyte costs a replica that leads clients to the bucket, beside one that sends it.

What is led away costs a lookup for each restore, and an answer for each blob. So that ticks of the
processor's clock can tell, both are asked for many times, and the bytes are fetched once.
"""

from pathlib import Path
from typing import Final

from benchmarks import curl
from benchmarks.jobs import BLOB_HEADER, Job, connect, target_of
from benchmarks.machine import used_seconds, wait_until_idle
from benchmarks.report import Figure, at_least
from runcache.testing.live_server import LiveServer
from tests.engines.seaweedfs import ENVIRONMENT, SeaweedFS

# The links of a gigabyte in packs of 32 MiB, which is how our own client has it.
LINKS_OF_A_GIGABYTE: Final = 30
RESTORES: Final = 40
QUICK_RESTORES: Final = 15

_GIGABYTE: Final = 1000**3
_CHEAPER: Final = at_least(20)


def measure_direct(
    folder: Path, weed: SeaweedFS, streaming: LiveServer, payload: Path, *, quick: bool
) -> Figure:
    """Measure both; `streaming` has an entry `whole` that is the payload."""
    rounds = 2 if quick else 4
    streamed = _streamed_seconds(streaming, payload.stat().st_size, rounds)
    with LiveServer(
        folder / "direct",
        environ=ENVIRONMENT,
        store=weed.store_url("direct"),
        direct_transfers="true",
        repo_limit="100GB",
    ) as server:
        led = _led_seconds(server, weed, payload, QUICK_RESTORES if quick else RESTORES)
    return Figure(
        name="processor time of a replica for 1 GB in packs of 32 MiB, direct and streamed",
        value=led,
        unit="s",
        yardstick=streamed,
        ratio=streamed / led,
        target=_CHEAPER,
    )


def _streamed_seconds(server: LiveServer, size_bytes: int, rounds: int) -> float:
    job, process_id = Job.at(server), server.process.pid
    wait_until_idle([process_id])
    before = used_seconds([process_id])
    for _ in range(rounds):
        curl.get(job.find("whole"), size_bytes=size_bytes)
    return (used_seconds([process_id]) - before) * _GIGABYTE / (rounds * size_bytes)


def _led_seconds(server: LiveServer, weed: SeaweedFS, payload: Path, restores: int) -> float:
    job, process_id = Job.at(server), server.process.pid
    curl.put(job.reserve("whole"), payload, BLOB_HEADER)
    job.finalize("whole", payload.stat().st_size)
    wait_until_idle([process_id, weed.process.pid])
    before = used_seconds([process_id])
    for _ in range(restores):
        leads = _leads_of(job.find("whole"))
    used = used_seconds([process_id]) - before
    curl.get(leads[-1], size_bytes=payload.stat().st_size)
    return used / restores


def _leads_of(link: str) -> list[str]:
    """Return where a link leads, asked as often as there are packs in a gigabyte."""
    connection = connect(link)
    leads: list[str] = []
    for _ in range(LINKS_OF_A_GIGABYTE):
        connection.request("GET", target_of(link))
        response = connection.getresponse()
        response.read()
        location = response.headers["Location"]
        if location is None:
            message = f"the server answers {response.status} and leads nowhere"
            raise RuntimeError(message)
        leads.append(location)
    connection.close()
    return leads
