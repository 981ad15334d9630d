"""One server whose pages are looked at, and somebody who looks, with a repository of their own."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.server.caretaker import new_repository
from tests.server.serving import Served, serving
from tests.server.ui.visitor import Visitor, visiting


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def server(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Served]:
    """A server with default settings; the tests of its pages run on its loop."""
    async with serving(tmp_path_factory.mktemp("ui")) as server:
        yield server


@pytest_asyncio.fixture(loop_scope="session")
async def visitor(server: Served) -> AsyncIterator[Visitor]:
    """Somebody who is not signed in."""
    async with visiting(server) as visitor:
        yield visitor


@pytest.fixture
def repository() -> str:
    """The name of a repository that no other test has."""
    return new_repository()
