"""Looking after a store in this process; what is common with servers is tested with the client."""

import asyncio
import threading
from pathlib import Path

import pytest

from runcache.catalog.opening import open_catalog
from runcache.client.environment import Given
from runcache.embedded.management import opened
from runcache.errors import CatalogUnavailable, InvalidSettings
from runcache.listing import Order, Selection
from runcache.locations import SqliteFile
from runcache.records import Event, EventKind
from runcache.service import Records, now_ms
from tests.client.machines import Machine

REPOSITORY = "octo/hello"


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A data folder with one entry."""
    folder = tmp_path / "data"
    machine = Machine(tmp_path / "machine", Given(data=str(folder), repo=REPOSITORY))
    machine.write("deps/file")
    machine.save("k")
    return folder


def deletions(data: Path) -> list[Event]:
    async def read() -> list[Event]:
        async with open_catalog(SqliteFile(data / "catalog.sqlite3")) as catalog:
            records = Records(catalog, now=now_ms)
            return await records.events([REPOSITORY], kinds={EventKind.DELETED}, limit=10)

    return asyncio.run(read())


def test_a_store_is_not_made(tmp_path: Path) -> None:
    with pytest.raises(InvalidSettings, match="there is no cache"):
        opened(str(tmp_path / "nowhere"))

    assert not (tmp_path / "nowhere").exists()


def test_a_store_that_cannot_be_opened_leaves_no_thread_behind(data: Path) -> None:
    (data / "catalog.sqlite3").write_bytes(b"no database" * 1000)

    with pytest.raises(CatalogUnavailable):
        opened(str(data))

    assert "runcache-embedded" not in {thread.name for thread in threading.enumerate()}


def test_a_deletion_is_recorded(data: Path) -> None:
    with opened(str(data)) as management:
        (page,) = management.pages(REPOSITORY, Selection(), Order(), limit=5)
        management.delete(REPOSITORY, page.entries[0].id)

    (event,) = deletions(data)
    assert (event.key, event.by) == ("k", "embedded")


def test_several_may_look_after_one_store(data: Path) -> None:
    with opened(str(data)) as one, opened(str(data)) as other:
        assert other.delete_by_key(REPOSITORY, "k", ref=None) == 1

        assert one.usage(REPOSITORY).entry_count == 0
