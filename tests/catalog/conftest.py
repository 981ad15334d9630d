"""A catalog of one's own, on each of the engines."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest
from hypothesis import settings

from runcache.catalog.catalog import Catalog
from runcache.catalog.opening import open_catalog
from runcache.locations import CatalogLocation, PostgresDatabase, SqliteFile, parse_catalog

if TYPE_CHECKING:
    from tests.engines.postgres import Postgres

ENGINES: Final = ("sqlite", "postgresql")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "catalog.sqlite3"


@pytest.fixture(params=ENGINES)
def location(request: pytest.FixtureRequest) -> CatalogLocation:
    """Where one test has a catalog."""
    if request.param == "sqlite":
        return SqliteFile(request.getfixturevalue("file"))
    return parse_catalog(request.getfixturevalue("postgres_url"))


@pytest.fixture(scope="module", params=ENGINES)
def shared_location(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[CatalogLocation]:
    """Where the tests of a module have one catalog, each with repositories of its own."""
    if request.param == "sqlite":
        yield SqliteFile(tmp_path_factory.mktemp("shared") / "catalog.sqlite3")
        return
    server: Postgres = request.getfixturevalue("postgres")
    with server.database() as url:
        yield parse_catalog(url)


@pytest.fixture(scope="module")
def examples(shared_location: CatalogLocation) -> settings:
    """How many examples of a property are tried: fewer where each costs a network's time."""
    is_slow = isinstance(shared_location, PostgresDatabase)
    return settings(max_examples=10) if is_slow else settings()


@pytest.fixture
async def catalog(location: CatalogLocation) -> AsyncIterator[Catalog]:
    async with open_catalog(location) as catalog:
        yield catalog
