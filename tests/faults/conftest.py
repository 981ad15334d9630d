"""Servers that the tests of this folder may stop, kill and start again as they like."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from runcache.testing import LiveServer

StartServer = Callable[..., LiveServer]


@pytest.fixture
def start_server(tmp_path: Path) -> Iterator[StartServer]:
    """Start a server with these settings; what still runs at the end of the test is killed."""
    started: list[LiveServer] = []

    def start(**settings: str) -> LiveServer:
        server = LiveServer(tmp_path / f"data{len(started)}", environ=None, **settings)
        started.append(server)
        return server

    yield start
    for server in started:
        server.kill()


@pytest.fixture
def server(start_server: StartServer) -> LiveServer:
    """A server with default settings."""
    return start_server()


@pytest.fixture(scope="session")
def shared_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    """A server with default settings that no test may stop or fill up."""
    server = LiveServer(tmp_path_factory.mktemp("shared") / "data")
    yield server
    # A drain would wait for the uploads that tests gave up.
    server.kill()
