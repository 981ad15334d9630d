"""Looking after caches: lists, deletions, usage and limits, as callers see them."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

import pytest

from runcache.errors import BlobMissing, InvalidCursor, InvalidInput, InvalidRepository
from runcache.listing import Order, Selection, SortBy, UsagePage
from runcache.model import Entry, Usage
from runcache.records import EventKind
from runcache.retention import EffectiveLimits, Limits, LimitValues
from runcache.service import Observer
from runcache.service.management import Management
from tests.in_process import MAIN, REPOSITORY, Cache, Clock, job, open_cache

DAY = timedelta(days=1)
LIMITS = Limits(repo_limit_bytes=1000, unused_for=7 * DAY, min_free_bytes=0)
BY = "token 1f0c"
OLDEST_FIRST = Order(SortBy.CREATED, is_descending=False)


@dataclass
class Heard(Observer):
    """Remembers what it heard of."""

    deletions: list[tuple[list[Entry], str]] = field(default_factory=list)
    changes: list[tuple[str, str]] = field(default_factory=list)

    def deleted(self, entries: Sequence[Entry], *, by: str) -> None:
        self.deletions.append((list(entries), by))

    def limits_changed(self, subject: str, *, by: str) -> None:
        self.changes.append((subject, by))


@dataclass
class Kept:
    """A cache, those who look after it, and who hears of that."""

    cache: Cache
    management: Management
    heard: Heard

    async def save(
        self, key: str, *, ref: str = MAIN, repository: str = REPOSITORY, size_bytes: int = 4
    ) -> Entry:
        """Save an entry, a second after the one before."""
        entry = await self.cache.save(key, b"x" * size_bytes, grant=job(ref, repository=repository))
        self.cache.clock.advance(timedelta(seconds=1))
        return entry

    async def keys(self, **selection: str) -> list[str]:
        page = await self.management.list(
            REPOSITORY, Selection(**selection), OLDEST_FIRST, limit=100
        )
        return [entry.key for entry in page.entries]


@pytest.fixture
async def kept(tmp_path: Path) -> AsyncIterator[Kept]:
    clock = Clock()
    async with open_cache(tmp_path, clock=clock, limits=LIMITS) as cache:
        heard = Heard()
        management = Management(
            cache.catalog, LIMITS, cache.maintenance, observers=[heard], now=clock
        )
        yield Kept(cache, management, heard)


class TestList:
    """Pages of entries."""

    async def test_pages_follow_each_other_by_their_cursors(self, kept: Kept) -> None:
        saved = [await kept.save(key) for key in ("a", "b", "c")]

        first = await kept.management.list("Octo/Hello", Selection(), OLDEST_FIRST, limit=2)
        second = await kept.management.list(
            REPOSITORY, Selection(), OLDEST_FIRST, limit=2, cursor=first.next_cursor
        )

        assert first.next_cursor is not None
        assert [*first.entries, *second.entries] == saved
        assert (first.total_count, second.total_count) == (3, 3)
        assert second.next_cursor is None

    async def test_the_last_page_may_be_full(self, kept: Kept) -> None:
        for key in ("a", "b"):
            await kept.save(key)

        page = await kept.management.list(REPOSITORY, Selection(), OLDEST_FIRST, limit=2)

        assert (len(page.entries), page.next_cursor) == (2, None)

    async def test_a_page_may_be_asked_for_by_its_number(self, kept: Kept) -> None:
        saved = [await kept.save(key) for key in ("a", "b", "c")]

        page = await kept.management.list(REPOSITORY, Selection(), OLDEST_FIRST, limit=2, offset=2)
        behind = await kept.management.list(
            REPOSITORY, Selection(), OLDEST_FIRST, limit=2, offset=10**30
        )

        assert (page.entries, page.total_count) == (tuple(saved[2:]), 3)
        assert (behind.entries, behind.total_count) == ((), 3)

    async def test_a_deletion_in_between_skips_nothing(self, kept: Kept) -> None:
        saved = [await kept.save(key) for key in ("a", "b", "c", "d")]
        first = await kept.management.list(REPOSITORY, Selection(), OLDEST_FIRST, limit=2)

        await kept.management.delete(REPOSITORY, [saved[0].id, saved[1].id], by=BY)
        second = await kept.management.list(
            REPOSITORY, Selection(), OLDEST_FIRST, limit=2, cursor=first.next_cursor
        )

        assert second.entries == tuple(saved[2:])

    async def test_a_cursor_belongs_to_one_list(self, kept: Kept) -> None:
        for key in ("a", "b"):
            await kept.save(key)
        page = await kept.management.list(REPOSITORY, Selection(), OLDEST_FIRST, limit=1)

        for repository, selection in (
            ("octo/other", Selection()),
            (REPOSITORY, Selection(prefix="a")),
        ):
            with pytest.raises(InvalidCursor):
                await kept.management.list(
                    repository, selection, OLDEST_FIRST, limit=1, cursor=page.next_cursor
                )

    async def test_an_unknown_repository_has_an_empty_list(self, kept: Kept) -> None:
        page = await kept.management.list("octo/new", Selection(), OLDEST_FIRST, limit=1)

        assert (page.entries, page.total_count, page.next_cursor) == ((), 0, None)

    async def test_what_cannot_be_a_repository_has_none(self, kept: Kept) -> None:
        with pytest.raises(InvalidRepository):
            await kept.management.list("../x", Selection(), OLDEST_FIRST, limit=1)

    async def test_to_list_is_no_access(self, kept: Kept) -> None:
        entry = await kept.save("a")
        kept.cache.clock.advance(DAY)

        await kept.management.list(REPOSITORY, Selection(), OLDEST_FIRST, limit=1)
        await kept.cache.service.record_accesses(link_ms=0)

        assert await kept.management.entry(REPOSITORY, entry.id) == entry


class TestDelete:
    """Deletions by id and by key."""

    async def test_what_was_there_is_gone_and_told(self, kept: Kept) -> None:
        one, two = await kept.save("a"), await kept.save("b")
        foreign = await kept.save("a", repository="octo/other")

        deleted = await kept.management.delete(
            "Octo/Hello", [two.id, foreign.id, 10**6, -1, 2**80, two.id], by=BY
        )

        assert list(deleted) == [two]
        assert kept.heard.deletions == [([two], BY)]
        assert await kept.keys() == ["a"]
        assert await kept.cache.find("b") is None
        assert (await kept.management.usage(REPOSITORY)) == Usage(REPOSITORY, 1, one.size_bytes)
        assert await kept.management.entry("octo/other", foreign.id) == foreign

    async def test_the_records_say_who_did_it(self, kept: Kept) -> None:
        entry = await kept.save("a")

        await kept.management.delete(REPOSITORY, [entry.id], by=BY)

        [event] = await kept.cache.records.events([REPOSITORY], kinds=[EventKind.DELETED], limit=9)
        assert (event.key, event.entry_id, event.by) == ("a", entry.id, BY)

    async def test_two_at_once_delete_it_once(self, kept: Kept) -> None:
        entry = await kept.save("a")

        first = await kept.management.delete(REPOSITORY, [entry.id], by=BY)
        second = await kept.management.delete(REPOSITORY, [entry.id], by=BY)

        assert (list(first), list(second)) == ([entry], [])

    async def test_more_than_one_transaction_may_delete(self, kept: Kept) -> None:
        ids = [(await kept.save(f"key-{number}")).id for number in range(3)]
        padding = list(range(10_000, 10_600))

        deleted = await kept.management.delete(REPOSITORY, [*ids, *padding, ids[0]], by=BY)

        assert [entry.id for entry in deleted] == ids

    async def test_a_key_goes_with_all_its_refs_and_versions(self, kept: Kept) -> None:
        for ref in (MAIN, "refs/heads/a"):
            await kept.save("key", ref=ref)
        await kept.cache.save("key", grant=job(), version="w" * 64)
        await kept.save("key-longer")

        deleted = await kept.management.delete_by_key(REPOSITORY, "key", by=BY)

        assert len(deleted) == 3
        assert await kept.keys() == ["key-longer"]

    async def test_a_key_goes_with_one_ref_alone(self, kept: Kept) -> None:
        for ref in (MAIN, "refs/heads/a"):
            await kept.save("key", ref=ref)

        deleted = await kept.management.delete_by_key(REPOSITORY, "key", ref=MAIN, by=BY)

        assert [entry.scope for entry in deleted] == [MAIN]
        assert await kept.keys() == ["key"]

    @pytest.mark.parametrize("key", ["", "unheard-of", "k", "key\ud800"])
    async def test_other_keys_delete_nothing(self, kept: Kept, key: str) -> None:
        await kept.save("key")

        assert list(await kept.management.delete_by_key(REPOSITORY, key, by=BY)) == []
        assert await kept.keys() == ["key"]
        assert kept.heard.deletions == []

    async def test_the_bytes_stay_for_those_who_have_a_link(self, kept: Kept) -> None:
        entry = await kept.save("key")
        hit = await kept.cache.find("key")
        assert hit is not None
        await kept.cache.service.record_accesses(link_ms=3_600_000)

        await kept.management.delete(REPOSITORY, [entry.id], by=BY)
        await kept.cache.maintenance.prune()
        read = await kept.cache.read(hit.blob)
        kept.cache.clock.advance(timedelta(hours=2))
        await kept.cache.maintenance.prune()

        assert read == b"xxxx"
        with pytest.raises(BlobMissing):
            await kept.cache.read(hit.blob)


class TestEntry:
    """One entry."""

    async def test_it_is_found_in_its_repository_alone(self, kept: Kept) -> None:
        entry = await kept.save("a")

        assert await kept.management.entry("OCTO/hello", entry.id) == entry
        assert await kept.management.entry("octo/other", entry.id) is None
        assert await kept.management.entry(REPOSITORY, 2**64) is None


class TestUsage:
    """How much is kept."""

    @pytest.fixture
    async def used(self, kept: Kept) -> Kept:
        for repository, size_bytes in (("a/x", 10), ("a/y", 30), ("ab/z", 20), ("b/x", 5)):
            await kept.save("key", repository=repository, size_bytes=size_bytes)
        return kept

    async def test_owners_have_what_their_repositories_have(self, used: Kept) -> None:
        assert await used.management.owner_usage("A") == Usage("a", 2, 40)
        assert await used.management.owner_usage("nobody") == Usage("nobody", 0, 0)
        with pytest.raises(InvalidInput):
            await used.management.owner_usage("a/x")

    async def test_repositories_come_the_largest_first(self, used: Kept) -> None:
        page = await used.management.usages(limit=2)
        rest = await used.management.usages(limit=9, offset=2)

        assert page == UsagePage((Usage("a/y", 1, 30), Usage("ab/z", 1, 20)), 4)
        assert [usage.repository for usage in rest.usages] == ["a/x", "b/x"]

    async def test_only_those_that_were_asked_for_are_told(self, used: Kept) -> None:
        page = await used.management.usages(owners=["A"], repositories=["B/x", "c/x"], limit=9)
        nothing = await used.management.usages(owners=[], repositories=[], limit=9)

        assert [usage.repository for usage in page.usages] == ["a/y", "a/x", "b/x"]
        assert page.total_count == 3
        assert nothing == UsagePage((), 0)


class TestLimits:
    """Limits of repositories and owners."""

    async def test_what_is_set_counts_and_is_told(self, kept: Kept) -> None:
        await kept.management.set_limits("Octo", LimitValues(500), by=BY)
        await kept.management.set_limits("Octo/Hello", LimitValues(None, 3 * DAY), by=BY)

        found = await kept.management.limits("octo/hello")

        assert found == EffectiveLimits(
            own=LimitValues(None, 3 * DAY),
            inherited=LimitValues(500, 7 * DAY),
            effective=LimitValues(500, 3 * DAY),
        )
        assert (await kept.management.limits("octo")).own == LimitValues(500)
        assert (await kept.management.limits("")).effective == LimitValues(1000, 7 * DAY)
        assert kept.heard.changes == [("octo", BY), ("octo/hello", BY)]

    async def test_nothing_set_is_what_is_inherited_again(self, kept: Kept) -> None:
        await kept.management.set_limits(REPOSITORY, LimitValues(5, DAY), by=BY)
        await kept.management.set_limits(REPOSITORY, LimitValues(), by=BY)

        assert (await kept.management.limits(REPOSITORY)).own is None

    @pytest.mark.parametrize("subject", ["", "a/b/c", "-/", "o o"])
    async def test_nobody_else_has_limits(self, kept: Kept, subject: str) -> None:
        with pytest.raises(InvalidInput):
            await kept.management.set_limits(subject, LimitValues(5), by=BY)

    async def test_a_preview_changes_nothing(self, kept: Kept) -> None:
        saved = [await kept.save(key, size_bytes=100) for key in ("a", "b", "c")]

        preview = await kept.management.would_evict(REPOSITORY, LimitValues(150))

        assert preview.entries == tuple(saved[:2])
        assert (preview.entry_count, preview.size_bytes) == (2, 200)
        assert len(await kept.keys()) == 3
        assert (await kept.management.limits(REPOSITORY)).own is None
        assert kept.heard.changes == []


class TestGroups:
    """What refs and families take, and what nobody restores any more."""

    async def test_entries_are_summed_up(self, kept: Kept) -> None:
        await kept.save("npm-1234567a", size_bytes=10)
        await kept.save("npm-1234567b", size_bytes=20)
        await kept.save("npm-1234567c", size_bytes=40, ref="refs/pull/7/merge")
        kept.cache.clock.advance(3 * DAY)

        refs = await kept.management.refs(REPOSITORY)
        families = await kept.management.families(REPOSITORY)
        unreachable = await kept.management.unreachable(REPOSITORY)

        assert [(ref.ref, ref.size_bytes) for ref in refs] == [
            ("refs/pull/7/merge", 40),
            (MAIN, 30),
        ]
        assert [(each.family, each.entry_count) for each in families] == [("npm-<hash>", 3)]
        assert unreachable.idle_pull_request_bytes == 40
        assert (unreachable.superseded_count, unreachable.superseded_bytes) == (1, 10)
