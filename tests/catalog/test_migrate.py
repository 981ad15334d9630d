"""The schema: migrations make what the tables say, once, whoever starts first."""

import asyncio
import re
from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, create_engine

from runcache.catalog.catalog import Catalog
from runcache.catalog.migrate import HEAD, SCRIPTS, upgrade
from runcache.catalog.sqlite import open_catalog
from runcache.catalog.tables import METADATA
from runcache.errors import CatalogUnavailable
from runcache.listing import FamilyUsage
from runcache.matching import keys_of, walk
from runcache.model import Usage
from tests.catalog.facts import MAIN, NOW, REPOSITORY, VERSION, query, save


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


def test_the_newest_migration_is_known_without_reading_them_all() -> None:
    assert ScriptDirectory(SCRIPTS).get_current_head() == HEAD


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

    assert found == entry
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


# What the first release wrote: an entry in two blocks, and an upload that has received one.
OF_THE_FIRST_RELEASE = """
INSERT INTO repositories VALUES (1, 'octo/hello', 1, 30);
INSERT INTO blobs VALUES (1, 'saved', 1, 30, 17, x'aa', 18, NULL, NULL);
INSERT INTO blobs VALUES (2, 'begun', 1, NULL, 17, NULL, NULL, NULL, NULL);
INSERT INTO parts VALUES (1, 'A', 'part-a', 10, 0, 0), (1, 'B', 'part-b', 20, 1, 10);
INSERT INTO parts VALUES (2, '', 'part-c', 7, 0, 0);
INSERT INTO entries VALUES (1, 1, 'refs/heads/main', 'saved', 'v1', 30, 17, 17, 0);
INSERT INTO entry_blobs VALUES (1, 0, 1);
INSERT INTO uploads VALUES
    (2, 1, 'refs/heads/main', 'begun', 'v1', 2, 'job', 17, 4000000000000, 17, 1, 7);
"""


def make_catalog_of_the_first_release(file: Path) -> None:
    config = Config()
    config.set_main_option("script_location", str(SCRIPTS))
    engine = create_engine(f"sqlite:///{file}")
    with engine.connect() as connection, connection.begin():
        config.attributes["connection"] = connection
        command.upgrade(config, "0001")
        for statement in OF_THE_FIRST_RELEASE.split(";\n")[:-1]:
            connection.exec_driver_sql(statement)
    engine.dispose()


async def test_a_catalog_of_the_first_release_goes_on(file: Path) -> None:
    await asyncio.to_thread(make_catalog_of_the_first_release, file)

    async with open_catalog(file) as catalog:
        found = await catalog.entries.find(
            REPOSITORY, [VERSION], walk([MAIN], keys_of("saved")), every_blob=True
        )
        families = await catalog.listing.families(REPOSITORY)
        upload = await catalog.uploads.get(2, now_ms=NOW)
        entry = await catalog.uploads.commit(upload, size_bytes=7, now_ms=NOW)
        usage = await catalog.repositories.usage(REPOSITORY)
        miscounted = await catalog.repositories.miscounted(repair=False)
        dropped = await catalog.entries.forget([1, entry.id], now_ms=NOW, link_ms=0)

    assert found is not None
    assert (found.entry.key, found.entry.is_snapshot) == ("saved", False)
    assert [(blob.name, blob.size_bytes, blob.pack) for blob in found.blobs] == [
        ("saved", 30, None)
    ]
    assert [part.name for part in found.parts["saved"]] == ["part-a", "part-b"]
    assert families == [FamilyUsage("saved", 1, 30)]
    assert (upload.is_snapshot, entry.is_snapshot) == (False, False)
    assert (usage, miscounted, dropped) == (Usage(REPOSITORY, 2, 37), [], 2)
