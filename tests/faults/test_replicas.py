"""Replicas over one PostgreSQL and one S3: any request may reach any of them, at any time."""

import asyncio
import json
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from itertools import cycle
from typing import Final, TypeVar

import aiohttp
import pytest

from runcache.testing import LiveServer
from tests.engines.postgres import Postgres
from tests.engines.seaweedfs import ENVIRONMENT, SeaweedFS
from tests.faults.raw_job import Answer, RawJob
from tests.faults.raw_socket import eventually
from tests.replicas import Balancer, Replicas, replicas

T = TypeVar("T")

MIB: Final = 1024 * 1024
RESTORES: Final = 50
RESTORES_AT_ONCE: Final = 10
RACERS: Final = 24
# What clients do, each with its own patience.
TRIES: Final = 5
NO_RESTORE_TAKES_LONGER_SECONDS: Final = 30


@dataclass
class Front:
    """What a job knows of its server: an address, and a token from wherever."""

    url: str
    token: str

    def job_token(self) -> str:
        return self.token


@pytest.fixture(scope="module")
def pair(
    postgres: Postgres, seaweedfs: SeaweedFS, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Replicas]:
    """Two replicas; a test may add more, and must leave these two running."""
    with (
        postgres.database() as catalog,
        replicas(
            tmp_path_factory.mktemp("replicas"),
            catalog=catalog,
            store=seaweedfs.store_url("replicas"),
            environ=ENVIRONMENT,
            drain_after="1s",
        ) as started,
    ):
        yield started


@pytest.fixture
async def jobs(pair: Replicas) -> AsyncIterator[list[RawJob]]:
    """The same job on both replicas."""
    async with AsyncExitStack() as stack:
        token = pair.running[0].job_token()
        yield [
            await stack.enter_async_context(RawJob(server, token=token))
            for server in pair.running[:2]
        ]


async def test_an_upload_may_come_in_blocks_to_any_replica(jobs: list[RawJob]) -> None:
    data = os.urandom(4 * MIB)
    blocks = [data[start : start + MIB // 4] for start in range(0, len(data), MIB // 4)]
    names = [f"{number:04}" for number in range(len(blocks))]
    one, other = jobs
    link = await one.upload_link("spread")

    await asyncio.gather(
        *(
            job.put_block(link.replace(one.url, job.url), name, block)
            for job, name, block in zip(cycle(jobs), names, blocks, strict=False)
        )
    )
    await other.put_block_list(link.replace(one.url, other.url), names)
    finalized = await one.finalize("spread", len(data))

    assert finalized.status == 200, finalized
    assert [await _content(job, "spread") == data for job in jobs] == [True, True]


async def test_of_many_jobs_that_save_a_key_through_two_replicas_one_does(pair: Replicas) -> None:
    async with AsyncExitStack() as stack:
        racers = [
            await stack.enter_async_context(RawJob(server))
            for server, _ in zip(cycle(pair.running[:2]), range(RACERS), strict=False)
        ]

        answers = await asyncio.gather(
            *(racer.save("raced", f"data of {n}".encode()) for n, racer in enumerate(racers))
        )

        saved = [number for number, answer in enumerate(answers) if answer.status == 200]
        assert len(saved) == 1
        refused = {
            (answer.status, answer.twirp_error()) for answer in answers if answer.status != 200
        }
        assert refused == {(409, "already_exists")}
        for racer in racers[:2]:
            assert await _content(racer, "raced") == f"data of {saved[0]}".encode()


async def test_restores_go_on_while_a_replica_joins_and_another_is_killed(pair: Replicas) -> None:
    data = os.urandom(8 * MIB)
    victim = await asyncio.to_thread(pair.start)
    balancer = Balancer([pair.running[0].url, victim.url])
    done: list[float] = []

    async with balancer.running(), RawJob(Front(balancer.url, victim.job_token())) as job:
        await job.save("wanted", data, blocks=4)

        async def restores() -> None:
            while len(done) < RESTORES:
                begun = asyncio.get_running_loop().time()
                assert await _tried_again(lambda: _content(job, "wanted")) == data
                done.append(asyncio.get_running_loop().time() - begun)

        async with asyncio.TaskGroup() as tasks:
            for _ in range(RESTORES_AT_ONCE):
                tasks.create_task(restores())
            joined = await asyncio.to_thread(pair.start, workers="2")
            balancer.servers.append(joined.url)
            await eventually(lambda: len(done) >= RESTORES // 3)
            await asyncio.to_thread(victim.kill)
            balancer.servers.remove(victim.url)

    assert max(done) < NO_RESTORE_TAKES_LONGER_SECONDS
    assert await asyncio.to_thread(joined.stop) == 0


async def test_replicas_are_restarted_one_after_the_other_without_a_failed_request(
    pair: Replicas,
) -> None:
    servers = pair.running[:2]
    balancer = Balancer([server.url for server in servers])
    before = _unexplained_misses(servers)
    statuses: list[int] = []
    is_over = asyncio.Event()

    async def saves_and_restores(number: int) -> None:
        async with RawJob(Front(balancer.url, servers[0].job_token())) as job:
            turn = 0
            while not is_over.is_set():
                turn += 1
                key, data = f"rolled-{number}-{turn}", os.urandom(MIB)
                saved = await job.save(key, data, blocks=2)
                statuses.append(saved.status)
                assert await _content(job, key) == data

    async with balancer.running(), asyncio.TaskGroup() as tasks:
        for number in range(3):
            tasks.create_task(saves_and_restores(number))
        for server in servers:
            await asyncio.to_thread(server.restart)
            await eventually(lambda: balancer.ready == balancer.servers)
        is_over.set()

    assert set(statuses) == {200}
    assert _unexplained_misses(servers) == before


async def test_what_a_former_key_has_signed_counts_on_replicas_that_know_it(
    pair: Replicas,
) -> None:
    former = pair.key_file.read_text()
    both, new = pair.key_file.with_name("both"), pair.key_file.with_name("new")
    new.write_text("ab" * 32)
    both.write_text(f"{'ab' * 32}\n{former}\n")
    old = pair.running[0]
    rotated = await asyncio.to_thread(pair.start, signing_key_file=str(both))
    without = await asyncio.to_thread(pair.start, signing_key_file=str(new))

    async with RawJob(old) as job:
        await job.save("rotated", b"data")
        link = await job.download_link("rotated")
        assert link is not None
        assert await job.get(link.replace(old.url, rotated.url)) == b"data"
        found = await _lookup(rotated, job.token)
        refused = await _lookup(without, job.token)
        renewed = await _lookup(without, rotated.job_token())

    assert (found.status, refused.status, renewed.status) == (200, 401, 200)
    for server in (rotated, without):
        await asyncio.to_thread(server.kill)


def _unexplained_misses(servers: list[LiveServer]) -> int:
    """Return how many lookups were misses, but for those that were given up."""
    lines = [json.loads(line) for server in servers for line in server.log.read_text().splitlines()]
    missed = [line for line in lines if line.get("lookup_result") == "miss"]
    given_up = [line for line in lines if line["event"] == "lookup.gave_up"]
    return len(missed) - len(given_up)


async def _lookup(server: LiveServer, token: str) -> Answer:
    async with RawJob(server, token=token) as job:
        return await job.find("rotated")


async def _content(job: RawJob, key: str) -> bytes | None:
    """Return what is saved under `key`: a lookup that a busy machine has no time for is a miss."""
    for _ in range(TRIES):
        if (data := await job.content(key)) is not None:
            return data
    return None


async def _tried_again(request: Callable[[], Awaitable[T]]) -> T:
    for _ in range(TRIES - 1):
        try:
            return await request()
        except (aiohttp.ClientError, ConnectionError):
            continue
    return await request()
