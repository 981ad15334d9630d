"""The schema: migrations make what the tables say, once, whoever starts first."""

import asyncio
import re
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import TypeVar

import asyncpg
import pytest
from alembic.autogenerate import compare_metadata
from alembic.operations import Operations
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, create_engine
from sqlalchemy.ext.asyncio import create_async_engine

from runcache.catalog.migrate import HEAD, SCRIPTS, upgrade
from runcache.catalog.migrations.versions import v0001_first
from runcache.catalog.opening import open_catalog
from runcache.catalog.tables import METADATA
from runcache.errors import CatalogUnavailable
from runcache.listing import FamilyUsage
from runcache.locations import CatalogLocation, PostgresDatabase, SqliteFile, parse_catalog
from runcache.matching import keys_of, walk
from runcache.model import Usage
from tests.catalog.facts import MAIN, NOW, REPOSITORY, VERSION, query, save
from tests.engines.postgres import Postgres

ENGINES = ("sqlite", "postgresql")
T = TypeVar("T")

Work = Callable[[Connection], T]


@pytest.fixture(params=ENGINES)
def location(
    request: pytest.FixtureRequest, postgres: Postgres, file: Path
) -> Iterator[CatalogLocation]:
    """Where nothing is yet."""
    if request.param == "sqlite":
        yield SqliteFile(file)
        return
    with postgres.database(is_empty=True) as url:
        yield parse_catalog(url)


def run_in(location: CatalogLocation, work: Work[T]) -> T:
    """Return what `work` does to a database, in a transaction that is committed."""
    if isinstance(location, PostgresDatabase):
        with ThreadPoolExecutor(1) as thread:
            return thread.submit(asyncio.run, _run_in_postgres(location, work)).result()
    engine = create_engine(f"sqlite:///{location.path}")
    with engine.connect() as connection:
        result = work(connection)
        connection.commit()
    engine.dispose()
    return result


async def _run_in_postgres(database: PostgresDatabase, work: Work[T]) -> T:
    engine = create_async_engine(
        "postgresql+asyncpg://", async_creator=partial(asyncpg.connect, database.url)
    )
    async with engine.connect() as connection:
        result = await connection.run_sync(work)
        await connection.commit()
    await engine.dispose()
    return result


def differences(connection: Connection) -> list[object]:
    options = {"compare_type": True, "compare_server_default": True}
    return list(compare_metadata(MigrationContext.configure(connection, opts=options), METADATA))


def test_the_migrations_make_the_tables(location: CatalogLocation) -> None:
    run_in(location, upgrade)

    assert run_in(location, differences) == []


def test_the_newest_migration_is_known_without_reading_them_all() -> None:
    assert ScriptDirectory(SCRIPTS).get_current_head() == HEAD


def words_of_schema(file: Path) -> set[tuple[str, ...]]:
    """Return each statement of a schema as its words, since constraints may be in any order."""
    rows = query(
        SqliteFile(file),
        "SELECT sql FROM sqlite_master WHERE sql != '' AND tbl_name != 'alembic_version'",
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


# Collations, defaults and the conditions of indexes, which Alembic does not compare either.
COLUMNS_IN_POSTGRES = """
SELECT table_name, column_name, data_type, collation_name, is_nullable, column_default
FROM information_schema.columns WHERE table_schema = 'public' AND table_name <> 'alembic_version'
"""
INDEXES_IN_POSTGRES = """
SELECT tablename, indexname, indexdef FROM pg_indexes
WHERE schemaname = 'public' AND tablename <> 'alembic_version'
"""


def test_the_migrations_make_the_same_in_postgresql(postgres: Postgres) -> None:
    schemas: list[set[tuple[object, ...]]] = []
    for make in (upgrade, METADATA.create_all):
        with postgres.database(is_empty=True) as url:
            database = parse_catalog(url)
            run_in(database, make)
            rows = query(database, COLUMNS_IN_POSTGRES) + query(database, INDEXES_IN_POSTGRES)
            schemas.append(set(rows))

    migrated, made = schemas

    assert migrated == made
    assert len(migrated) > len(METADATA.tables)
    texts = {row[:2] for row in migrated if row[2] == "text" and row[3] == "C"}
    assert {("entries", name) for name in ("scope", "key", "version", "family")} <= texts


async def test_opening_again_changes_nothing(location: CatalogLocation) -> None:
    async with open_catalog(location) as catalog:
        entry, _ = await save(catalog)

    async with open_catalog(location) as catalog:
        found = await catalog.entries.get(entry.id)

    assert found == entry


async def test_many_may_open_a_new_catalog_at_once(location: CatalogLocation) -> None:
    async def use(number: int) -> None:
        async with open_catalog(location) as catalog:
            await save(catalog, f"key-{number}")

    await asyncio.gather(*map(use, range(8)))

    assert query(location, "SELECT count(*) FROM entries") == [(8,)]
    assert query(location, "SELECT count(*) FROM alembic_version") == [(1,)]


async def test_a_catalog_of_a_newer_version_is_not_touched(location: CatalogLocation) -> None:
    async with open_catalog(location) as catalog:
        await save(catalog)
    query(location, "UPDATE alembic_version SET version_num = '9999'")

    async def open_it() -> None:
        async with open_catalog(location):
            pass

    with pytest.raises(CatalogUnavailable, match="upgrade runcache"):
        await open_it()

    assert query(location, "SELECT version_num FROM alembic_version") == [("9999",)]
    assert query(location, "SELECT count(*) FROM entries") == [(1,)]


async def test_a_folder_may_have_any_name(tmp_path: Path) -> None:
    file = tmp_path / "100 % 'mine' ;é?#" / "catalog.sqlite3"

    async with open_catalog(SqliteFile(file)) as catalog:
        await save(catalog)

    assert file.is_file()


# What the first release wrote: an entry in two blocks, and an upload that has received one.
OF_THE_FIRST_RELEASE = """
CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL PRIMARY KEY);
INSERT INTO alembic_version VALUES ('0001');
INSERT INTO repositories VALUES (1, 'octo/hello', 1, 30);
INSERT INTO blobs VALUES (1, 'saved', 1, 30, 17, NULL, 18, NULL, NULL);
INSERT INTO blobs VALUES (2, 'begun', 1, NULL, 17, NULL, NULL, NULL, NULL);
INSERT INTO parts VALUES (1, 'A', 'part-a', 10, 0, 0), (1, 'B', 'part-b', 20, 1, 10);
INSERT INTO parts VALUES (2, '', 'part-c', 7, 0, 0);
INSERT INTO entries VALUES (1, 1, 'refs/heads/main', 'saved', 'v1', 30, 17, 17, false);
INSERT INTO entry_blobs VALUES (1, 0, 1);
INSERT INTO uploads VALUES
    (2, 1, 'refs/heads/main', 'begun', 'v1', 2, 'job', 17, 4000000000000, 17, 1, 7);
"""


def make_first_release(connection: Connection) -> None:
    with Operations.context(MigrationContext.configure(connection)):
        v0001_first.upgrade()
    for statement in OF_THE_FIRST_RELEASE.split(";\n")[:-1]:
        connection.exec_driver_sql(statement)


async def test_a_catalog_of_the_first_release_goes_on(location: CatalogLocation) -> None:
    await asyncio.to_thread(run_in, location, make_first_release)

    async with open_catalog(location) as catalog:
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
