"""Two replicas, and everything that they depend on failing at random while jobs use them.

It lasts `CHAOS_SECONDS`, and repeats what happened with the `CHAOS_SEED` that it prints, as far as
processes that run beside each other repeat anything.
"""

import asyncio
import os
import random
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import pytest

from runcache.catalog.opening import open_catalog
from runcache.locations import Bucket, parse_catalog, parse_store
from runcache.maintenance import CheckReport, Maintenance
from runcache.retention import Limits
from runcache.service import now_ms
from runcache.store.s3 import S3Store
from runcache.store.s3_connection import S3Connection
from runcache.testing import FaultProxy
from tests.engines import seaweedfs
from tests.engines.postgres import Postgres
from tests.faults.chaos import Chaos, Store
from tests.faults.load import Load
from tests.faults.raw_socket import eventually
from tests.replicas import Balancer, Replicas, replicas

SECONDS: Final = float(os.environ.get("CHAOS_SECONDS", "120"))
SEED: Final = int(os.environ.get("CHAOS_SEED") or random.randrange(10**9))
JOBS: Final = 6
RECOVERED_WITHIN_SECONDS: Final = 60
# Also on a replica that is frozen for three seconds, and on a machine that does other things.
NO_LOOKUP_TAKES_LONGER_SECONDS: Final = 15
# The least patient of the genuine clients gives so long to each range that it downloads.
NO_REQUEST_TAKES_LONGER_SECONDS: Final = 30

# The sweep at the end comes when all uploads have expired, and no link leads anywhere.
LATER: Final = timedelta(days=3)

# No limit drops anything, and what sweeps and drains do they do now.
_SETTINGS: Final = {
    "drain_for": "2s",
    "link_ttl": "1m",
    "repo_limit": "1TB",
    "sweep_every": "10s",
}


@dataclass
class World:
    """Two replicas over engines that they reach through proxies; `catalog` and `store` do not."""

    replicas: Replicas
    chaos: Chaos
    catalog: str
    store: str


@pytest.fixture
def world(postgres: Postgres, tmp_path: Path) -> Iterator[World]:
    folder = tmp_path / "seaweedfs"
    folder.mkdir()
    with (
        postgres.database() as catalog,
        seaweedfs.running(folder) as server,
        closing(Store(server, folder)) as store,
        FaultProxy("127.0.0.1", postgres.port) as to_catalog,
        FaultProxy("127.0.0.1", urlsplit(server.endpoint).port or 0) as to_store,
        replicas(
            tmp_path,
            catalog=catalog.replace(f":{postgres.port}/", f":{to_catalog.port}/"),
            store=f"s3://{seaweedfs.BUCKET}/chaos?endpoint=http://{to_store.address}",
            environ=seaweedfs.ENVIRONMENT,
            count=0,
        ) as started,
    ):
        # What they do is the same however they do it: through each other's eyes, too.
        started.start(**_SETTINGS, direct_transfers="true")
        started.start(**_SETTINGS, workers="2")
        chaos = Chaos(
            postgres=postgres,
            store=store,
            to_catalog=to_catalog,
            to_store=to_store,
            replicas=started.running,
            chance=random.Random(SEED),
        )
        yield World(started, chaos, catalog, server.store_url("chaos"))


@pytest.mark.timeout(SECONDS * 2 + 300)
@pytest.mark.usefixtures("s3_credentials")
async def test_whatever_fails_nothing_torn_is_restored_and_nothing_saved_is_lost(
    world: World,
) -> None:
    _tell(f"CHAOS_SEED={SEED} CHAOS_SECONDS={SECONDS:.0f}")
    servers = world.replicas.running
    balancer = Balancer([server.url for server in servers])
    async with balancer.running():
        load = Load(balancer.url, servers[0].job_token, random.Random(SEED + 1))

        await _let_loose(world.chaos, load)
        await eventually(
            lambda: balancer.ready == balancer.servers, within_seconds=RECOVERED_WITHIN_SECONDS
        )
        lost = await _those_that_are_lost(load)
        for server in servers:
            assert await asyncio.to_thread(server.stop) == 0
    checked = await _swept_and_checked(world)

    _tell(_figures(world, load, checked))
    assert load.acknowledged
    assert load.wrong == []
    assert lost == []
    assert load.figures.counts["hung"] == 0
    assert max(load.figures.seconds["lookup"]) < NO_LOOKUP_TAKES_LONGER_SECONDS
    assert max(map(max, load.figures.seconds.values())) < NO_REQUEST_TAKES_LONGER_SECONDS
    assert checked.problems == []
    assert checked.entry_count >= len(load.acknowledged)


def _tell(text: str) -> None:
    print(f"\n{text}")  # noqa: T201  -- shown when it fails, and with `-s`


async def _let_loose(chaos: Chaos, load: Load) -> None:
    is_over = asyncio.Event()
    async with asyncio.TaskGroup() as tasks:
        for _ in range(JOBS):
            tasks.create_task(load.run(is_over))
        tasks.create_task(chaos.disturb_connections(is_over))
        tasks.create_task(chaos.disturb_processes(is_over))
        await asyncio.sleep(SECONDS)
        is_over.set()


async def _those_that_are_lost(load: Load) -> list[str]:
    """Restore all that was acknowledged, and what may be there of the rest; name what is not."""
    lost: list[str] = []
    left = [*load.acknowledged, *load.uncertain]
    must_be_there = {saved.key for saved in load.acknowledged}

    async def restore_rest() -> None:
        async with load.job() as job:
            while left:
                saved = left.pop()
                outcome = await load.restore(job, saved)
                if outcome != "done" and saved.key in must_be_there:
                    lost.append(f"{saved.key}: {outcome}")

    async with asyncio.TaskGroup() as tasks:
        for _ in range(JOBS):
            tasks.create_task(restore_rest())
    return lost


async def _swept_and_checked(world: World) -> CheckReport:
    """Sweep what uploads that never ended have left, and read every byte of the rest."""
    location = parse_store(world.store)
    assert isinstance(location, Bucket)
    connection = await S3Connection.opened(location)
    soon = timedelta(0)
    async with open_catalog(parse_catalog(world.catalog)) as catalog:
        with closing(S3Store(connection, grace=soon, upload_grace=soon)) as store:
            maintenance = Maintenance(
                catalog, store, Limits(), now=lambda: now_ms() + LATER // timedelta(milliseconds=1)
            )
            await maintenance.settle()
            await maintenance.prune()
            return await maintenance.check(read_data=True)


def _figures(world: World, load: Load, checked: CheckReport) -> str:
    done = [f"{name}: {times}" for name, times in sorted(world.chaos.counts.items())]
    kept = (
        f"entries: {len(load.acknowledged)} acknowledged, {len(load.uncertain)} without an answer,"
        f" {checked.entry_count} there with {checked.size_bytes} bytes,"
        f" {len(checked.problems)} problems"
    )
    return "\n".join([*done, load.figures.text(), kept])
