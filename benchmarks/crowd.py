"""One repository with any number of entries, for lists: rows of the catalog without any bytes.

| what        | share                                                                           |
| ----------- | ------------------------------------------------------------------------------- |
| refs        | 40 % `refs/heads/main`, 30 % fifty branches, else pull requests, one by one     |
| families    | eight, from 30 % to 1 %; the first tenth of all have keys of older ones, `old-` |
| versions    | three: 80 %, 10 %, 10 %                                                         |
| last access | of 60 % when they were saved, else some time after                              |
| sizes       | log-normal around 9 MB                                                          |
"""

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from sqlalchemy import create_engine, insert
from sqlalchemy.engine import URL

from runcache.catalog.tables import ENTRIES, REPOSITORIES
from runcache.catalog.tallies import count_anew
from runcache.records import family_of
from runcache.service import now_ms

REPOSITORY: Final = "octo/crowd"
MAIN: Final = "refs/heads/main"
FAMILIES: Final = {
    "Linux-npm-": 30,
    "Linux-pip-": 20,
    "macOS-npm-": 15,
    "Windows-npm-": 10,
    "Linux-go-": 10,
    "Linux-gradle-": 10,
    "docker-buildx-": 4,
    "rare-tool-": 1,
}
OLD: Final = "old-"
PULL_REQUESTS: Final = 2000
VERSIONS: Final = {"c4" * 32: 8, "a1" * 32: 1, "17" * 32: 1}

_SPREAD_MS: Final = 5 * 24 * 60 * 60 * 1000
_BATCH: Final = 5000


def fill(catalog: Path, entry_count: int) -> None:
    """Insert the entries into a new catalog, which nobody else has open."""
    engine = create_engine(URL.create("sqlite", database=str(catalog)))
    with engine.connect() as connection:
        connection.exec_driver_sql("PRAGMA synchronous = OFF")
        connection.exec_driver_sql("PRAGMA cache_size = -1048576")
        connection.commit()
        connection.execute(insert(REPOSITORIES).values(id=1, name=REPOSITORY))
        # Made afterwards, indexes are in order on the disk and take a tenth of the time.
        for index in ENTRIES.indexes:
            index.drop(connection)
        batch: list[dict[str, Any]] = []
        for row in rows_of(entry_count):
            batch.append(row)
            if len(batch) == _BATCH:
                connection.execute(insert(ENTRIES), batch)
                batch.clear()
        if batch:
            connection.execute(insert(ENTRIES), batch)
        for index in ENTRIES.indexes:
            index.create(connection)
        count_anew(connection)
        connection.execute(REPOSITORIES.update().values(entry_count=entry_count))
        connection.commit()
    engine.dispose()


def pull_request(share: float) -> str:
    """Return the ref of a pull request: the first for 0, the last for 1."""
    return f"refs/pull/{1 + int(share * (PULL_REQUESTS - 1))}/merge"


def rows_of(count: int) -> Iterator[dict[str, Any]]:
    """Yield the rows of the entries, the oldest first."""
    chance = random.Random(count)  # noqa: S311  -- nothing here is secret
    first = now_ms() - _SPREAD_MS
    for number in range(count):
        share = number / count
        place = chance.random()
        scope = (
            MAIN
            if place < 0.4
            else f"refs/heads/topic-{chance.randrange(50)}"
            if place < 0.7
            else pull_request(share)
        )
        [beginning] = chance.choices(list(FAMILIES), list(FAMILIES.values()))
        if share < 0.1:
            beginning = OLD + beginning
        key = beginning + chance.randbytes(32).hex()
        created_at = first + int(_SPREAD_MS * share)
        later = chance.random() ** 2 * (1 - share) if chance.random() < 0.4 else 0
        yield {
            "id": number + 1,
            "repository_id": 1,
            "scope": scope,
            "key": key,
            "version": chance.choices(list(VERSIONS), list(VERSIONS.values()))[0],
            "size_bytes": int(chance.lognormvariate(16, 2)),
            "created_at": created_at,
            "last_accessed_at": created_at + int(later * _SPREAD_MS),
            "family": family_of(key),
        }
