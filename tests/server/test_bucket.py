"""A server whose store is a bucket, with either catalog: the whole way, as a process of its own."""

import asyncio
import json
import os
import socket
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import pytest

from runcache.testing import LiveServer
from runcache.testing.live_server import COMMAND
from tests.engines.seaweedfs import ENVIRONMENT, SeaweedFS
from tests.faults.native_job import NativeJob
from tests.faults.raw_job import RawJob
from tests.faults.raw_socket import slow_connection

MIB: Final = 1024 * 1024
READERS: Final = 12
LARGE_BYTES: Final = 48 * MIB
# What waits for a client, what was fetched for it, and what the libraries keep besides.
READER_BYTES: Final = 8 * MIB


class Place:
    """Where a server has its catalog and its store, for commands too."""

    def __init__(self, data: Path, catalog: str, store: str, environ: Mapping[str, str]) -> None:
        self.data = data
        self.settings = {"catalog": catalog, "store": store}
        self.environ = environ

    def serve(self) -> LiveServer:
        return LiveServer(self.data, environ=self.environ, **self.settings)

    def run(self, *args: str) -> Any:  # noqa: ANN401  -- whatever it prints
        """Run a command beside the server."""
        places = {f"RUNCACHE_{name.upper()}": text for name, text in self.settings.items()}
        ended = subprocess.run(
            [*COMMAND, *args, "--json"],
            cwd=self.data,
            env={**os.environ, **self.environ, **places, "RUNCACHE_DATA": str(self.data)},
            capture_output=True,
            text=True,
            check=False,
        )
        assert ended.returncode == 0, ended.stderr
        return json.loads(ended.stdout)


@pytest.fixture(params=["sqlite", "postgres"])
def place(
    request: pytest.FixtureRequest,
    tmp_path: Path,
    s3_store_url: str,
    s3_environment: Mapping[str, str],
) -> Place:
    if request.param == "sqlite":
        catalog = f"sqlite:///{tmp_path}/catalog.sqlite3"
    else:
        catalog = request.getfixturevalue("postgres_url")
    return Place(tmp_path / "data", catalog, s3_store_url, s3_environment)


@pytest.fixture
def server(place: Place) -> Iterator[LiveServer]:
    with place.serve() as server:
        yield server


async def test_what_is_saved_is_restored_checked_and_forgotten(
    place: Place, server: LiveServer
) -> None:
    data = os.urandom(20 * MIB)
    packs = [os.urandom(9 * MIB), b"small"]
    async with NativeJob(server) as job:
        ready = await job.request("GET", f"{job.url}/readyz")
        saved = [
            await job.save("whole", data),
            await job.save("blocks", data, blocks=3),
            await job.save_snapshot("snapshot", *packs),
        ]

        assert ready.status == 200, ready
        assert [answer.status for answer in saved] == [200, 200, 200], saved
        for key in ("whole", "blocks"):
            assert await job.content(key) == data
            link = await job.download_link(key)
            assert link is not None
            part = await job.request("GET", link, headers={"Range": "bytes=7000000-14000000"})
            assert (part.status, part.body) == (206, data[7_000_000:14_000_001])
        assert await job.snapshot("snapshot") == packs

        checked = await asyncio.to_thread(place.run, "check", "--read-data")
        assert (checked["entries"], checked["problems"]) == (3, [])
        # No bucket says how much room is left in it.
        kept = await asyncio.to_thread(place.run, "forget", "--min-free", "900TB")
        assert kept["entries"] == 0
        forgotten = await asyncio.to_thread(place.run, "forget", "--total-limit", "1B")
        assert forgotten["entries"] == 3
        assert await job.content("whole") is None


@pytest.fixture
def sqlite_server(
    tmp_path: Path, s3_store_url: str, s3_environment: Mapping[str, str]
) -> Iterator[LiveServer]:
    with LiveServer(tmp_path / "data", environ=s3_environment, store=s3_store_url) as server:
        yield server


async def test_slow_readers_cost_a_few_pieces_each(sqlite_server: LiveServer) -> None:
    async with RawJob(sqlite_server) as job:
        assert (await job.save("large", bytes(LARGE_BYTES))).body["ok"] is True
        link = await job.download_link("large")
        assert link is not None
        assert len(await job.get(link)) == LARGE_BYTES
        before = await asyncio.to_thread(sqlite_server.rss_bytes)
        highest = before
        with ExitStack() as stack:
            readers = [stack.enter_context(reading(link)) for _ in range(READERS)]
            for _ in range(10):
                for reader in readers:
                    assert await asyncio.to_thread(reader.recv, 64 * 1024)
                highest = max(highest, await asyncio.to_thread(sqlite_server.rss_bytes))

    cost = (highest - before) / READERS
    assert cost < READER_BYTES, f"{cost / MIB:.1f} MiB a reader"


@contextmanager
def reading(link: str) -> Iterator[socket.socket]:
    """Open a connection that has asked for a download and does not take it."""
    url = urlsplit(link)
    with slow_connection(link) as connection:
        connection.sendall(f"GET {url.path}?{url.query} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        yield connection


@pytest.mark.parametrize(
    ("wrong", "said", "hint"),
    [
        ({"store": "s3://absent"}, "`NoSuchBucket`", "make the bucket, or correct `store`"),
        ({"AWS_SECRET_ACCESS_KEY": "wrong"}, "`SignatureDoesNotMatch`", "AWS_SECRET_ACCESS_KEY"),
    ],
)
def test_a_server_that_cannot_use_its_store_says_why_and_does_not_start(
    tmp_path: Path, seaweedfs: SeaweedFS, wrong: dict[str, str], said: str, hint: str
) -> None:
    bucket = wrong.pop("store", "s3://cache")

    with pytest.raises(RuntimeError) as raised:
        LiveServer(
            tmp_path / "data",
            environ={**ENVIRONMENT, **wrong},
            store=f"{bucket}/{tmp_path.name}?endpoint={seaweedfs.endpoint}",
        )

    text = str(raised.value)
    assert said in text
    assert hint in text
    assert "Traceback" not in text
    assert ENVIRONMENT["AWS_SECRET_ACCESS_KEY"] not in text
