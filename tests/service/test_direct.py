"""Bytes that go past the server: what is believed of them, and what becomes of the others."""

import asyncio
import hashlib
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Final

import msgspec
import pytest

from runcache.errors import (
    DigestMismatch,
    SizeMismatch,
    TooManyPacks,
    UploadGone,
    UploadTooLarge,
)
from runcache.model import MAX_PACKS, PackName, Span
from runcache.service import UploadLimits
from runcache.service.direct import LED_AT_ONCE, REPORT_WITHIN
from tests.faults.disk import execute
from tests.folder_direct import FolderDirect, direct_of
from tests.in_process import SNAPSHOT, Cache, Clock, job, open_cache

SOON: Final = timedelta(minutes=1)


def digest_of(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def store(tmp_path: Path) -> FolderDirect:
    return FolderDirect(tmp_path / "blobs")


@pytest.fixture
async def cache(tmp_path: Path, clock: Clock, store: FolderDirect) -> AsyncIterator[Cache]:
    limits = UploadLimits(min_free_bytes=0, entry_limit_bytes=100)
    async with open_cache(tmp_path, clock=clock, upload_limits=limits, direct=store) as cache:
        yield cache


async def parts_in(cache: Cache) -> int:
    return sum(len(parts) for parts in cache.files().values())


async def swept(cache: Cache) -> int:
    """Return how many parts there are once all is swept that can be."""
    cache.clock.advance(REPORT_WITHIN + timedelta(minutes=10))
    await cache.maintenance.prune()
    return await parts_in(cache)


class TestUploads:
    """Manifests and packs."""

    async def test_what_was_put_there_and_reported_is_saved(
        self, cache: Cache, store: FolderDirect
    ) -> None:
        upload = await cache.reserve_snapshot("key")
        pack = PackName(upload.id, 7)
        seven = await store.send(cache, upload, b"seven")
        await direct_of(cache).take(cache.default, upload.id, pack, sha256=seven)
        through_here = await cache.write_pack(upload, 8, b"eight")
        manifest = await store.send(cache, upload, b"manifest")
        await direct_of(cache).take(cache.default, upload.id, None, sha256=manifest)

        entry = await cache.service.snapshots.commit(cache.default, upload.id, [pack, through_here])

        assert await cache.snapshot("key") == [b"manifest", b"seven", b"eight"]
        assert entry.size_bytes == 18
        assert (await cache.service.usage("octo/hello")).size_bytes == 18
        assert await swept(cache) == 3
        assert (await cache.maintenance.check(read_data=True)).problems == []

    async def test_nobody_reads_again_what_the_store_has_verified(
        self, cache: Cache, store: FolderDirect
    ) -> None:
        upload = await cache.reserve_snapshot("key")
        manifest = await store.send(cache, upload, b"manifest")
        await direct_of(cache).take(cache.default, upload.id, None, sha256=manifest)
        await cache.service.snapshots.commit(cache.default, upload.id, [])

        (blob,) = await cache.catalog.blobs.committed(limit=9)
        unsettled = await cache.catalog.blobs.unsettled(limit=9)

        assert (blob.sha256, blob.blake3, unsettled) == (digest_of(b"manifest"), None, [])

    async def test_to_ask_and_to_report_again_changes_nothing(
        self, cache: Cache, store: FolderDirect
    ) -> None:
        upload = await cache.reserve_snapshot("key")
        direct, pack = direct_of(cache), PackName(upload.id, 0)
        ask = {"size_bytes": 4, "sha256": digest_of(b"pack")}

        first = await direct.upload_link(cache.default, upload.id, **ask)  # type: ignore[arg-type]
        second = await direct.upload_link(cache.default, upload.id, **ask)  # type: ignore[arg-type]
        await store.put(second, b"pack")
        for _ in range(2):
            await direct.take(cache.default, upload.id, pack, sha256=digest_of(b"pack"))
        manifest = await store.send(cache, upload, b"manifest")
        for _ in range(2):
            await direct.take(cache.default, upload.id, None, sha256=manifest)
        await store.put(first, b"pack")
        entry = await cache.service.snapshots.commit(cache.default, upload.id, [pack])

        assert first.url == second.url
        assert entry.size_bytes == 12
        assert await cache.snapshot("key") == [b"manifest", b"pack"]
        assert await swept(cache) == 2

    async def test_what_was_never_put_there_is_not_taken(self, cache: Cache) -> None:
        upload = await cache.reserve_snapshot("key")
        direct = direct_of(cache)
        await direct.upload_link(cache.default, upload.id, size_bytes=4, sha256=digest_of(b"pack"))

        with pytest.raises(SizeMismatch):
            await direct.take(
                cache.default, upload.id, PackName(upload.id, 0), sha256=digest_of(b"pack")
            )
        with pytest.raises(UploadGone):
            await direct.take(cache.default, upload.id, None, sha256=digest_of(b"never asked for"))

    async def test_a_store_that_took_other_bytes_is_not_believed(
        self, cache: Cache, store: FolderDirect, tmp_path: Path
    ) -> None:
        upload = await cache.reserve_snapshot("key")
        direct, pack = direct_of(cache), PackName(upload.id, 0)
        link = await direct.upload_link(
            cache.default, upload.id, size_bytes=4, sha256=digest_of(b"pack")
        )
        await store.put(link, b"pack")
        file = tmp_path / "blobs" / link.url.removeprefix("folder:")

        for lie, error in ((b"kcap", DigestMismatch), (b"packs", SizeMismatch)):
            file.write_bytes(lie)
            with pytest.raises(error):
                await direct.take(cache.default, upload.id, pack, sha256=digest_of(b"pack"))

        await cache.service.snapshots.abandon(cache.default, upload.id)
        assert await swept(cache) == 0

    async def test_another_pack_of_the_same_number_replaces_the_former_one_whichever_way_it_came(
        self, cache: Cache, store: FolderDirect
    ) -> None:
        upload = await cache.reserve_snapshot("key")
        direct, pack = direct_of(cache), PackName(upload.id, 0)
        await cache.write_pack(upload, 0, b"through here")
        for data in (b"past", b"past again"):
            sent = await store.send(cache, upload, data)
            await direct.take(cache.default, upload.id, pack, sha256=sent)
        await cache.write_pack(upload, 0, b"last")
        await cache.write_manifest(upload, b"first")
        manifest = await store.send(cache, upload, b"manifest")
        await direct.take(cache.default, upload.id, None, sha256=manifest)

        entry = await cache.service.snapshots.commit(cache.default, upload.id, [pack])

        assert await cache.snapshot("key") == [b"manifest", b"last"]
        assert entry.size_bytes == 12
        (unproven,) = await cache.catalog.blobs.unsettled(limit=9)
        assert unproven.sha256 == digest_of(b"last")
        assert await swept(cache) == 2

    async def test_bytes_that_come_late_go_nowhere_and_are_swept(
        self, cache: Cache, store: FolderDirect
    ) -> None:
        committed = await cache.reserve_snapshot("committed")
        await cache.write_manifest(committed)
        void = await cache.reserve_snapshot("void")
        ask = {"size_bytes": 4, "sha256": digest_of(b"late")}
        links = [
            await direct_of(cache).upload_link(cache.default, upload.id, **ask)  # type: ignore[arg-type]
            for upload in (committed, void)
        ]
        await cache.service.snapshots.commit(cache.default, committed.id, [])
        await cache.service.snapshots.abandon(cache.default, void.id)
        await cache.maintenance.prune()

        for link, upload in zip(links, (committed, void), strict=True):
            assert await store.put(link, b"late")
            with pytest.raises(UploadGone):
                await direct_of(cache).take(
                    cache.default, upload.id, PackName(upload.id, 0), sha256=digest_of(b"late")
                )
            with pytest.raises(UploadGone):
                await direct_of(cache).upload_link(cache.default, upload.id, **ask)  # type: ignore[arg-type]

        assert await swept(cache) == 1
        assert await cache.snapshot("committed") == [b"manifest"]

    async def test_what_is_not_reported_in_time_is_swept_though_its_upload_goes_on(
        self, cache: Cache, store: FolderDirect, clock: Clock
    ) -> None:
        upload = await cache.reserve_snapshot("key")
        sent = await store.send(cache, upload, b"pack")
        clock.advance(REPORT_WITHIN - timedelta(minutes=3))
        await cache.maintenance.prune()
        in_time = await parts_in(cache)
        clock.advance(timedelta(minutes=1))

        with pytest.raises(UploadGone):
            await direct_of(cache).take(
                cache.default, upload.id, PackName(upload.id, 0), sha256=sent
            )

        assert in_time == 1
        assert await swept(cache) == 0
        await cache.write_manifest(upload)
        await cache.service.snapshots.commit(cache.default, upload.id, [])

    async def test_an_expired_upload_takes_nothing(
        self, cache: Cache, store: FolderDirect, clock: Clock
    ) -> None:
        upload = await cache.reserve_snapshot("key")
        clock.advance(timedelta(hours=24) - timedelta(minutes=1))
        sent = await store.send(cache, upload, b"pack")
        clock.advance(timedelta(minutes=1))

        with pytest.raises(UploadGone):
            await direct_of(cache).take(
                cache.default, upload.id, PackName(upload.id, 0), sha256=sent
            )

        assert await swept(cache) == 0

    async def test_only_the_job_itself_may_ask_and_report(
        self, cache: Cache, store: FolderDirect
    ) -> None:
        upload = await cache.reserve_snapshot("key")
        sent = await store.send(cache, upload, b"pack")
        archive = await cache.reserve("archive")

        for other, upload_id in ((job(), upload.id), (cache.default, archive.id)):
            with pytest.raises(UploadGone):
                await direct_of(cache).upload_link(other, upload_id, size_bytes=4, sha256=sent)
            with pytest.raises(UploadGone):
                await direct_of(cache).take(other, upload_id, None, sha256=sent)

    async def test_a_promise_counts_for_no_other_upload(
        self, cache: Cache, store: FolderDirect
    ) -> None:
        mine, other = await cache.reserve_snapshot("mine"), await cache.reserve_snapshot("other")
        sent = await store.send(cache, mine, b"pack")

        with pytest.raises(UploadGone):
            await direct_of(cache).take(cache.default, other.id, PackName(other.id, 0), sha256=sent)

    async def test_the_limits_of_an_upload_hold(self, cache: Cache, store: FolderDirect) -> None:
        upload = await cache.reserve_snapshot("key")
        direct = direct_of(cache)
        sixty = await store.send(cache, upload, b"x" * 60)
        fifty = await store.send(cache, upload, b"y" * 50)
        await direct.take(cache.default, upload.id, PackName(upload.id, 0), sha256=sixty)

        with pytest.raises(UploadTooLarge):
            await direct.take(cache.default, upload.id, PackName(upload.id, 1), sha256=fifty)
        for size_bytes in (41, 101):
            with pytest.raises(UploadTooLarge):
                await direct.upload_link(
                    cache.default, upload.id, size_bytes=size_bytes, sha256=sixty
                )

    async def test_an_upload_has_as_many_packs_as_it_may_have(
        self, cache: Cache, store: FolderDirect
    ) -> None:
        upload = await cache.reserve_snapshot("key")
        full = "UPDATE uploads SET block_count = ?"
        await asyncio.to_thread(execute, cache.folder, full, MAX_PACKS)
        sent = await store.send(cache, upload, b"pack")

        with pytest.raises(TooManyPacks):
            await direct_of(cache).take(
                cache.default, upload.id, PackName(upload.id, MAX_PACKS), sha256=sent
            )

    async def test_links_end_long_before_the_bytes_may_be_swept(
        self, cache: Cache, store: FolderDirect
    ) -> None:
        upload = await cache.reserve_snapshot("key")

        await store.send(cache, upload, b"pack")

        assert store.expirations == [timedelta(minutes=15)]

    async def test_packs_are_shared_with_those_that_came_past_here(
        self, cache: Cache, store: FolderDirect
    ) -> None:
        first = await cache.reserve_snapshot("first")
        pack = PackName(first.id, 0)
        sent = await store.send(cache, first, b"pack")
        await direct_of(cache).take(cache.default, first.id, pack, sha256=sent)
        await cache.write_manifest(first)
        await cache.service.snapshots.commit(cache.default, first.id, [pack])

        await cache.save_snapshot("second", shared=[pack], bases="auto")

        assert await cache.snapshot("second") == [b"manifest", b"pack"]


class TestDownloads:
    """Links that lead past the server."""

    async def test_a_blob_of_one_part_has_a_link_and_one_of_several_has_none(
        self, cache: Cache, store: FolderDirect
    ) -> None:
        await cache.save("one", b"one object")
        await cache.save_blocks("two", [b"two ", b"objects"])
        await cache.save("empty", b"")

        urls = {}
        for key in ("one", "two", "empty"):
            hit = await cache.find(key)
            assert hit is not None
            blob = await cache.service.blob(hit.blob)
            urls[key] = await direct_of(cache).download_url(
                blob, Span(0, blob.size_bytes), expires_in=SOON, is_restore=True
            )

        assert urls["one"] is not None
        assert await store.get(urls["one"]) == b"one object"
        assert urls["two"] is urls["empty"] is None

    async def test_a_hit_tells_where_all_packs_are_unless_there_are_too_many(
        self, cache: Cache, store: FolderDirect
    ) -> None:
        hour = timedelta(hours=1)
        await cache.save_snapshot("key", b"one", b"two", b"three")
        hit = await cache.service.find_blobs(cache.default, "key", (), [SNAPSHOT])
        assert hit is not None
        manifest, *packs = hit.blobs
        larger = msgspec.structs.replace(hit, blobs=(manifest, *packs * LED_AT_ONCE))

        urls = await direct_of(cache).pack_urls(hit, expires_in=hour)
        of_larger = await direct_of(cache).pack_urls(larger, expires_in=hour)

        assert [await store.get(urls[pack.name]) for pack in packs] == [b"one", b"two", b"three"]
        assert of_larger == {}
        # Whoever was told may begin as late as a link allows.
        assert direct_of(cache).blobs_led_to() == list(urls)

    async def test_a_download_counts_as_a_restore_where_it_would_through_here(
        self, cache: Cache
    ) -> None:
        entry = await cache.save("key", b"data")
        hit = await cache.find("key")
        assert hit is not None
        blob = await cache.service.blob(hit.blob)
        asked = [(Span(0, 4), True), (Span(0, 1), True), (Span(2, 4), True), (Span(0, 4), False)]

        for span, is_restore in asked:
            await direct_of(cache).download_url(blob, span, expires_in=SOON, is_restore=is_restore)

        await cache.records.write()
        events = await cache.records.events(None, entry_id=entry.id, limit=9)
        assert [event.kind.value for event in events].count("restored") == 1

    async def test_what_began_to_be_downloaded_is_kept_as_long_as_a_link_works(
        self, cache: Cache, clock: Clock
    ) -> None:
        hour = timedelta(hours=1)
        entry = await cache.save("key", b"data")
        hit = await cache.find("key")
        assert hit is not None
        blob = await cache.service.blob(hit.blob)
        await cache.catalog.entries.forget([entry.id], now_ms=clock(), link_ms=3_600_000)
        clock.advance(hour - timedelta(seconds=1))

        await direct_of(cache).download_url(
            blob, Span(0, 4), expires_in=timedelta(seconds=1), is_restore=True
        )
        clock.advance(timedelta(minutes=1))
        await cache.maintenance.keep(direct_of(cache).blobs_led_to(), lease=hour)
        clock.advance(hour - timedelta(minutes=1))
        await cache.maintenance.prune()
        kept = await parts_in(cache)
        clock.advance(timedelta(minutes=2))
        await cache.maintenance.prune()

        assert (kept, await parts_in(cache)) == (1, 0)
        assert direct_of(cache).blobs_led_to() == []
