"""A catalog of one's own."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from runcache.catalog.catalog import Catalog
from runcache.catalog.sqlite import open_catalog


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "catalog.sqlite3"


@pytest.fixture
async def catalog(file: Path) -> AsyncIterator[Catalog]:
    async with open_catalog(file) as catalog:
        yield catalog
