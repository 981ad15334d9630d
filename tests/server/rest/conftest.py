"""A repository on the shared server for each of these tests."""

from collections.abc import AsyncIterator

import pytest_asyncio

from tests.server.caretaker import Caretaker, api_token, new_repository
from tests.server.serving import Served


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def writing(shared: Served) -> str:
    """A token that may change all repositories of `octo`."""
    return await api_token(shared.settings.catalog, owners=["octo"], can_write=True)


@pytest_asyncio.fixture(loop_scope="session")
async def owner(shared: Served, writing: str) -> AsyncIterator[Caretaker]:
    """Somebody who may read and change a repository, which is empty."""
    async with Caretaker(shared, writing, new_repository()) as owner:
        yield owner
