"""A store belongs to one catalog: another one would take all of its blobs for debris."""

from contextlib import closing
from pathlib import Path

import pytest

from runcache.catalog.opening import open_catalog
from runcache.errors import InvalidSettings
from runcache.locations import SqliteFile
from runcache.maintenance import Maintenance
from runcache.retention import Limits
from runcache.service import now_ms
from runcache.store.local import LocalStore


async def test_the_catalog_that_comes_first_keeps_the_store(tmp_path: Path) -> None:
    with closing(LocalStore(tmp_path / "blobs")) as store:
        async with open_catalog(SqliteFile(tmp_path / "a.sqlite3")) as catalog:
            await Maintenance(catalog, store, Limits(), now=now_ms).claim_store()
        async with open_catalog(SqliteFile(tmp_path / "a.sqlite3")) as again:
            await Maintenance(again, store, Limits(), now=now_ms).claim_store()

        async with open_catalog(SqliteFile(tmp_path / "b.sqlite3")) as other:
            with pytest.raises(InvalidSettings) as refused:
                await Maintenance(other, store, Limits(), now=now_ms).claim_store()

    assert "another catalog" in str(refused.value)
    assert refused.value.hint is not None
