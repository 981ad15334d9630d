"""A server for the tests of its handlers."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.server.serving import Served, serving


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[Served]:
    """A server with default settings."""
    async with serving(tmp_path) as server:
        yield server
