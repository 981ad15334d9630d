"""What the embedded store remembers of those who used it."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final, TypeVar

import pytest

from runcache.catalog.opening import open_catalog
from runcache.client.job import Identity
from runcache.embedded.transport import EmbeddedTransport
from runcache.locations import SqliteFile
from runcache.model import Inputs
from runcache.records import Event, EventKind, Origin
from runcache.service import Records, now_ms

T = TypeVar("T")

MAIN: Final = "refs/heads/main"
PULL: Final = "refs/pull/7/merge"
INPUTS: Final = Inputs(paths=("deps",), compression="gzip", system="Linux", cross_os=False)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return tmp_path / "data"


def opened(data: Path) -> EmbeddedTransport:
    identity = Identity("octo/hello", PULL, "main", "main", "pull_request", run="17")
    return EmbeddedTransport(str(data), identity)


def upload(transport: EmbeddedTransport, key: str, content: bytes) -> int:
    reserved = transport.reserve_archive(key, "v", INPUTS)
    reserved.put(0, 0, memoryview(content))
    return reserved.commit(len(content), 1).entry_id


def asked(data: Path, ask: Callable[[Records], Awaitable[T]]) -> T:
    async def run() -> T:
        async with open_catalog(SqliteFile(data / "catalog.sqlite3")) as catalog:
            return await ask(Records(catalog, now=now_ms))

    return asyncio.run(run())


def events(data: Path) -> list[Event]:
    """Return what happened, the oldest first."""
    told = asked(data, lambda records: records.events(None, limit=100))
    return sorted(told, key=lambda event: (event.at, event.kind is not EventKind.MISS, event.id))


def restore(transport: EmbeddedTransport, key: str) -> None:
    found = transport.find(key, (), snapshot="s", archives=["v"])
    if found is not None:
        with found.blobs[0].stream() as reader:
            reader.readinto(memoryview(bytearray(100)))


def test_what_a_job_did_is_told_when_it_has_ended(data: Path) -> None:
    transport = opened(data)
    restore(transport, "deps-1")
    entry_id = upload(transport, "deps-1", b"content")
    restore(transport, "deps-1")
    transport.close()

    miss, saved, *used = events(data)

    assert (miss.kind, miss.ref, miss.version) == (EventKind.MISS, PULL, "s")
    assert (saved.kind, saved.entry_id, saved.size_bytes) == (EventKind.SAVED, entry_id, 7)
    assert {event.kind for event in used} == {EventKind.HIT, EventKind.RESTORED}
    assert {event.by for event in (miss, saved)} == {f"job {PULL}, pull_request, run 17"}


def test_the_origin_of_an_archive_is_known(data: Path) -> None:
    transport = opened(data)
    entry_id = upload(transport, "deps-1", b"content")
    transport.close()

    origin = asked(data, lambda records: records.origin(entry_id))

    assert origin == Origin(
        ref=PULL,
        event="pull_request",
        run="17",
        paths=("deps",),
        compression="gzip",
        system="Linux",
        cross_os=False,
        format="archive",
    )


def test_an_eviction_is_told_with_the_save_that_caused_it(
    data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RUNCACHE_REPO_LIMIT", "150")
    monkeypatch.setenv("RUNCACHE_MIN_FREE", "1")
    transport = opened(data)
    old = upload(transport, "old", bytes(100))
    transport.close()
    transport = opened(data)
    new = upload(transport, "new", bytes(100))
    transport.close()

    told = events(data)

    (evicted,) = [event for event in told if event.kind is EventKind.EVICTED]
    assert (evicted.entry_id, evicted.reason, evicted.limit) == (old, "repo_limit", 150)
    assert evicted.by == f"entry {new}"
