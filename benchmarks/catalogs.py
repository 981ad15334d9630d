"""Catalogs of any size, and lookups for them.

A repository has three kinds of scopes, and its entries are spread evenly over five days:

| scope               | share | keys                                                        |
| ------------------- | ----- | ----------------------------------------------------------- |
| `refs/heads/main`   | 50 %  | oldest fifth `gradle-…`; then half `pip-…`, `npm-…`, `go-…` |
| `refs/heads/work`   | 30 %  | four of five `npm-…`, else `cargo-…`                        |
| five other branches | 20 %  | `npm-…`                                                     |

With 10 000 entries a repository, each prefix that a lookup asks for matches thousands of a scope.
All entries have the same version, so that only keys tell them apart, and each has its own blob. The
rows go straight into the tables; those blobs get files that a lookup is answered with.
"""

import json
import random
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Final, NamedTuple

from sqlalchemy import Table, create_engine, insert
from sqlalchemy.engine import URL

from runcache.catalog.catalog import Catalog
from runcache.catalog.opening import open_catalog
from runcache.catalog.tables import BLOBS, ENTRIES, ENTRY_BLOBS, PARTS, REPOSITORIES
from runcache.locations import SqliteFile
from runcache.matching import keys_of, walk
from runcache.records import family_of
from runcache.service import now_ms
from runcache.store.local import LocalStore

REPOSITORY_COUNT: Final = 100
ENTRY_BYTES: Final = 1000
# Nothing is old enough to be forgotten meanwhile.
SPREAD_MS: Final = 5 * 24 * 60 * 60 * 1000
VERSION: Final = "c4" * 32
OWN_REF: Final = "refs/heads/work"
DEFAULT_REF: Final = "refs/heads/main"
SCOPES: Final = (OWN_REF, DEFAULT_REF)

_BATCH: Final = 5000


class Row(NamedTuple):
    """The scope and the key of an entry."""

    scope: str
    key: str


@dataclass(frozen=True, slots=True)
class Lookup:
    """What a job on the branch `work` asks for; `kind` is what it should find."""

    kind: str
    repository: str
    key: str
    restore_keys: tuple[str, ...]

    def body(self) -> str:
        """Return the request of protocol v2."""
        wanted = {"key": self.key, "restore_keys": self.restore_keys, "version": VERSION}
        return json.dumps(wanted, separators=(",", ":"))


class Contents:
    """What a catalog of `entry_count` entries holds: always the same for the same count."""

    def __init__(self, entry_count: int) -> None:
        self._random = random.Random(entry_count)  # noqa: S311  -- nothing here is secret
        per_repository = entry_count // REPOSITORY_COUNT
        # The oldest first.
        self.repositories = {
            f"octo/project-{number:03d}": [
                self._row(age, per_repository) for age in range(per_repository)
            ]
            for number in range(REPOSITORY_COUNT)
        }

    def lookups(self, count: int, kinds: Sequence[str]) -> list[Lookup]:
        """Return `count` lookups, spread evenly over `kinds` and the repositories."""
        names = list(self.repositories)
        found = [
            self._lookup(kinds[number % len(kinds)], names[number // len(kinds) % len(names)])
            for number in range(count)
        ]
        self._random.shuffle(found)
        return found

    def blob_names(self) -> Iterator[str]:
        """Yield random names, as blobs have."""
        while True:
            yield self._random.randbytes(16).hex()

    def _row(self, age: int, count: int) -> Row:
        share, tools = age % 10, ["npm"]
        if share < 5:
            scope, tools = DEFAULT_REF, ["pip", "pip", "npm", "go"]
            if age < count / 5:
                tools = ["gradle"]
        elif share < 8:
            scope, tools = OWN_REF, ["npm", "npm", "npm", "npm", "cargo"]
        else:
            scope = f"refs/heads/topic-{age // 10 % 5}"
        return Row(scope, self._key(self._random.choice(tools)))

    def _lookup(self, kind: str, repository: str) -> Lookup:
        if kind == "exact":
            rows = self.repositories[repository]
            row = self._random.choice([row for row in self._sample(rows) if row.scope in SCOPES])
            # A restore key that the own branch answers comes before the default branch.
            restore_keys = ("npm-linux-", "npm-") if row.scope == OWN_REF else ()
            return Lookup(kind, repository, row.key, restore_keys)
        tools = {
            # The own branch answers for `npm`, the default branch for `pip`.
            "prefix": ("npm", "pip"),
            # Thousands match, but none of the newest does.
            "old prefix": ("gradle",),
            "miss": ("yarn",),
        }
        tool = self._random.choice(tools[kind])
        return Lookup(kind, repository, self._key(tool), (f"{tool}-linux-", f"{tool}-"))

    def _sample(self, rows: Sequence[Row]) -> list[Row]:
        return self._random.choices(rows, k=40)

    def _key(self, tool: str) -> str:
        return f"{tool}-linux-{self._random.randbytes(32).hex()}"


def fill(catalog: Path, contents: Contents) -> None:
    """Insert everything into a new catalog, which nobody else has open."""
    engine = create_engine(URL.create("sqlite", database=str(catalog)))
    with engine.connect() as connection:
        # What breaks off halfway is thrown away.
        connection.exec_driver_sql("PRAGMA synchronous = OFF")
        connection.exec_driver_sql("PRAGMA cache_size = -1048576")
        connection.commit()
        for table, rows in rows_of(contents):
            connection.execute(insert(table), rows)
        # No upload has made these entries, and the next one must not get the id of one.
        connection.exec_driver_sql(
            "INSERT INTO sqlite_sequence SELECT 'uploads', max(id) FROM entries"
        )
        connection.commit()
    engine.dispose()


async def make_answers(catalog_file: Path, store_folder: Path, lookups: Iterable[Lookup]) -> None:
    """Store the bytes of every entry that answers one of `lookups`.

    Raises:
        AssertionError: one finds something else than it should.
    """
    store = LocalStore(store_folder)
    answers: set[str] = set()
    async with open_catalog(SqliteFile(catalog_file)) as catalog:
        for lookup in lookups:
            blob = await _answer(catalog, lookup)
            if blob is not None:
                answers.add(blob)
    for blob in answers:
        async with store.receive(blob, _part_of(blob)) as part:
            await part.write(bytes(ENTRY_BYTES))
            await part.hand_over()
    store.close()


async def _answer(catalog: Catalog, lookup: Lookup) -> str | None:
    steps = walk(SCOPES, keys_of(lookup.key, lookup.restore_keys))
    found = await catalog.entries.find(lookup.repository, [VERSION], steps)
    key = found.entry.key if found else ""
    kind = "exact" if key == lookup.key else "prefix" if found else "miss"
    if not lookup.kind.endswith(kind):
        message = f"{lookup} found `{key}`"
        raise AssertionError(message)
    return found.blobs[0].name if found else None


def rows_of(contents: Contents) -> Iterator[tuple[Table, list[dict[str, Any]]]]:
    """Yield the rows of all tables, in batches and in an order that is legal."""
    yield REPOSITORIES, list(_repository_rows(contents))
    yield from _entry_rows(contents)


def _repository_rows(contents: Contents) -> Iterator[dict[str, Any]]:
    for number, (name, rows) in enumerate(contents.repositories.items(), start=1):
        size_bytes = len(rows) * ENTRY_BYTES
        yield {"id": number, "name": name, "entry_count": len(rows), "size_bytes": size_bytes}


def _entry_rows(contents: Contents) -> Iterator[tuple[Table, list[dict[str, Any]]]]:
    """Yield rows of the four tables that an entry is in.

    Ages alternate between repositories, as they would if all of them had been used all the time.
    """
    now, names = now_ms(), contents.blob_names()
    count = len(next(iter(contents.repositories.values())))
    ages = (
        (repository, row, now - SPREAD_MS + SPREAD_MS * age // count)
        for age in range(count)
        for repository, row in enumerate((rows[age] for rows in contents.repositories.values()), 1)
    )
    numbered = enumerate(ages, start=1)
    while batch := list(islice(numbered, _BATCH)):
        blobs = {number: next(names) for number, _ in batch}
        yield BLOBS, [_blob(number, blobs[number], *entry) for number, entry in batch]
        yield PARTS, [_part(number, blobs[number]) for number, _ in batch]
        yield ENTRIES, [_entry(number, *entry) for number, entry in batch]
        yield ENTRY_BLOBS, [{"entry_id": n, "position": 0, "blob_id": n} for n, _ in batch]


def _blob(number: int, name: str, repository: int, _row: Row, at: int) -> dict[str, Any]:
    return {
        "id": number,
        "name": name,
        "repository_id": repository,
        "size_bytes": ENTRY_BYTES,
        "created_at": at,
        "sha256": bytes(32),
        "durable_at": at,
    }


def _part(number: int, blob: str) -> dict[str, Any]:
    return {
        "blob_id": number,
        "block_id": "",
        "name": _part_of(blob),
        "size_bytes": ENTRY_BYTES,
        "position": 0,
        "start": 0,
    }


def _entry(number: int, repository: int, row: Row, at: int) -> dict[str, Any]:
    return {
        "id": number,
        "repository_id": repository,
        "scope": row.scope,
        "key": row.key,
        "version": VERSION,
        "size_bytes": ENTRY_BYTES,
        "created_at": at,
        "last_accessed_at": at,
        "family": family_of(row.key),
    }


def _part_of(blob: str) -> str:
    return blob[:16]
