"""A command line to type at, and a cache with something in it."""

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pytest

from runcache.access import scopes_for
from runcache.catalog.sqlite import open_catalog
from runcache.cli.main import main
from runcache.model import Grant
from runcache.service import CacheService, UploadLimits
from runcache.store.local import LocalStore


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
    for name in [name for name in os.environ if name.startswith("RUNCACHE_")]:
        monkeypatch.delenv(name)

    def run(*args: str) -> Ended:
        capsys.readouterr()
        code = main(args)
        out, err = capsys.readouterr()
        return Ended(code, out, err)

    return run


def save(data: Path, key: str, content: bytes) -> None:
    """Save an entry as a job of `octo/hello` on its default branch would."""
    grant = Grant("octo/hello", scopes_for(ref="refs/heads/main"), job="job-1")

    async def body() -> AsyncIterator[bytes]:
        yield content

    async def act() -> None:
        with closing(LocalStore(data / "blobs")) as store:
            async with open_catalog(data / "catalog.sqlite3") as catalog:
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
