"""A live server that the tests share, and a repository on it for each of them."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from runcache.testing import LiveServer
from tests.conformance.jobs import Repository
from tests.conformance.programs import found
from tests.conformance.trees import BLOCKS_ABOVE_BYTES, MIB, plant


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    found("tar")
    folder = tmp_path_factory.mktemp("server")
    with LiveServer(folder / "data") as server:
        yield server
    # Gigabytes, which pytest would keep for three more runs.
    shutil.rmtree(folder)


@pytest.fixture
def repository(server: LiveServer, tmp_path: Path) -> Iterator[Repository]:
    yield Repository(server, tmp_path)
    shutil.rmtree(tmp_path)


@pytest.fixture(scope="session")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace with a folder `node modules`, whose archive is uploaded in one piece."""
    workspace = tmp_path_factory.mktemp("small")
    plant(workspace / "node modules", size_bytes=3 * MIB)
    return workspace


@pytest.fixture(scope="session")
def large(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A workspace with a folder `node modules`, whose archive needs blocks."""
    workspace = tmp_path_factory.mktemp("large")
    plant(workspace / "node modules", size_bytes=BLOCKS_ABOVE_BYTES + 9 * MIB)
    yield workspace
    shutil.rmtree(workspace)
