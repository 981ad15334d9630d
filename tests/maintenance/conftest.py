"""A cache of one's own, and its clock."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.in_process import Cache, Clock, open_cache


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def cache(tmp_path: Path, clock: Clock) -> AsyncIterator[Cache]:
    async with open_cache(tmp_path, clock=clock) as cache:
        yield cache
