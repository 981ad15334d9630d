"""Which entries go, and how many bytes with them."""

import asyncio
from collections import Counter
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runcache.listing import Order, Selection
from runcache.model import Entry, PackName
from runcache.retention import Cascade, Limits, LimitValues, Reason
from runcache.store.local import LocalStore
from tests.catalog import facts
from tests.in_process import REPOSITORY, Cache, Clock, job, open_cache
from tests.maintenance.acts import DAY, access, forget_with, keys_left, save_each, save_many


class TestForget:
    """Which entries go."""

    async def test_within_the_limits_nothing_does(self, cache: Cache) -> None:
        await save_each(cache, {"a": 100, "b": 100})

        report = await forget_with(cache, Limits(repo_limit_bytes=200, min_free_bytes=0))

        assert report.entry_count == 0
        assert await keys_left(cache) == {"a", "b"}

    async def test_a_week_after_its_last_access_an_entry_does(
        self, cache: Cache, clock: Clock
    ) -> None:
        for key in ("read", "unread"):
            await cache.save(key)
        clock.advance(6 * DAY)
        await access(cache, "read")
        clock.advance(1 * DAY + timedelta(milliseconds=1))

        report = await forget_with(cache, Limits(min_free_bytes=0))

        assert report.by_reason == Counter({Reason.UNUSED: 1})
        assert await keys_left(cache) == {"read"}

    async def test_above_the_limit_the_least_recently_used_do(self, cache: Cache) -> None:
        await save_each(cache, {"a": 100, "b": 100, "c": 100, "d": 100})
        await access(cache, "a")

        report = await forget_with(cache, Limits(repo_limit_bytes=250, min_free_bytes=0))

        assert report.by_reason == Counter({Reason.REPO_LIMIT: 2})
        assert report.size_bytes == 200
        assert await keys_left(cache) == {"a", "d"}

    async def test_one_that_alone_exceeds_the_limit_does_and_nothing_else(
        self, cache: Cache
    ) -> None:
        await save_each(cache, {"a": 100, "huge": 251, "b": 100})

        report = await forget_with(cache, Limits(repo_limit_bytes=250, min_free_bytes=0))

        assert report.by_reason == Counter({Reason.OVERSIZED: 1})
        assert await keys_left(cache) == {"a", "b"}

    async def test_each_repository_has_a_limit_of_its_own(self, cache: Cache) -> None:
        other = job(repository="octo/other")
        await save_each(cache, {"a": 100, "b": 100})
        for key in ("c", "d"):
            await cache.save(key, b"x" * 60, grant=other)

        await forget_with(cache, Limits(repo_limit_bytes=150, min_free_bytes=0))

        assert await keys_left(cache) == {"b"}
        assert len(await cache.service.newest(other, "", limit=9)) == 2

    async def test_above_the_total_limit_those_of_all_repositories_do(self, cache: Cache) -> None:
        other = job(repository="octo/other")
        await cache.save("oldest", b"x" * 100, grant=other)
        cache.clock.advance(timedelta(seconds=1))
        await save_each(cache, {"a": 100, "huge": 301, "b": 100})

        report = await forget_with(
            cache, Limits(total_limit_bytes=250, repo_limit_bytes=10_000, min_free_bytes=0)
        )

        assert report.by_reason == Counter({Reason.OVERSIZED: 1, Reason.TOTAL_LIMIT: 1})
        assert await keys_left(cache) == {"a", "b"}
        assert await cache.service.newest(other, "", limit=9) == []

    async def test_more_than_one_page_of_entries_can_go(self, cache: Cache) -> None:
        await save_many(cache, 520)
        cache.clock.advance(timedelta(seconds=1))
        await cache.save("last", b"x")

        report = await forget_with(cache, Limits(repo_limit_bytes=1, min_free_bytes=0))

        assert report.by_reason == Counter({Reason.REPO_LIMIT: 520})
        assert await keys_left(cache) == {"last"}

    async def test_more_than_one_page_of_unused_entries_can_go(
        self, cache: Cache, clock: Clock
    ) -> None:
        await save_many(cache, 520)
        clock.advance(8 * DAY)
        await cache.save("last", b"x")

        report = await forget_with(cache, Limits(min_free_bytes=0))

        assert report.by_reason == Counter({Reason.UNUSED: 520})
        assert await keys_left(cache) == {"last"}


async def limit(cache: Cache, subject: str, size_bytes: int | None = None, **values: float) -> None:
    """Set the limits of a repository or an owner; times are `days`."""
    unused_for = timedelta(**values) if values else None
    limits = LimitValues(size_bytes, unused_for)
    await cache.catalog.limits.set(subject, limits, by="test", now_ms=cache.clock())


class TestLimitsThatAreSet:
    """Which entries go by the limits of their repository and its owner."""

    @pytest.mark.parametrize("subject", [REPOSITORY, "octo"])
    async def test_a_lower_one_counts(self, cache: Cache, subject: str) -> None:
        await save_each(cache, {"a": 100, "b": 100})
        await limit(cache, subject, 150)

        is_over = await cache.maintenance.is_over_limit([REPOSITORY])
        report = await forget_with(cache, Limits(min_free_bytes=0))

        assert is_over
        assert report.by_reason == Counter({Reason.REPO_LIMIT: 1})
        assert await keys_left(cache) == {"b"}

    async def test_nobody_can_allow_more_than_is_inherited(self, cache: Cache) -> None:
        await save_each(cache, {"a": 100, "b": 100, "c": 100})
        await limit(cache, REPOSITORY, 1000)
        await limit(cache, "octo", 250)

        await forget_with(cache, Limits(min_free_bytes=0))
        after_that_of_the_owner = await keys_left(cache)
        await forget_with(cache, Limits(repo_limit_bytes=150, min_free_bytes=0))

        assert after_that_of_the_owner == {"b", "c"}
        assert await keys_left(cache) == {"c"}

    async def test_others_keep_theirs(self, cache: Cache) -> None:
        for repository in ("octo/other", "octopus/hello"):
            await cache.save("key", b"x" * 100, grant=job(repository=repository))
        await save_each(cache, {"a": 100})
        await limit(cache, "octo/other", 50)
        await limit(cache, "octo/hello", 100)

        report = await forget_with(cache, Limits(min_free_bytes=0))

        assert report.by_reason == Counter({Reason.OVERSIZED: 1})
        assert (await cache.service.usage("octo/other")).entry_count == 0

    @pytest.mark.parametrize("subject", [REPOSITORY, "octo"])
    async def test_entries_may_live_shorter(self, cache: Cache, clock: Clock, subject: str) -> None:
        await cache.save("key", grant=job(repository="other/repository"))
        await cache.save("unread")
        clock.advance(timedelta(hours=23))
        await cache.save("read")
        clock.advance(timedelta(hours=2))
        await limit(cache, subject, days=1)

        report = await forget_with(cache, Limits(min_free_bytes=0))

        assert report.by_reason == Counter({Reason.UNUSED: 1})
        assert await keys_left(cache) == {"read"}

    async def test_what_goes_as_unused_counts_no_more(self, cache: Cache, clock: Clock) -> None:
        await save_each(cache, {"a": 100})
        clock.advance(2 * DAY)
        await save_each(cache, {"b": 100, "c": 100})
        await limit(cache, REPOSITORY, 150, days=1)

        report = await forget_with(cache, Limits(min_free_bytes=0))

        assert report.by_reason == Counter({Reason.UNUSED: 1, Reason.REPO_LIMIT: 1})
        assert await keys_left(cache) == {"c"}

    async def test_when_they_are_taken_back_the_inherited_ones_count(self, cache: Cache) -> None:
        await save_each(cache, {"a": 100})
        await limit(cache, REPOSITORY, 50)
        await limit(cache, REPOSITORY)

        report = await forget_with(cache, Limits(min_free_bytes=0))

        assert report.entry_count == 0
        assert await cache.catalog.limits.all() == {}


@given(data=st.data())
@settings(max_examples=10, deadline=None)
def test_what_a_preview_shows_is_what_goes(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    asyncio.run(compare_with_preview(tmp_path_factory.mktemp("cache"), data))


async def compare_with_preview(folder: Path, data: st.DataObject) -> None:
    server = Limits(repo_limit_bytes=300, unused_for=9 * DAY, min_free_bytes=0)
    subject = data.draw(st.sampled_from([REPOSITORY, "octo"]))
    values = LimitValues(
        data.draw(st.none() | st.integers(0, 300)),
        data.draw(st.none() | st.integers(0, 9).map(lambda days: days * DAY)),
    )
    async with open_cache(folder, limits=server) as cache:
        await fill(cache, data)
        await cache.maintenance.forget()
        before = await entries_left(cache)
        cascade = Cascade(server.of_each_repository(), {subject: values})

        preview = await cache.maintenance.would_forget(subject, cascade)

        assert await entries_left(cache) == before
        await cache.catalog.limits.set(subject, values, by="test", now_ms=cache.clock())
        report = await cache.maintenance.forget()
        gone = before - await entries_left(cache)
        assert set(preview.entries) == gone
        assert (preview.entry_count, preview.size_bytes) == (len(gone), report.size_bytes)


async def fill(cache: Cache, data: st.DataObject) -> None:
    """Save archives, and snapshots that share packs, of any size and age."""
    shared: dict[str, list[PackName]] = {}
    for number in range(data.draw(st.integers(0, 8))):
        now_ms = cache.clock() - data.draw(st.integers(0, 9)) * DAY // timedelta(milliseconds=1)
        size_bytes = data.draw(st.integers(0, 120))
        if data.draw(st.booleans()):
            repository = data.draw(st.sampled_from([REPOSITORY, "octo/other", "other/one"]))
            key = f"key-{number}"
            await facts.save(
                cache.catalog, key, repository=repository, size_bytes=size_bytes, now_ms=now_ms
            )
        else:
            packs = shared.setdefault(REPOSITORY, [])
            entry = await facts.save_snapshot(
                cache.catalog, f"key-{number}", size_bytes, shared=packs[-1:], now_ms=now_ms
            )
            packs.append(PackName(entry.id, 0))


async def entries_left(cache: Cache) -> set[Entry]:
    left: set[Entry] = set()
    for repository in (REPOSITORY, "octo/other", "other/one"):
        entries, _ = await cache.catalog.listing.page(
            repository, Selection(), Order(), behind=None, offset=0, limit=100
        )
        left.update(entries)
    return left


def _used_bytes(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


class SmallDisk(LocalStore):
    """A store on a disk of 1000 bytes that holds nothing else."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.root = root

    async def free_bytes(self) -> int:
        return 1000 - await self.run(_used_bytes, self.root)


async def test_on_a_full_disk_entries_go_until_min_free_is_left(tmp_path: Path) -> None:
    store = SmallDisk(tmp_path / "blobs")
    limits = Limits(min_free_bytes=400)
    async with open_cache(tmp_path, limits=limits, wrapped_store=lambda _: store) as cache:
        await save_each(cache, {"a": 300, "b": 300, "c": 200})

        foreseen = await cache.maintenance.forget(dry_run=True)
        report = await cache.maintenance.forget()
        again = await cache.maintenance.forget()

        assert report.by_reason == foreseen.by_reason == Counter({Reason.MIN_FREE: 1})
        assert await keys_left(cache) == {"b", "c"}
        # Bytes that only wait for their links to end count as free already.
        assert again.entry_count == 0
    store.close()
