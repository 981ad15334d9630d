"""The public functions, as a program of somebody else calls them."""

import asyncio
import inspect
import logging
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import runcache
from runcache.client.client import Client
from runcache.library import Connection
from runcache.testing import LiveServer


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder, in an environment that says nothing but where the store is."""
    for name in list(os.environ):
        if name.startswith(("ACTIONS_", "GITHUB_", "RUNCACHE_", "RUNNER_", "XDG_")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("RUNCACHE_DATA", str(tmp_path / "data"))
    workspace = tmp_path / "workspace"
    workspace.mkdir()
    monkeypatch.chdir(workspace)
    return workspace


def write(folder: Path, text: str = "text") -> None:
    folder.mkdir(exist_ok=True)
    (folder / "file").write_text(text)


def test_a_folder_is_saved_and_restored(workspace: Path) -> None:
    write(workspace / "deps")

    saved = runcache.save(["deps"], key="deps-1")
    (workspace / "deps" / "file").unlink()
    hit = runcache.restore(["deps"], key="deps-2", restore_keys=["deps-"])

    assert isinstance(saved, runcache.Saved)
    assert isinstance(hit, runcache.Hit)
    assert (saved.created, hit.exact, hit.matched_key) == (True, False, "deps-1")
    assert (workspace / "deps" / "file").read_text() == "text"


def test_a_miss_is_none(workspace: Path) -> None:
    assert runcache.restore(["deps"], key="deps-1") is None
    assert list(workspace.iterdir()) == []


def test_one_path_may_be_a_text(workspace: Path) -> None:
    write(workspace / "deps")

    runcache.save("deps", key="k")

    assert runcache.restore(["deps"], key="k", lookup_only=True) is not None


def test_keys_and_paths_are_evaluated(workspace: Path) -> None:
    write(workspace / "deps")
    (workspace / "lock").write_text("1")

    key = "k-${{ hashFiles('lock') }}"
    saved = runcache.save(["${{ github.event_name == 'push' && 'deps' }}"], key=key)
    (workspace / "lock").write_text("2")
    other = runcache.restore(["deps"], key=key, restore_keys=["k-${{ 1 == 2 }}"])

    (workspace / "lock").write_text("1")
    assert saved.key == f"k-{runcache.hash_files('lock')}"
    assert other is None


def test_the_block_makes_what_is_missing_once(workspace: Path) -> None:
    made = []
    for _ in range(2):
        with runcache.cached(["deps"], key="deps-1") as hit:
            if hit is None:
                made.append(1)
                write(workspace / "deps", "made")
        (workspace / "deps" / "file").unlink()

    runcache.restore(["deps"], key="deps-1")

    assert made == [1]
    assert (workspace / "deps" / "file").read_text() == "made"


def test_the_key_of_a_block_is_that_of_its_beginning(workspace: Path) -> None:
    (workspace / "lock").write_text("1")
    key = "k-${{ hashFiles('lock') }}"
    with runcache.cached(["deps"], key=key):
        write(workspace / "deps")
        (workspace / "lock").write_text("2")

    assert runcache.restore(["deps"], key=key, lookup_only=True) is None
    (workspace / "lock").write_text("1")
    assert runcache.restore(["deps"], key=key, lookup_only=True) is not None


def test_a_block_that_hit_a_prefix_saves_under_its_own_key(workspace: Path) -> None:
    write(workspace / "deps")
    runcache.save(["deps"], key="deps-1")

    with runcache.cached(["deps"], key="deps-2", restore_keys=["deps-"]) as hit:
        assert hit is not None

    found = runcache.restore(["deps"], key="deps-2", lookup_only=True)
    assert found is not None
    assert found.exact


def test_a_block_that_fails_saves_nothing(workspace: Path) -> None:
    def fail() -> None:
        with runcache.cached(["deps"], key="deps-1"):
            write(workspace / "deps")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert runcache.restore(["deps"], key="deps-1") is None


def test_warnings_are_logged(workspace: Path, caplog: pytest.LogCaptureFixture) -> None:
    write(workspace / "deps")

    with caplog.at_level(logging.WARNING, logger="runcache"):
        runcache.save(["deps"], key="k", base="missing")

    assert caplog.messages == ["there is no snapshot `missing` to be the base"]


async def test_coroutines_do_the_same(workspace: Path) -> None:
    write(workspace / "deps")

    async with runcache.AsyncClient() as cache:
        saved = await cache.save(["deps"], key="deps-${{ runner.os }}")
        hits = await asyncio.gather(
            *(cache.restore(["deps"], key=saved.key, lookup_only=True) for _ in range(4))
        )
        missed = await cache.restore(["deps"], key="other")

    assert saved.created
    assert all(hit is not None and hit.exact for hit in hits)
    assert missed is None


async def test_coroutines_need_their_client_to_be_open() -> None:
    with pytest.raises(RuntimeError):
        await runcache.AsyncClient().restore(["deps"], key="k")


@pytest.fixture
def server(tmp_path: Path) -> Iterator[LiveServer]:
    with LiveServer(tmp_path / "of the server") as server:
        yield server


async def test_a_server_can_be_named(workspace: Path, server: LiveServer) -> None:
    write(workspace / "deps")
    named = Connection(url=server.url, token=server.job_token())

    async with runcache.AsyncClient(**named) as cache:
        await cache.save(["deps"], key="k")
    hit = await asyncio.to_thread(runcache.restore, ["deps"], key="k", connection=named)

    assert hit is not None
    assert hit.scope == "refs/heads/main"
    assert await asyncio.to_thread(runcache.restore, ["deps"], key="k") is None


@pytest.mark.parametrize(
    ("public", "method"), [(runcache.restore, Client.restore), (runcache.save, Client.save)]
)
def test_the_public_functions_take_what_the_client_takes(public: object, method: object) -> None:
    assert callable(public)
    assert callable(method)
    options = inspect.get_annotations(public)["options"].__args__[0].__annotations__
    own = set(inspect.signature(method).parameters) - {"self", "paths", "key", "progress"}

    assert set(options) == own


# What a miss over HTTP must not load, since it costs more than the miss.
HEAVY = (
    "aiohttp",
    "alembic",
    "asyncio",
    "blake3",
    "concurrent.futures",
    "google",
    "logging",
    "platformdirs",
    "pyfastcdc",
    "rich",
    "runcache.embedded",
    "runcache.expressions",
    "runcache.globs",
    "runcache.server",
    "runcache.snapshot",
    "runcache.store",
    "sqlalchemy",
    "structlog",
    "urllib3",
    "zstandard",
)


def test_a_miss_over_http_loads_only_what_it_needs(workspace: Path, server: LiveServer) -> None:
    code = (
        "import runcache, sys\n"
        "assert runcache.restore(['deps'], key='k') is None\n"
        "print(*sys.modules, sep='\\n')"
    )
    variables = {"RUNCACHE_URL": server.url, "RUNCACHE_TOKEN": server.job_token()}

    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=workspace,
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
        check=True,
    )

    loaded = set(done.stdout.split())
    assert not loaded & set(HEAVY)


def test_to_import_the_library_loads_nothing() -> None:
    code = "import sys; before = {*sys.modules}; import runcache; print(*{*sys.modules} - before)"

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout.split() == ["runcache"]
