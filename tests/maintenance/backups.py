"""Making backups of a cache, and looking at them."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from runcache.catalog.catalog import Catalog
from runcache.catalog.opening import open_catalog
from runcache.locations import CatalogLocation, Folder, SqliteFile, StoreLocation
from runcache.maintenance.backing_up import BackingUp, BackupReport
from runcache.maintenance.backup_folder import BackupFolder
from runcache.maintenance.restoring import RestoreReport, Restoring
from runcache.progress import Progress, Silence
from runcache.store.blobs import BlobStore
from runcache.store.opening import open_store
from tests.in_process import Cache


class Interrupted(Exception):
    """What a test stops a backup with."""


class StopsAfter(Silence):
    """Ends a piece of work with an exception when it has done so many files."""

    def __init__(self, files: int) -> None:
        self._left = files

    def advance(self, *, files: int = 0, size_bytes: int = 0) -> None:  # noqa: ARG002
        self._left -= files
        if self._left <= 0:
            raise Interrupted


async def back_up(
    cache: Cache,
    target: Path,
    *,
    store: BlobStore | None = None,
    progress: Progress | None = None,
    signing_key: str | None = None,
) -> BackupReport:
    backing_up = BackingUp(
        cache.catalog,
        store or cache.store,
        BackupFolder(target),
        progress=progress or Silence(),
        now=cache.clock,
    )
    return await backing_up.run(signing_key)


async def restore(
    source: Path, catalog: Catalog, store: BlobStore, *, progress: Progress | None = None
) -> RestoreReport:
    return await Restoring(
        catalog,
        store,
        BackupFolder(source),
        progress=progress or Silence(),
        now=lambda: 1_900_000_000_000,
    ).run()


@asynccontextmanager
async def engines(
    catalog: CatalogLocation, store: StoreLocation
) -> AsyncIterator[tuple[Catalog, BlobStore]]:
    async with open_catalog(catalog) as opened, open_store(store) as bytes_of_it:
        yield opened, bytes_of_it


async def restore_to_folder(
    source: Path, folder: Path, *, progress: Progress | None = None
) -> RestoreReport:
    """Restore into the folder of a cache without a server."""
    locations = SqliteFile(folder / "catalog.sqlite3"), Folder(folder / "blobs")
    async with engines(*locations) as (catalog, store):
        return await restore(source, catalog, store, progress=progress)


def lines_of(backup: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (backup / "catalog.jsonl").read_bytes().splitlines()]


def keys_in(backup: Path) -> list[str]:
    return [line["key"] for line in lines_of(backup) if line["type"] == "entry"]


def blobs_in(backup: Path) -> list[Path]:
    return sorted((backup / "blobs").glob("*/*"))
