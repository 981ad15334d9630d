"""What refers to what: blobs that several entries share, and those that uploads hold."""

import asyncio
import itertools
from collections.abc import Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runcache.catalog.catalog import Catalog
from runcache.catalog.opening import open_catalog
from runcache.errors import PackGone
from runcache.locations import CatalogLocation
from runcache.model import PackName, Upload, Usage
from tests.catalog.facts import (
    FOREVER,
    NOW,
    REPOSITORY,
    commit_snapshot,
    query,
    receive_pack,
    reserve_snapshot,
    save,
    save_snapshot,
)

MANIFEST_BYTES = 1


async def usage(catalog: Catalog) -> tuple[int, int]:
    found = await catalog.repositories.usage(REPOSITORY)
    return found.entry_count, found.size_bytes


async def test_a_blob_counts_once_however_many_entries_have_it(catalog: Catalog) -> None:
    first = await save_snapshot(catalog, "first", 10, 20)
    second = await save_snapshot(catalog, "second", 5, shared=[PackName(first.id, 0)])
    counted = [await usage(catalog)]

    await catalog.entries.forget([first.id], now_ms=NOW, link_ms=0)
    counted.append(await usage(catalog))
    await catalog.entries.forget([second.id], now_ms=NOW, link_ms=0)
    counted.append(await usage(catalog))

    assert counted == [(2, 31 + 6), (1, 6 + 10), (0, 0)]
    assert second.size_bytes == 16


async def test_entries_that_share_go_together_too(catalog: Catalog) -> None:
    first = await save_snapshot(catalog, "first", 10)
    second = await save_snapshot(catalog, "second", shared=[PackName(first.id, 0)])
    other, _ = await save(catalog, "archive", repository="octo/other", size_bytes=7)

    ids = [first.id, second.id, other.id]
    assert await catalog.entries.forget(ids, now_ms=NOW, link_ms=0) == 3

    assert await usage(catalog) == (0, 0)
    assert await catalog.repositories.usage("octo/other") == Usage("octo/other", 0, 0)
    assert len(await catalog.blobs.doomed(now_ms=FOREVER, limit=9)) == 4


async def test_what_an_upload_has_received_goes_with_it(catalog: Catalog) -> None:
    upload, _ = await reserve_snapshot(catalog, "key")
    for number in range(3):
        await receive_pack(catalog, upload, number, 10)

    await catalog.uploads.void(upload, now_ms=NOW)

    assert len(await catalog.blobs.doomed(now_ms=NOW, limit=9)) == 4
    assert await catalog.blobs.in_the_making(limit=9) == []


async def test_an_entry_that_fails_to_be_inserted_changes_nothing(
    catalog: Catalog, location: CatalogLocation
) -> None:
    first = await save_snapshot(catalog, "first", 10)
    upload, _ = await reserve_snapshot(catalog, "second", bases=None)
    await catalog.entries.forget([first.id], now_ms=NOW, link_ms=0)
    # As if another job had been first, past every look.
    await save(catalog, "taken")
    query(location, "UPDATE uploads SET key = 'taken'")

    with pytest.raises(Exception, match="already exists"):
        await commit_snapshot(catalog, upload, PackName(first.id, 0))

    assert await usage(catalog) == (1, 10)
    assert await catalog.repositories.miscounted(repair=False) == []
    assert query(location, "SELECT count(*) FROM holds") == [(2,)]


@dataclass
class World:
    """A catalog, and what must be in it."""

    runner: asyncio.Runner
    catalog: Catalog
    repository: str
    # Blobs by names of our own: a pack's, or the key of the entry for its manifest.
    sizes: dict[object, int] = field(default_factory=dict)
    entries: dict[int, set[object]] = field(default_factory=dict)
    uploads: dict[int, tuple[Upload, set[object], set[object]]] = field(default_factory=dict)
    keys: int = 0

    def reserve(self, base: int | None) -> None:
        self.keys += 1
        bases = [] if base is None else [base]
        upload, held = self.runner.run(
            reserve_snapshot(
                self.catalog, f"key-{self.keys}", bases=bases, repository=self.repository
            )
        )
        assert len(held) == len(bases)
        self.uploads[upload.id] = (upload, set(), set(self.entries.get(base or 0, ())))

    def receive(self, upload_id: int, size_bytes: int) -> None:
        upload, received, _ = self.uploads[upload_id]
        name = self.runner.run(receive_pack(self.catalog, upload, len(received), size_bytes))
        self.sizes[name] = size_bytes
        received.add(name)

    def commit(self, upload_id: int, wanted: set[object]) -> None:
        upload, received, held = self.uploads[upload_id]
        packs = {name for name in wanted if isinstance(name, PackName)}
        may_have = received | held | set().union(*self.entries.values())
        committing = commit_snapshot(
            self.catalog, upload, *sorted(packs, key=lambda pack: (pack.upload_id, pack.number))
        )
        if not packs <= may_have:
            with pytest.raises(PackGone):
                self.runner.run(committing)
            return
        entry = self.runner.run(committing)
        manifest = f"manifest of {entry.id}"
        self.sizes[manifest] = MANIFEST_BYTES
        assert entry.size_bytes == MANIFEST_BYTES + sum(self.sizes[pack] for pack in packs)
        self.entries[entry.id] = {manifest, *packs}
        del self.uploads[upload_id]

    def void(self, upload_id: int) -> None:
        upload, _, _ = self.uploads.pop(upload_id)
        self.runner.run(self.catalog.uploads.void(upload, now_ms=NOW))

    def forget(self, entry_id: int) -> None:
        del self.entries[entry_id]
        self.runner.run(self.catalog.entries.forget([entry_id], now_ms=NOW, link_ms=0))

    def prune(self) -> None:
        doomed = self.runner.run(self.catalog.blobs.doomed(now_ms=FOREVER, limit=999))
        self.runner.run(self.catalog.blobs.remove([blob.id for blob in doomed]))

    def check(self, location: CatalogLocation) -> None:
        held: set[object] = set().union(*self.entries.values())
        kept_for_uploads: set[object] = set()
        for _, received, bases in self.uploads.values():
            kept_for_uploads |= received | bases
        found = self.runner.run(self.catalog.repositories.usage(self.repository))
        assert found.entry_count == len(self.entries)
        assert found.size_bytes == sum(self.sizes[blob] for blob in held)
        assert self.runner.run(self.catalog.repositories.miscounted(repair=False)) == []
        doomed = self.runner.run(self.catalog.blobs.doomed(now_ms=FOREVER, limit=999))
        mine = "repository_id = (SELECT id FROM repositories WHERE name = ?)"
        rows = query(location, f"SELECT name FROM blobs WHERE {mine}", self.repository)  # noqa: S608
        kept = {str(row[0]) for row in rows} - {blob.name for blob in doomed}
        assert len(kept) == len(held | kept_for_uploads) + len(self.uploads)


@dataclass(frozen=True)
class Opened:
    runner: asyncio.Runner
    catalog: Catalog
    location: CatalogLocation


@pytest.fixture(scope="module")
def opened(shared_location: CatalogLocation) -> Iterator[Opened]:
    """Return a catalog in a loop that stands still between two calls."""
    with asyncio.Runner() as runner:
        stack = AsyncExitStack()
        catalog = runner.run(stack.enter_async_context(open_catalog(shared_location)))
        yield Opened(runner, catalog, shared_location)
        runner.run(stack.aclose())


_names = (f"octo/{number}" for number in itertools.count())


def test_whatever_comes_and_goes_bytes_are_kept_and_counted_rightly(
    opened: Opened, examples: settings
) -> None:
    @examples
    @given(data=st.data())
    def check(data: st.DataObject) -> None:
        world = World(opened.runner, opened.catalog, next(_names))
        for _ in range(data.draw(st.integers(1, 20), label="steps")):
            step(world, data)
            world.check(opened.location)

    check()


def step(world: World, data: st.DataObject) -> None:
    possible = ["reserve", "prune"]
    possible += ["forget"] if world.entries else []
    possible += ["receive", "receive", "commit", "commit", "void"] if world.uploads else []
    act = data.draw(st.sampled_from(possible), label="act")
    match act:
        case "reserve":
            bases = [None, *world.entries]
            world.reserve(data.draw(st.sampled_from(bases), label="base"))
        case "prune":
            world.prune()
        case "forget":
            world.forget(data.draw(st.sampled_from(sorted(world.entries)), label="entry"))
        case _:
            upload_id = data.draw(st.sampled_from(sorted(world.uploads)), label="upload")
            if act == "receive":
                world.receive(upload_id, data.draw(st.integers(0, 9), label="size"))
            elif act == "void":
                world.void(upload_id)
            else:
                packs = sorted(
                    filter(lambda name: isinstance(name, PackName), world.sizes), key=str
                )
                wanted = st.sets(st.sampled_from(packs), max_size=4) if packs else st.just(set())
                world.commit(upload_id, data.draw(wanted, label="packs"))
