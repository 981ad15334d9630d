"""A server for the tests of its handlers."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from tests.server.serving import Served, serving


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[Served]:
    """A server with default settings."""
    async with serving(tmp_path) as server:
        yield server


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def shared(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Served]:
    """A server for all tests that have repositories of their own; they run on its loop."""
    async with serving(tmp_path_factory.mktemp("shared")) as server:
        yield server
