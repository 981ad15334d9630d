"""What a gigabyte costs a replica that leads clients to the bucket, beside one that sends it.

What is led away costs what a restore by our own client asks of the server: a lookup, which says
where the packs are, and where the manifest is. So that ticks of the processor's clock can tell,
both are asked for many times; how long the packs are, they do not depend on.
"""

import asyncio
from http import HTTPStatus
from pathlib import Path
from typing import Final

from benchmarks import curl
from benchmarks.jobs import Job, connect, target_of
from benchmarks.machine import used_seconds, wait_until_idle
from benchmarks.report import Figure, at_least
from runcache.testing.live_server import LiveServer
from runcache.wire import native
from tests.engines.seaweedfs import ENVIRONMENT, SeaweedFS
from tests.faults.native_job import SNAPSHOT, NativeJob

# A gigabyte in packs of 32 MiB, which is how our own client has it.
PACKS_OF_A_GIGABYTE: Final = 30
RESTORES: Final = 400
QUICK_RESTORES: Final = 150

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
        asyncio.run(_save(server))
        wait_until_idle([server.process.pid, weed.process.pid])
        led = _led_seconds(server, QUICK_RESTORES if quick else RESTORES)
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


async def _save(server: LiveServer) -> None:
    async with NativeJob(server) as job:
        packs = [bytes([number]) for number in range(PACKS_OF_A_GIGABYTE)]
        saved = await job.save_snapshot("packs", *packs)
    if saved.status != HTTPStatus.OK:
        message = f"the server answers {saved.status} to a save"
        raise RuntimeError(message)


def _led_seconds(server: LiveServer, restores: int) -> float:
    origin, process_id = server.url, server.process.pid
    headers = {"Authorization": f"Bearer {server.job_token()}"}
    wanted = native.Find("packs", (SNAPSHOT,)).encode()
    before = used_seconds([process_id])
    for _ in range(restores):
        connection = connect(origin)
        connection.request("POST", native.FIND_PATH, wanted, headers)
        manifest, *packs = native.Found.decode(connection.getresponse().read()).blobs
        connection.request("GET", target_of(manifest.url))
        led = connection.getresponse()
        led.read()
        connection.close()
        if led.status != HTTPStatus.TEMPORARY_REDIRECT or not all(p.direct_url for p in packs):
            message = "the server sends bytes itself"
            raise RuntimeError(message)
    return (used_seconds([process_id]) - before) / restores
