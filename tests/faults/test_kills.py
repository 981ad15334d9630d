"""A server that is killed at any moment loses nothing that it acknowledged, and keeps no litter."""

import asyncio
import hashlib
import itertools
import random
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import pytest
from aiohttp import ClientError

from runcache.catalog.opening import open_catalog
from runcache.locations import SqliteFile
from runcache.maintenance import Maintenance
from runcache.retention import Limits
from runcache.service import now_ms
from runcache.store.local import LocalStore
from tests.faults.disk import in_catalog, is_tidy, on_disk
from tests.faults.forked import ForkedServer
from tests.faults.native_job import NativeJob
from tests.faults.raw_job import RawJob
from tests.faults.raw_socket import eventually

KILLS: Final = 50
ROUNDS: Final = 5
JOBS: Final = 10
# Starting included, this is how long a server of this test lives.
LIVES_AT_MOST_SECONDS: Final = 0.3


@dataclass
class Attempt:
    """An entry that a job tries to save."""

    job: NativeJob
    key: str
    data: bytes
    is_acknowledged: bool = False

    async def save(self, manner: str) -> None:
        match manner:
            case "whole":
                answer = await self.job.save(self.key, self.data)
            case "blocks":
                answer = await self.job.save(self.key, self.data, blocks=3)
            case "snapshot":
                third = len(self.data) // 3
                packs = self.data[:third], self.data[third:]
                answer = await self.job.save_snapshot(self.key, *packs, bases="auto")
                assert answer.status == 200, answer
                self.is_acknowledged = True
                return
            case _:
                answer = await self.job.save_v1(self.key, self.data, chunks=3)
        assert answer.status == 204 or answer.body["ok"], answer
        self.is_acknowledged = True

    async def restored(self) -> bytes | None:
        """Return what a restore gets, in whatever form it was saved."""
        archive = await self.job.content(self.key)
        packs = None if archive is not None else await self.job.snapshot(self.key)
        return archive if packs is None else b"".join(packs)


@dataclass
class Story:
    """What happened to a server so far."""

    server: ForkedServer
    dice: random.Random
    saved: dict[str, str] = field(default_factory=dict)
    numbers: Iterator[int] = field(default_factory=itertools.count)

    async def live_and_die(self, jobs: Sequence[NativeJob], *, saves: int) -> list[Attempt]:
        """Let jobs save entries while the server is killed, and return what they tried.

        It is killed at some moment after it has acknowledged `saves` entries.
        """
        attempts: list[Attempt] = []
        acknowledged = asyncio.Semaphore(0)

        async def upload(job: NativeJob) -> None:
            # Whatever is cut off by the kill is what this test is about.
            with suppress(ClientError, OSError):
                while True:
                    attempt = self.new_attempt(job)
                    attempts.append(attempt)
                    await attempt.save(self.manner())
                    acknowledged.release()

        uploads = [asyncio.ensure_future(upload(job)) for job in jobs]
        for _ in range(saves):
            await acknowledged.acquire()
        await asyncio.sleep(self.dice.uniform(0, LIVES_AT_MOST_SECONDS))
        await asyncio.to_thread(self.server.kill)
        await asyncio.gather(*uploads)
        return attempts

    def new_attempt(self, job: NativeJob) -> Attempt:
        size_bytes = self.dice.choice([1, 1000, 70_000, 300_000])
        return Attempt(job, f"key-{next(self.numbers)}", self.dice.randbytes(size_bytes))

    def manner(self) -> str:
        return self.dice.choice(["whole", "blocks", "over v1", "snapshot"])

    async def check(self, attempt: Attempt) -> None:
        """See that an entry is whole, and that one that is not there can be saved now."""
        found = await attempt.restored()
        if found is None:
            assert not attempt.is_acknowledged, attempt.key
            await attempt.save(self.manner())
            found = await attempt.restored()
        assert found is not None
        self.saved[attempt.key] = hashlib.sha256(attempt.data).hexdigest()
        assert hashlib.sha256(found).hexdigest() == self.saved[attempt.key]


@pytest.fixture
def server(tmp_path: Path) -> Iterator[ForkedServer]:
    server = ForkedServer(tmp_path / "data")
    server.start()
    yield server
    server.kill()


async def prune(data: Path) -> None:
    """Do what `runcache prune` does, without starting an interpreter for it."""
    store = LocalStore(data / "blobs")
    try:
        async with open_catalog(SqliteFile(data / "catalog.sqlite3")) as catalog:
            await Maintenance(catalog, store, Limits(), now=now_ms).prune()
    finally:
        store.close()


@pytest.mark.timeout(300)
@pytest.mark.parametrize("seed", range(ROUNDS))
async def test_a_killed_server_keeps_every_acknowledged_entry_and_no_litter(
    server: ForkedServer, seed: int
) -> None:
    story = Story(server, random.Random(seed))
    acknowledged = 0
    async with AsyncExitStack() as stack:
        jobs = [await stack.enter_async_context(NativeJob(server)) for _ in range(JOBS)]
        for kill in range(KILLS // ROUNDS):
            await eventually(server.listens)
            # Every other one at any moment, also before the first entry is saved.
            attempts = await story.live_and_die(jobs, saves=kill % 2)
            acknowledged += sum(attempt.is_acknowledged for attempt in attempts)
            await asyncio.to_thread(server.start)
            await eventually(server.listens)

            await asyncio.gather(*map(story.check, attempts))
            await prune(server.data)

            await eventually(lambda: is_tidy(server.data))
        for key, sha256 in story.saved.items():
            found = await Attempt(jobs[0], key, b"").restored()
            assert found is not None
            assert hashlib.sha256(found).hexdigest() == sha256

    assert acknowledged > 0
    assert "Traceback" not in await asyncio.to_thread(server.log.read_text)


async def test_what_a_killed_server_left_is_gone_after_prune(server: ForkedServer) -> None:
    await eventually(server.listens)
    async with RawJob(server) as job:
        await job.save("saved", b"data")
        link = await job.upload_link("key")
        await job.put_block(link, "A", b"a block that was received")
        is_over = asyncio.Event()

        async def unfinished() -> AsyncIterator[bytes]:
            yield b"half a block"
            await is_over.wait()

        sending = asyncio.ensure_future(job.put_block(link, "B", unfinished()))
        await eventually(lambda: len(on_disk(server.data).parts) == 3)
        await asyncio.to_thread(server.kill)
        is_over.set()
        with suppress(ClientError, OSError):
            await sending
    litter = on_disk(server.data).parts - in_catalog(server.data).parts

    pruned = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "runcache.cli.main", "prune", "--data", str(server.data)),
        stdout=subprocess.DEVNULL,
    )

    assert await pruned.wait() == 0
    assert len(litter) == 1
    assert on_disk(server.data) == in_catalog(server.data)
    assert len(on_disk(server.data).parts) == 2


async def test_a_server_that_is_killed_while_it_starts_can_be_started_again(
    server: ForkedServer,
) -> None:
    dice = random.Random(0)
    for _ in range(8):
        await asyncio.sleep(dice.uniform(0, 0.1))
        await asyncio.to_thread(server.kill)
        await asyncio.to_thread(server.start)

    await eventually(server.listens)

    async with RawJob(server) as job:
        await job.save("key", b"data")
        assert await job.content("key") == b"data"
