"""The schema: migrations make what the tables say, once, whoever starts first."""

import asyncio
import re
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Connection, create_engine

from runcache.catalog.catalog import Catalog
from runcache.catalog.migrate import upgrade
from runcache.catalog.sqlite import open_catalog
from runcache.catalog.tables import METADATA
from runcache.errors import CatalogUnavailable
from tests.catalog.facts import query, save


def differences(connection: Connection) -> list[object]:
    options = {"compare_type": True, "compare_server_default": True}
    return list(compare_metadata(MigrationContext.configure(connection, opts=options), METADATA))


def test_the_migrations_make_the_tables(tmp_path: Path) -> None:
    engine = create_engine(f"sqlite:///{tmp_path / 'catalog.sqlite3'}")
    with engine.connect() as connection:
        upgrade(connection)

        found = differences(connection)

    engine.dispose()
    assert found == []


def words_of_schema(file: Path) -> set[tuple[str, ...]]:
    """Return each statement of a schema as its words, since constraints may be in any order."""
    rows = query(
        file, "SELECT sql FROM sqlite_master WHERE sql != '' AND tbl_name != 'alembic_version'"
    )
    return {tuple(sorted(re.findall(r"\w+", str(row[0])))) for row in rows}


def test_the_migrations_make_also_what_alembic_does_not_compare(tmp_path: Path) -> None:
    # AUTOINCREMENT, WITHOUT ROWID, collations, the conditions of indexes.
    for name, make in (("migrated", upgrade), ("made", METADATA.create_all)):
        engine = create_engine(f"sqlite:///{tmp_path / name}")
        with engine.connect() as connection:
            make(connection)
            connection.commit()
        engine.dispose()

    migrated = words_of_schema(tmp_path / "migrated")

    assert migrated == words_of_schema(tmp_path / "made")
    assert len(migrated) >= len(METADATA.tables)


async def test_opening_again_changes_nothing(file: Path) -> None:
    async with open_catalog(file) as catalog:
        entry, _ = await save(catalog)
    before = query(file, "SELECT name, sql FROM sqlite_master")

    async with open_catalog(file) as catalog:
        found = await catalog.entries.get(entry.id)

    assert found is not None
    assert found.entry == entry
    assert query(file, "SELECT name, sql FROM sqlite_master") == before


async def test_many_may_open_a_new_catalog_at_once(file: Path) -> None:
    async def use(number: int) -> None:
        async with open_catalog(file) as catalog:
            await save(catalog, f"key-{number}")

    await asyncio.gather(*map(use, range(8)))

    assert query(file, "SELECT count(*) FROM entries") == [(8,)]
    assert query(file, "SELECT count(*) FROM alembic_version") == [(1,)]


async def test_a_catalog_of_a_newer_version_is_not_touched(catalog: Catalog, file: Path) -> None:
    await save(catalog)
    query(file, "UPDATE alembic_version SET version_num = '9999'")

    async def open_it() -> None:
        async with open_catalog(file):
            pass

    with pytest.raises(CatalogUnavailable, match="upgrade runcache"):
        await open_it()

    assert query(file, "SELECT version_num FROM alembic_version") == [("9999",)]
    assert query(file, "SELECT count(*) FROM entries") == [(1,)]


async def test_a_folder_may_have_any_name(tmp_path: Path) -> None:
    file = tmp_path / "100 % 'mine' ;é?#" / "catalog.sqlite3"

    async with open_catalog(file) as catalog:
        await save(catalog)

    assert file.is_file()
