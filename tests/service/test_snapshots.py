"""How snapshots are saved, what they share, and what nobody learns from it."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Final

import pytest
from msgspec.structs import replace

from runcache.errors import (
    BlobMissing,
    CacheError,
    DigestMismatch,
    Draining,
    EntryExists,
    InvalidKey,
    MalformedMessage,
    ManifestMissing,
    PackGone,
    SizeMismatch,
    StoreFull,
    TooManyPacks,
    UploadGone,
    UploadTooLarge,
    WriteDenied,
)
from runcache.model import (
    MAX_PACKS,
    Contents,
    Entry,
    Grant,
    MatchKind,
    PackName,
    Permission,
    Span,
    Usage,
)
from runcache.retention import Limits
from runcache.service import UploadLimits
from tests.full_disk import file_size_limit
from tests.in_process import (
    MAIN,
    REPOSITORY,
    SNAPSHOT,
    VERSION,
    Cache,
    Clock,
    body_of,
    digests_of,
    job,
    open_cache,
)

FEATURE: Final = "refs/heads/feature"
HOUR_MS: Final = 3_600_000


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def cache(tmp_path: Path, clock: Clock) -> AsyncIterator[Cache]:
    async with open_cache(tmp_path, clock=clock) as cache:
        yield cache


async def forget(cache: Cache, *entries: Entry, link_ms: int = 0) -> None:
    ids = [entry.id for entry in entries]
    await cache.catalog.entries.forget(ids, now_ms=cache.clock(), link_ms=link_ms)


async def prune_later(cache: Cache) -> None:
    """Delete what may go once all grace is over."""
    cache.clock.advance(timedelta(minutes=10))
    await cache.maintenance.prune()


async def usage(cache: Cache) -> Usage:
    return await cache.service.usage(REPOSITORY)


def packs_of(contents: Contents) -> list[str]:
    return [str(blob.pack) for blob in contents.blobs[1:]]


class TestSave:
    """What becomes of a manifest and packs."""

    async def test_they_are_restored_in_their_order(self, cache: Cache) -> None:
        upload = await cache.reserve_snapshot("key")
        packs = [await cache.write_pack(upload, number, b"pack %d" % number) for number in (7, 3)]
        await cache.write_manifest(upload, b"what is where")

        entry = await cache.service.snapshots.commit(cache.default, upload.id, packs)

        assert (entry.id, entry.size_bytes, entry.is_snapshot) == (upload.id, 13 + 6 + 6, True)
        hit = await cache.service.find_blobs(cache.default, "key", [], [SNAPSHOT])
        assert hit is not None
        assert (hit.entry, hit.kind) == (entry, MatchKind.EXACT)
        assert [blob.pack for blob in hit.blobs] == [None, *packs]
        assert await cache.snapshot("key") == [b"what is where", b"pack 7", b"pack 3"]
        assert await usage(cache) == Usage(REPOSITORY, 1, 25)

    async def test_a_snapshot_may_be_a_manifest_alone(self, cache: Cache) -> None:
        await cache.save_snapshot("key", manifest=b"nothing else")

        assert await cache.snapshot("key") == [b"nothing else"]

    async def test_nothing_is_found_or_read_before_the_commit(self, cache: Cache) -> None:
        upload = await cache.reserve_snapshot("key")
        await cache.write_pack(upload, 0, b"pack")
        await cache.write_manifest(upload)

        assert await cache.snapshot("key") is None
        for blob in cache.files():
            with pytest.raises(BlobMissing):
                await cache.service.blob(blob)

    async def test_what_comes_again_replaces_what_was_there(self, cache: Cache) -> None:
        upload = await cache.reserve_snapshot("key")
        for data in (b"first", b"another"):
            pack = await cache.write_pack(upload, 0, data)
            await cache.write_manifest(upload, b"manifest of " + data)

        await cache.service.snapshots.commit(cache.default, upload.id, [pack])

        assert await cache.snapshot("key") == [b"manifest of another", b"another"]
        assert sorted(map(len, cache.files().values())) == [1, 1]
        assert (await cache.maintenance.check(read_data=True)).problems == []

    async def test_packs_that_are_not_named_are_deleted(self, cache: Cache) -> None:
        upload = await cache.reserve_snapshot("key")
        await cache.write_pack(upload, 0, b"left out")
        kept = await cache.write_pack(upload, 1, b"kept")
        await cache.write_manifest(upload)
        await cache.service.snapshots.commit(cache.default, upload.id, [kept])

        await cache.maintenance.prune()

        assert len(cache.files()) == 2
        assert await cache.snapshot("key") == [b"manifest", b"kept"]
        assert await usage(cache) == Usage(REPOSITORY, 1, 12)

    async def test_a_commit_may_be_repeated(self, cache: Cache) -> None:
        upload = await cache.reserve_snapshot("key")
        pack = await cache.write_pack(upload, 0, b"pack")
        await cache.write_manifest(upload)

        answers = await asyncio.gather(
            *(cache.service.snapshots.commit(cache.default, upload.id, [pack]) for _ in range(4))
        )

        assert [(entry.id, entry.size_bytes) for entry in answers] == [(upload.id, 12)] * 4
        assert await usage(cache) == Usage(REPOSITORY, 1, 12)

    async def test_without_its_manifest_nothing_is_committed(self, cache: Cache) -> None:
        upload = await cache.reserve_snapshot("key")
        pack = await cache.write_pack(upload, 0, b"pack")

        with pytest.raises(ManifestMissing):
            await cache.service.snapshots.commit(cache.default, upload.id, [pack])

        await cache.write_manifest(upload)
        assert await cache.service.snapshots.commit(cache.default, upload.id, [pack])

    async def test_a_pack_is_named_once(self, cache: Cache) -> None:
        upload = await cache.reserve_snapshot("key")
        pack = await cache.write_pack(upload, 0, b"pack")
        await cache.write_manifest(upload)

        with pytest.raises(MalformedMessage):
            await cache.service.snapshots.commit(cache.default, upload.id, [pack, pack])

    async def test_an_entry_has_so_many_packs_and_no_more(self, cache: Cache) -> None:
        upload = await cache.reserve_snapshot("key")
        names = [PackName(upload.id, number) for number in range(MAX_PACKS + 1)]

        with pytest.raises(TooManyPacks):
            await cache.service.snapshots.commit(cache.default, upload.id, names)
        await cache.write_manifest(upload)
        with pytest.raises(PackGone):
            await cache.service.snapshots.commit(cache.default, upload.id, names[1:])

    async def test_after_the_commit_nothing_can_be_added(self, cache: Cache) -> None:
        entry = await cache.save_snapshot("key", b"pack")
        upload = await cache.reserve_snapshot("other")
        committed = replace(upload, id=entry.id)

        for writing in (
            cache.write_pack(committed, 0, b"late"),
            cache.write_manifest(committed, b"late"),
            cache.service.snapshots.abandon(cache.default, entry.id),
        ):
            with pytest.raises(UploadGone):
                await writing

        assert await cache.snapshot("key") == [b"manifest", b"pack"]


class TestDigests:
    """What was announced of a body must be true."""

    @pytest.mark.parametrize("data", [b"pack", b""])
    async def test_another_digest_is_refused_and_nothing_kept(
        self, cache: Cache, data: bytes
    ) -> None:
        upload = await cache.reserve_snapshot("key")
        pack = PackName(upload.id, 0)

        with pytest.raises(DigestMismatch):
            await cache.service.snapshots.write_pack(
                cache.default, pack, body_of(data), announced_bytes=None, **digests_of(b"another")
            )

        assert not any(cache.files().values())
        await cache.write_manifest(upload)
        with pytest.raises(PackGone):
            await cache.service.snapshots.commit(cache.default, upload.id, [pack])

    async def test_a_refused_body_does_not_replace_the_former(self, cache: Cache) -> None:
        upload = await cache.reserve_snapshot("key")
        pack = await cache.write_pack(upload, 0, b"right")

        for announced_bytes, error in ((5, DigestMismatch), (6, SizeMismatch), (4, SizeMismatch)):
            with pytest.raises(error):
                await cache.service.snapshots.write_pack(
                    cache.default,
                    pack,
                    body_of(b"wrong"),
                    announced_bytes=announced_bytes,
                    **digests_of(b"right"),
                )

        await cache.write_manifest(upload)
        await cache.service.snapshots.commit(cache.default, upload.id, [pack])
        assert await cache.snapshot("key") == [b"manifest", b"right"]

    async def test_the_second_digest_is_verified_behind_the_commit(self, cache: Cache) -> None:
        upload = await cache.reserve_snapshot("key")
        digests = digests_of(b"pack") | {"sha256": b"?" * 32}
        pack = PackName(upload.id, 0)
        await cache.service.snapshots.write_pack(
            cache.default, pack, body_of(b"pack"), announced_bytes=4, **digests
        )
        await cache.write_manifest(upload)
        await cache.service.snapshots.commit(cache.default, upload.id, [pack])

        assert await cache.maintenance.settle() == 1

        assert await cache.snapshot("key") is None

    async def test_a_body_may_come_as_a_view_of_memory(self, cache: Cache) -> None:
        upload = await cache.reserve_snapshot("key")
        data = bytes(range(200))

        async def body() -> AsyncIterator[memoryview]:
            yield memoryview(data)[:50]
            yield memoryview(data)[50:]

        await cache.service.snapshots.write_manifest(
            cache.default, upload.id, body(), announced_bytes=200, **digests_of(data)
        )
        await cache.service.snapshots.commit(cache.default, upload.id, [])

        assert await cache.snapshot("key") == [data]


class TestReserve:
    """Who gets a key, and with which bases."""

    async def test_the_rules_are_those_of_archives(self, cache: Cache) -> None:
        await cache.save_snapshot("saved")
        await cache.reserve_snapshot("begun")

        with pytest.raises(EntryExists):
            await cache.reserve_snapshot("saved")
        with pytest.raises(EntryExists):
            await cache.reserve_snapshot("begun", grant=job())
        with pytest.raises(InvalidKey):
            await cache.reserve_snapshot("a,b")
        with pytest.raises(WriteDenied):
            await cache.reserve_snapshot("new", grant=job(permission=Permission.READ))
        cache.service.drain()
        with pytest.raises(Draining):
            await cache.reserve_snapshot("new")

    async def test_below_min_free_none_is_taken(self, tmp_path: Path) -> None:
        limits = UploadLimits(min_free_bytes=2**62)
        async with open_cache(tmp_path, upload_limits=limits) as cache:
            with pytest.raises(StoreFull):
                await cache.reserve_snapshot("key")

    async def test_the_same_job_may_reserve_again_and_its_older_packs_are_void(
        self, cache: Cache
    ) -> None:
        older = await cache.reserve_snapshot("key")
        pack = await cache.write_pack(older, 0, b"older")
        newer = await cache.reserve_snapshot("key")
        await cache.write_manifest(newer)

        with pytest.raises(UploadGone):
            await cache.write_pack(older, 1, b"late")
        with pytest.raises(PackGone):
            await cache.service.snapshots.commit(cache.default, newer.id, [pack])

        await cache.service.snapshots.commit(cache.default, newer.id, [])
        await cache.maintenance.prune()
        assert len(cache.files()) == 1

    async def test_the_newest_readable_snapshot_of_the_version_is_the_base(
        self, cache: Cache, clock: Clock
    ) -> None:
        feature = job(FEATURE, MAIN)
        for number, (key, grant) in enumerate(
            [("old", cache.default), ("newest", cache.default), ("sibling", job("refs/heads/x"))]
        ):
            await cache.save_snapshot(key, b"pack %d" % number, grant=grant)
            clock.advance(timedelta(seconds=1))
        await cache.save("archive", version=SNAPSHOT)

        _, auto = await cache.service.snapshots.reserve(feature, "a", SNAPSHOT, "auto")
        _, other = await cache.service.snapshots.reserve(feature, "b", "another version", "auto")
        _, none = await cache.service.snapshots.reserve(feature, "c", SNAPSHOT)

        assert [(base.entry.key, packs_of(base)) for base in auto] == [("newest", ["2-0"])]
        assert (other, none) == ([], [])

    async def test_of_named_bases_only_readable_snapshots_are_held(self, cache: Cache) -> None:
        feature, sibling = job(FEATURE, MAIN), job("refs/heads/x", MAIN)
        mine = await cache.save_snapshot("mine", b"mine", grant=feature)
        of_main = await cache.save_snapshot("of main", b"main")
        hidden = await cache.save_snapshot("hidden", b"hidden", grant=sibling)
        foreign = await cache.save_snapshot("x", b"x", grant=job(repository="octo/other"))
        archive = await cache.save("archive")
        wanted = [of_main.id, hidden.id, foreign.id, archive.id, mine.id, 999, of_main.id]

        _, bases = await cache.service.snapshots.reserve(feature, "new", SNAPSHOT, wanted)

        assert [base.entry.id for base in bases] == [of_main.id, mine.id]

    async def test_a_job_that_may_only_write_has_no_bases(self, cache: Cache) -> None:
        await cache.save_snapshot("base", b"pack")
        writer = job(permission=Permission.WRITE)

        upload, bases = await cache.service.snapshots.reserve(writer, "new", SNAPSHOT, "auto")

        assert bases == []
        await cache.write_manifest(upload, grant=writer)
        assert await cache.service.snapshots.commit(writer, upload.id, [])

    async def test_a_base_that_is_damaged_is_none(self, cache: Cache) -> None:
        damaged = await cache.save_snapshot("damaged", b"pack")
        (blob,) = [b for b in await cache.catalog.blobs.of_entry(damaged.id) if b.size_bytes == 4]
        await cache.store.delete(blob.name)

        upload, bases = await cache.service.snapshots.reserve(
            cache.default, "new", SNAPSHOT, "auto"
        )

        assert bases == []
        await cache.write_manifest(upload)
        with pytest.raises(PackGone):
            await cache.service.snapshots.commit(
                cache.default, upload.id, [PackName(damaged.id, 0)]
            )


class TestSharing:
    """Packs that several entries have."""

    async def test_a_snapshot_refers_to_packs_of_its_base(self, cache: Cache) -> None:
        first = await cache.save_snapshot("first", b"common", b"old")

        second = await cache.save_snapshot(
            "second", b"new", bases="auto", shared=[PackName(first.id, 0)]
        )

        assert await cache.snapshot("second") == [b"manifest", b"new", b"common"]
        assert second.size_bytes == 8 + 3 + 6
        # What both have counts once.
        assert await usage(cache) == Usage(REPOSITORY, 2, 8 + 6 + 3 + 8 + 3)
        assert (await cache.maintenance.check()).problems == []

    async def test_shared_packs_live_until_the_last_entry_goes(self, cache: Cache) -> None:
        first = await cache.save_snapshot("first", b"common", b"old")
        common = PackName(first.id, 0)
        second = await cache.save_snapshot("second", b"new", bases="auto", shared=[common])
        third = await cache.save_snapshot("third", bases="auto", shared=[common])

        sizes = [(await usage(cache)).size_bytes]
        for entry in (first, second, third):
            await forget(cache, entry)
            await prune_later(cache)
            sizes.append((await usage(cache)).size_bytes)
            assert (await cache.maintenance.check()).problems == []
            if entry is not third:
                assert await cache.snapshot("third") == [b"manifest", b"common"]

        assert sizes == [36, 8 + 6 + 3 + 8, 8 + 6, 0]
        assert cache.files() == {}

    async def test_a_pack_is_shared_on_though_the_entry_it_came_with_is_gone(
        self, cache: Cache
    ) -> None:
        first = await cache.save_snapshot("first", b"common")
        common = PackName(first.id, 0)
        await cache.save_snapshot("second", bases="auto", shared=[common])
        await forget(cache, first)
        await prune_later(cache)

        await cache.save_snapshot("third", bases="auto", shared=[common])

        assert await cache.snapshot("third") == [b"manifest", b"common"]

    async def test_a_readable_entry_needs_not_be_a_base(self, cache: Cache) -> None:
        first = await cache.save_snapshot("first", b"common")

        await cache.save_snapshot("second", shared=[PackName(first.id, 0)])

        assert await cache.snapshot("second") == [b"manifest", b"common"]

    async def test_two_bases_may_have_a_pack_in_common(self, cache: Cache) -> None:
        first = await cache.save_snapshot("first", b"common", b"one")
        second = await cache.save_snapshot("second", b"two", shared=[PackName(first.id, 0)])

        await cache.save_snapshot(
            "third",
            bases=[first.id, second.id],
            shared=[PackName(first.id, 0), PackName(first.id, 1), PackName(second.id, 0)],
        )

        assert await cache.snapshot("third") == [b"manifest", b"common", b"one", b"two"]

    async def test_the_manifest_of_another_is_no_pack(self, cache: Cache) -> None:
        archive = await cache.save("archive")
        for number in (0, 1):
            upload = await cache.reserve_snapshot("key")
            await cache.write_manifest(upload)
            with pytest.raises(PackGone):
                await cache.service.snapshots.commit(
                    cache.default, upload.id, [PackName(archive.id, number)]
                )


class TestHolds:
    """Packs of bases are kept for an upload until it ends."""

    async def test_an_evicted_base_can_still_be_shared(self, cache: Cache) -> None:
        first = await cache.save_snapshot("first", b"common", b"old")
        upload = await cache.reserve_snapshot("second", bases="auto")
        await forget(cache, first)
        await prune_later(cache)
        await cache.write_manifest(upload)

        await cache.service.snapshots.commit(cache.default, upload.id, [PackName(first.id, 0)])

        assert await cache.snapshot("first") is None
        assert await cache.snapshot("second") == [b"manifest", b"common"]
        assert await usage(cache) == Usage(REPOSITORY, 1, 14)
        await prune_later(cache)
        assert len(cache.files()) == 2
        assert (await cache.maintenance.check(read_data=True)).problems == []

    async def test_an_evicted_base_does_not_count(self, cache: Cache) -> None:
        first = await cache.save_snapshot("first", b"common")
        await cache.reserve_snapshot("second", bases="auto")

        await forget(cache, first)

        assert await usage(cache) == Usage(REPOSITORY, 0, 0)
        assert (await cache.maintenance.check()).problems == []
        assert await cache.catalog.blobs.doomed_bytes() == 0

    @pytest.mark.parametrize("end", ["abandon", "expire", "reserve again"])
    async def test_they_go_when_the_upload_ends_otherwise(self, cache: Cache, end: str) -> None:
        first = await cache.save_snapshot("first", b"common")
        upload = await cache.reserve_snapshot("second", bases="auto")
        await cache.write_pack(upload, 0, b"new")
        await forget(cache, first)
        await prune_later(cache)
        before = len(cache.files())

        if end == "abandon":
            await cache.service.snapshots.abandon(cache.default, upload.id)
        elif end == "expire":
            cache.clock.advance(timedelta(hours=24))
        else:
            await cache.reserve_snapshot("second")
        await cache.maintenance.prune()

        assert (before, cache.files()) == (3, {})

    async def test_links_to_a_base_work_as_long_as_other_links(
        self, cache: Cache, clock: Clock
    ) -> None:
        first = await cache.save_snapshot("first", b"common")
        upload = await cache.reserve_snapshot("second", bases="auto")
        clock.advance(timedelta(milliseconds=1))
        await forget(cache, first, link_ms=HOUR_MS)
        await cache.service.record_accesses(link_ms=HOUR_MS)
        await cache.service.snapshots.abandon(cache.default, upload.id)

        clock.advance(timedelta(hours=1))
        await cache.maintenance.prune()
        assert len(cache.files()) == 2

        await prune_later(cache)
        assert cache.files() == {}

    async def test_to_be_a_base_is_no_access(self, cache: Cache, clock: Clock) -> None:
        first = await cache.save_snapshot("first", b"common")
        clock.advance(timedelta(hours=1))

        await cache.reserve_snapshot("second", bases="auto")
        await cache.service.record_accesses(link_ms=HOUR_MS)

        found = await cache.catalog.entries.get(first.id)
        assert found is not None
        assert found.last_accessed_at == first.last_accessed_at

    async def test_a_damaged_pack_is_held_no_longer(self, cache: Cache) -> None:
        first = await cache.save_snapshot("first", b"common")
        upload = await cache.reserve_snapshot("second", bases="auto")
        hit = await cache.service.find_blobs(cache.default, "first", [], [SNAPSHOT])
        assert hit is not None
        await cache.store.delete(hit.blobs[1].name)
        with pytest.raises(BlobMissing):
            await cache.read(hit.blobs[1].name)
        await cache.write_manifest(upload)

        with pytest.raises(PackGone):
            await cache.service.snapshots.commit(cache.default, upload.id, [PackName(first.id, 0)])

    async def test_evictions_and_commits_at_once_leave_no_torn_entry(self, tmp_path: Path) -> None:
        limits = Limits(repo_limit_bytes=60, min_free_bytes=0, link_ttl=timedelta(0))
        async with open_cache(tmp_path, limits=limits) as cache:
            is_done = asyncio.Event()

            async def sweep() -> None:
                while not is_done.is_set():
                    await cache.maintenance.forget()
                    await cache.maintenance.prune()

            async def save(number: int) -> None:
                grant = job()
                upload, bases = await cache.service.snapshots.reserve(
                    grant, f"key-{number}", SNAPSHOT, "auto"
                )
                shared = [blob.pack for base in bases for blob in base.blobs if blob.pack]
                pack = await cache.write_pack(upload, 0, b"pack %05d" % number, grant=grant)
                await cache.write_manifest(upload, grant=grant)
                cache.clock.advance(timedelta(minutes=3))
                await cache.service.snapshots.commit(grant, upload.id, [pack, *shared[:2]])

            sweeping = asyncio.ensure_future(sweep())
            for number in range(0, 60, 3):
                await asyncio.gather(*(save(number + more) for more in range(3)))
            is_done.set()
            await sweeping

            assert (await cache.maintenance.check(read_data=True)).problems == []
            await cache.maintenance.forget()
            assert (await usage(cache)).size_bytes <= 60
            await prune_later(cache)
            assert (await cache.maintenance.check(read_data=True)).problems == []
            held = {blob.name for blob in await cache.catalog.blobs.committed(limit=999)}
            assert set(cache.files()) == held


async def refusal(cache: Cache, grant: Grant, *packs: PackName) -> CacheError:
    """Return the error with which a commit of these packs fails."""
    upload = await cache.reserve_snapshot("attempt", grant=grant)
    await cache.write_manifest(upload, grant=grant)
    with pytest.raises(CacheError) as refused:
        await cache.service.snapshots.commit(grant, upload.id, packs)
    assert await cache.snapshot("attempt", grant=grant) is None
    return refused.value


class TestIsolation:
    """A branch learns nothing of its siblings, whatever it names."""

    async def test_all_packs_that_cannot_be_shared_are_refused_alike(self, cache: Cache) -> None:
        feature, sibling = job(FEATURE, MAIN), job("refs/heads/sibling", MAIN)
        hidden = await cache.save_snapshot("hidden", b"secret", grant=sibling)
        foreign = await cache.save_snapshot("x", b"x", grant=job(repository="octo/other"))
        doomed = await cache.save_snapshot("doomed", b"gone", grant=feature)
        await forget(cache, doomed, link_ms=HOUR_MS)
        begun = await cache.reserve_snapshot("begun", grant=sibling)
        await cache.write_pack(begun, 0, b"begun", grant=sibling)

        refused = [
            await refusal(cache, feature, name)
            for name in (
                PackName(hidden.id, 0),  # of a sibling
                PackName(hidden.id, 1),  # which that has not
                PackName(foreign.id, 0),
                PackName(doomed.id, 0),
                PackName(begun.id, 0),
                PackName(10**12, 0),
            )
        ]

        assert {type(error) for error in refused} == {PackGone}
        assert len({(str(error), error.hint, str(error.args)) for error in refused}) == 1

    async def test_main_cannot_have_packs_of_a_branch(self, cache: Cache) -> None:
        of_branch = await cache.save_snapshot("key", b"evil", grant=job(FEATURE, MAIN))

        refused = await refusal(cache, job(MAIN), PackName(of_branch.id, 0))

        assert isinstance(refused, PackGone)

    async def test_what_main_and_a_sibling_share_is_not_the_siblings_to_give(
        self, cache: Cache
    ) -> None:
        sibling = job("refs/heads/sibling", MAIN)
        first = await cache.save_snapshot("first", b"common")
        await cache.save_snapshot("second", shared=[PackName(first.id, 0)], grant=sibling)
        await forget(cache, first)

        # It lives on in the sibling's entry alone.
        refused = await refusal(cache, job(FEATURE, MAIN), PackName(first.id, 0))

        assert isinstance(refused, PackGone)
        assert await cache.snapshot("second", grant=sibling) == [b"manifest", b"common"]

    async def test_an_upload_is_its_own_jobs_alone(self, cache: Cache) -> None:
        upload = await cache.reserve_snapshot("key")
        pack = await cache.write_pack(upload, 0, b"pack")
        await cache.write_manifest(upload)

        for stranger in (job(), job(FEATURE, MAIN), job(repository="octo/other")):
            for act in (
                cache.write_pack(upload, 0, b"evil", grant=stranger),
                cache.write_manifest(upload, b"evil", grant=stranger),
                cache.service.snapshots.commit(stranger, upload.id, [pack]),
                cache.service.snapshots.abandon(stranger, upload.id),
            ):
                with pytest.raises(UploadGone):
                    await act

        await cache.service.snapshots.commit(cache.default, upload.id, [pack])
        assert await cache.snapshot("key") == [b"manifest", b"pack"]

    async def test_an_entry_of_a_sibling_cannot_be_committed_again(self, cache: Cache) -> None:
        hidden = await cache.save_snapshot("hidden", b"x", grant=job("refs/heads/sibling"))

        for grant in (job(FEATURE, MAIN), job(repository="octo/other")):
            with pytest.raises(UploadGone):
                await cache.service.snapshots.commit(grant, hidden.id, [])


class TestProtocols:
    """Archives and snapshots do not get into each other's way."""

    async def test_the_older_protocols_cannot_touch_a_snapshot_in_the_making(
        self, cache: Cache
    ) -> None:
        upload = await cache.reserve_snapshot("key", version=VERSION)
        await cache.write_manifest(upload)

        with pytest.raises(UploadGone):
            await cache.service.commit(cache.default, "key", VERSION, 8)
        with pytest.raises(UploadGone):
            await cache.service.upload_of(cache.default, upload.id)
        with pytest.raises(UploadGone):
            await cache.service.commit_ranges(cache.default, upload.id, 8)

        assert await cache.service.snapshots.commit(cache.default, upload.id, [])

    async def test_the_native_one_cannot_touch_an_archive_in_the_making(self, cache: Cache) -> None:
        upload = await cache.reserve("key")

        for act in (
            cache.write_pack(upload, 0, b"pack"),
            cache.write_manifest(upload),
            cache.service.snapshots.commit(cache.default, upload.id, []),
            cache.service.snapshots.abandon(cache.default, upload.id),
        ):
            with pytest.raises(UploadGone):
                await act

        assert not any(cache.files().values())

    async def test_an_archive_is_no_snapshot_that_was_committed_before(self, cache: Cache) -> None:
        archive = await cache.save("key")

        with pytest.raises(UploadGone):
            await cache.service.snapshots.commit(cache.default, archive.id, [])

    async def test_clients_of_the_older_protocols_do_not_find_snapshots(self, cache: Cache) -> None:
        await cache.save_snapshot("key", b"pack")

        assert await cache.find("key", "k") is None

    async def test_whoever_asks_for_the_version_of_a_snapshot_gets_its_manifest(
        self, cache: Cache
    ) -> None:
        await cache.save_snapshot("key", b"pack", manifest=b"what is where")

        hit = await cache.find("key", version=SNAPSHOT)

        assert hit is not None
        assert await cache.read(hit.blob) == b"what is where"


class TestLimits:
    """An `entry_limit` of twenty bytes."""

    @pytest.fixture
    async def cache(self, tmp_path: Path) -> AsyncIterator[Cache]:
        limits = UploadLimits(entry_limit_bytes=20, min_free_bytes=0)
        async with open_cache(tmp_path, upload_limits=limits) as cache:
            yield cache

    async def test_packs_and_manifest_count_together(self, cache: Cache) -> None:
        upload = await cache.reserve_snapshot("key")
        await cache.write_pack(upload, 0, b"x" * 20)
        await cache.write_pack(upload, 0, b"x" * 12)

        with pytest.raises(UploadTooLarge):
            await cache.write_manifest(upload, b"x" * 9)
        with pytest.raises(UploadTooLarge):
            await cache.write_pack(upload, 1, b"x" * 21)

        await cache.write_manifest(upload, b"x" * 8)
        assert sum(map(len, cache.files().values())) == 2

    async def test_shared_packs_count_too(self, cache: Cache) -> None:
        first = await cache.save_snapshot("first", b"x" * 12)
        upload = await cache.reserve_snapshot("second", bases="auto")
        await cache.write_manifest(upload, b"x" * 9)

        with pytest.raises(UploadTooLarge):
            await cache.service.snapshots.commit(cache.default, upload.id, [PackName(first.id, 0)])

        await cache.write_manifest(upload, b"x" * 8)
        assert await cache.service.snapshots.commit(
            cache.default, upload.id, [PackName(first.id, 0)]
        )


async def test_a_disk_that_fills_up_voids_the_upload_and_frees_its_key(cache: Cache) -> None:
    upload = await cache.reserve_snapshot("key")
    await cache.write_pack(upload, 0, b"pack")
    data = bytes(20_000_000)

    with file_size_limit(16_000_000), pytest.raises(StoreFull):
        await cache.write_pack(upload, 1, data)

    await cache.save_snapshot("key", b"of another job", grant=job())
    await cache.maintenance.prune()
    assert len(cache.files()) == 2


async def test_an_upload_is_in_flight_until_it_ends(cache: Cache) -> None:
    upload = await cache.reserve_snapshot("one")
    await cache.write_pack(upload, 0, b"pack")
    other = await cache.reserve_snapshot("two")
    counts = [len(cache.service.uploads_in_flight(within_seconds=60))]

    await cache.service.snapshots.abandon(cache.default, other.id)
    counts.append(len(cache.service.uploads_in_flight(within_seconds=60)))
    await cache.write_manifest(upload)
    await cache.service.snapshots.commit(cache.default, upload.id, [])
    counts.append(len(cache.service.uploads_in_flight(within_seconds=60)))

    assert counts == [2, 1, 0]


async def test_twenty_four_jobs_on_one_key_make_one_entry(cache: Cache) -> None:
    async def save(number: int) -> Entry:
        return await cache.save_snapshot("key", b"pack %d" % number, grant=job())

    outcomes = await asyncio.gather(*map(save, range(24)), return_exceptions=True)

    (winner,) = [outcome for outcome in outcomes if isinstance(outcome, Entry)]
    assert sum(isinstance(outcome, EntryExists) for outcome in outcomes) == 23
    assert await cache.snapshot("key") == [b"manifest", b"pack %d" % outcomes.index(winner)]


async def test_a_span_of_a_pack_can_be_read(cache: Cache) -> None:
    await cache.save_snapshot("key", b"0123456789")
    hit = await cache.service.find_blobs(cache.default, "key", [], [SNAPSHOT])
    assert hit is not None

    assert await cache.read(hit.blobs[1].name, Span(3, 7)) == b"3456"
