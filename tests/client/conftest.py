"""Clients that need no time to wait, and machines that nobody else saves and restores on."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from runcache.testing import LiveServer
from tests.client.machines import Machines
from tests.client.scripted_server import Trying


@pytest.fixture
def trying() -> Iterator[Trying]:
    trying = Trying()
    yield trying
    trying.close()


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    folder = tmp_path_factory.mktemp("server")
    with LiveServer(folder / "data") as server:
        yield server
    shutil.rmtree(folder)


@pytest.fixture
def machines(server: LiveServer, tmp_path: Path) -> Machines:
    """Machines of a repository that no other test uses."""
    return Machines(tmp_path, server)
