"""A command line to type at, and a cache with something in it."""

import asyncio
import json
import os
import secrets
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pytest

from runcache.access import scopes_for
from runcache.catalog.opening import open_catalog
from runcache.cli.main import main
from runcache.locations import SqliteFile
from runcache.model import Grant
from runcache.service import CacheService, UploadLimits
from runcache.store.local import LocalStore
from runcache.testing import LiveServer

PROGRAM: Final = (sys.executable, "-m", "runcache.cli.main")
# What tells a command that a job runs, and what its step writes to.
OF_A_JOB: Final = ("ACTIONS_", "GITHUB_", "RUNCACHE_", "RUNNER_", "XDG_")


@dataclass(frozen=True, slots=True)
class Ended:
    """How a command ended, and what it said."""

    code: int
    out: str
    err: str


Runcache = Callable[..., Ended]


@pytest.fixture
def runcache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Runcache:
    """Return a function that runs a command in an empty folder, without any setting around."""
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.startswith(OF_A_JOB)]:
        monkeypatch.delenv(name)

    def run(*args: str) -> Ended:
        capsys.readouterr()
        code = main(args)
        out, err = capsys.readouterr()
        return Ended(code, out, err)

    return run


@dataclass(frozen=True, slots=True)
class Job:
    """A job whose folder is the current one, on a machine that has never saved or restored."""

    folder: Path
    run: Runcache

    @property
    def output_file(self) -> Path:
        """The file in which a step of a workflow tells the next ones something."""
        return self.folder / "output"

    def json(self, *args: str) -> dict[str, Any]:
        """Run a command that ends well, and return the object that it prints."""
        ended = self.run(*args, "--json")
        assert ended.code == 0, ended.err
        answer: dict[str, Any] = json.loads(ended.out)
        return answer

    def write(self, name: str, text: str) -> Path:
        """Write a file, and return where it is."""
        file = self.folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        return file

    def read(self, name: str) -> str | None:
        """Return the text of a file, `None` if there is none."""
        file = self.folder / name
        return file.read_text() if file.exists() else None

    def start(self, *args: str) -> subprocess.Popen[str]:
        """Start a command as a process of its own."""
        return subprocess.Popen(
            [*PROGRAM, *args], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )

    def ended(self, *args: str, text: str | None = None) -> Ended:
        """Run a command as a process of its own, with `text` on its stdin."""
        ran = subprocess.run(
            [*PROGRAM, *args], input=text, capture_output=True, text=True, check=False
        )
        return Ended(ran.returncode, ran.stdout, ran.stderr)


@pytest.fixture
def lone_job(runcache: Runcache, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Job:
    """Return a job that nobody told of a cache, in a step of a workflow."""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    job = Job(tmp_path, runcache)
    monkeypatch.setenv("GITHUB_OUTPUT", str(job.output_file))
    return job


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    with LiveServer(tmp_path_factory.mktemp("server") / "data") as server:
        yield server


@pytest.fixture
def job_at_server(lone_job: Job, server: LiveServer, monkeypatch: pytest.MonkeyPatch) -> Job:
    """Return a job with a server, for a repository that no other test uses."""
    token = server.job_token(repository=f"octo/{secrets.token_hex(8)}")
    monkeypatch.setenv("RUNCACHE_URL", server.url)
    monkeypatch.setenv("RUNCACHE_TOKEN", token)
    return lone_job


@pytest.fixture
def job_with_store(lone_job: Job, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Job:
    """Return a job with the embedded store, which is empty."""
    monkeypatch.setenv("RUNCACHE_DATA", str(tmp_path / "store"))
    return lone_job


@pytest.fixture(params=["server", "store"])
def job(request: pytest.FixtureRequest) -> Job:
    """Return a job with a server, then one with the embedded store."""
    name = {"server": "job_at_server", "store": "job_with_store"}[request.param]
    job: Job = request.getfixturevalue(name)
    return job


def save(data: Path, key: str, content: bytes) -> None:
    """Save an entry as a job of `octo/hello` on its default branch would."""
    grant = Grant("octo/hello", scopes_for(ref="refs/heads/main"), job="job-1")

    async def body() -> AsyncIterator[bytes]:
        yield content

    async def act() -> None:
        with closing(LocalStore(data / "blobs")) as store:
            async with open_catalog(SqliteFile(data / "catalog.sqlite3")) as catalog:
                service = CacheService(catalog, store, UploadLimits(min_free_bytes=0))
                upload = await service.reserve(grant, key, "v1")
                await service.write_whole(upload.blob, body(), announced_bytes=len(content))
                await service.commit(grant, key, "v1", len(content))

    asyncio.run(act())


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Return the data folder of a cache with the entries `small` (10 bytes) and `large` (1000)."""
    folder = tmp_path / "data"
    save(folder, "small", b"s" * 10)
    save(folder, "large", b"l" * 1000)
    return folder


def parts_of(data: Path) -> list[Path]:
    """Return the files of all blobs, the smallest first."""
    files = (data / "blobs").glob("*/*/*")
    return sorted(files, key=lambda path: path.stat().st_size)
