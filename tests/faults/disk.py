"""What lies in a data folder, and what its catalog says lies there."""

import sqlite3
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Inventory:
    """Blobs, and the parts that they are made of as `<blob>/<part>`."""

    blobs: frozenset[str]
    parts: frozenset[str]


def on_disk(data: Path) -> Inventory:
    """Return what lies in the folder of the blobs, whatever it is."""
    folders = [path for path in (data / "blobs").glob("*/*") if path.is_dir()]
    files = [path for path in (data / "blobs").rglob("*") if path.is_file()]
    names = {str(path.relative_to(data / "blobs")) for path in files} - {"catalog-id"}
    return Inventory(
        frozenset(folder.name for folder in folders),
        frozenset(name.partition("/")[2] for name in names),
    )


def in_catalog(data: Path) -> Inventory:
    """Return what the rows of the catalog name."""
    uri = f"{(data / 'catalog.sqlite3').as_uri()}?mode=ro"
    with closing(sqlite3.connect(uri, uri=True, timeout=10)) as connection:
        blobs = connection.execute("SELECT name FROM blobs").fetchall()
        parts = connection.execute(
            "SELECT blobs.name || '/' || parts.name FROM parts JOIN blobs ON blobs.id = blob_id"
        ).fetchall()
    return Inventory(frozenset(row[0] for row in blobs), frozenset(row[0] for row in parts))


def is_tidy(data: Path) -> bool:
    """Say whether every file is named by a row, and every part that a row names is there."""
    named, found = in_catalog(data), on_disk(data)
    return found.parts == named.parts and found.blobs <= named.blobs


def execute(data: Path, statement: str, *parameters: object) -> list[tuple[object, ...]]:
    """Run a statement of the test's own on the catalog, past the server that uses it."""
    with closing(sqlite3.connect(data / "catalog.sqlite3", timeout=10)) as connection, connection:
        return connection.execute(statement, parameters).fetchall()
