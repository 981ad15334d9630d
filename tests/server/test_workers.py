"""Several processes on one port: they count together, end together, and none is missed for long."""

import asyncio
import json
import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.request import urlopen

import pytest
from prometheus_client.parser import text_string_to_metric_families

from runcache.testing import LiveServer
from runcache.testing.live_server import COMMAND
from tests.faults.raw_job import RawJob
from tests.faults.raw_socket import eventually

MIB = 1024 * 1024


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., LiveServer]]:
    """Start a server with two workers, whose temporary files are in `tmp`."""
    started: list[LiveServer] = []
    (tmp_path / "tmp").mkdir()

    def start_one(**settings: str) -> LiveServer:
        environ = {"TMPDIR": str(tmp_path / "tmp")}
        server = LiveServer(tmp_path / "data", environ=environ, workers="2", **settings)
        started.append(server)
        return server

    yield start_one
    for server in started:
        server.kill()


def test_workers_count_together_and_end_together(
    start: Callable[..., LiveServer], tmp_path: Path
) -> None:
    server = start()
    assert len(workers_of(server)) == 2
    for _ in range(20):
        with urlopen(f"{server.url}healthz") as answer:  # noqa: S310  -- our own address
            assert answer.status == 200

    assert counted(server, "runcache_requests_total", route="/healthz") == 20
    assert server.stop() == 0

    assert list((tmp_path / "tmp").iterdir()) == []
    assert [event["event"] for event in events(server)].count("drained") == 2


async def test_a_worker_that_dies_is_started_again_and_what_it_counted_stays(
    start: Callable[..., LiveServer],
) -> None:
    server = await asyncio.to_thread(start)
    before = await asyncio.to_thread(workers_of, server)
    async with RawJob(server) as job:
        await job.save("saved", b"by one of them")

    for pid in before:
        os.kill(pid, signal.SIGKILL)
    async with RawJob(server) as job:
        # Nobody is turned away: it waits for the next worker.
        assert await job.content("saved") == b"by one of them"
    await eventually(lambda: len(workers_of(server)) == 2)
    assert not before & await asyncio.to_thread(workers_of, server)
    assert await asyncio.to_thread(counted, server, "runcache_saved_entries_total") == 1
    ended = [event for event in events(server) if event["event"] == "worker.ended"]
    assert len(ended) == 2
    assert {event["worker"] for event in ended} == {0, 1}
    assert {event["exit_code"] for event in ended} == {-signal.SIGKILL}


async def test_a_download_is_finished_by_its_worker_while_the_others_are_gone(
    start: Callable[..., LiveServer],
) -> None:
    server = await asyncio.to_thread(start)
    data = os.urandom(64 * MIB)
    async with RawJob(server) as job:
        await job.save("whole", data)
        link = (await job.find("whole")).body["signed_download_url"]
        async with job.session.get(link) as response:
            begun = await response.content.readexactly(MIB)
            server.process.send_signal(signal.SIGTERM)
            await eventually(lambda: len(workers_of(server)) == 1)
            rest = await response.content.read()

    assert begun + rest == data
    assert await asyncio.to_thread(server.process.wait, 20) == 0


async def test_workers_end_with_their_parent_however_it_ends(
    start: Callable[..., LiveServer], tmp_path: Path
) -> None:
    server = await asyncio.to_thread(start)
    workers = await asyncio.to_thread(workers_of, server)
    assert len(list((tmp_path / "tmp").iterdir())) == 1

    await asyncio.to_thread(server.kill)

    await eventually(lambda: not any(Path(f"/proc/{pid}").exists() for pid in workers))
    assert list((tmp_path / "tmp").iterdir()) == []


def test_a_port_at_which_other_workers_are_is_taken(
    start: Callable[..., LiveServer], tmp_path: Path
) -> None:
    port = start().url.rstrip("/").rpartition(":")[2]

    second = run("--workers", "2", "--port", port, "--data", str(tmp_path / "data"))

    assert (second.returncode, second.stdout) == (2, "")
    assert f"error: cannot listen on `127.0.0.1:{port}`" in second.stderr


def test_what_keeps_workers_from_serving_is_said_once(tmp_path: Path) -> None:
    with LiveServer(tmp_path / "data"):
        pass
    stolen = (tmp_path / "data" / "blobs").as_uri()

    ended = run(
        "--workers", "3", "--port", "0", "--data", str(tmp_path / "other"), "--store", stolen
    )

    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr.startswith("error: the store belongs to another catalog\nhint: ")
    assert ended.stderr.count("error: ") == 1


def run(*flags: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*COMMAND, "serve", *flags], capture_output=True, text=True, check=False, timeout=60
    )


def workers_of(server: LiveServer) -> set[int]:
    pid = server.process.pid
    return set(map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text("ascii").split()))


def counted(server: LiveServer, metric: str, **labels: str) -> float:
    with urlopen(f"{server.url}metrics") as answer:  # noqa: S310  -- our own address
        families = text_string_to_metric_families(answer.read().decode())
    return sum(
        sample.value
        for family in families
        for sample in family.samples
        if sample.name == metric and labels.items() <= sample.labels.items()
    )


def events(server: LiveServer) -> list[dict[str, object]]:
    return [json.loads(line) for line in server.log.read_text("utf-8").splitlines()]
