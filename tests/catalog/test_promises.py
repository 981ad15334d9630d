"""Promised blobs: what counts, what is kept, and what goes."""

from typing import Final

import msgspec
import pytest

from runcache.catalog.catalog import Catalog
from runcache.catalog.promises import Promise
from runcache.catalog.references import GRACE_MS
from runcache.errors import UploadGone, UploadTooLarge
from runcache.model import PackName, Upload
from runcache.store import layout
from tests.catalog.facts import (
    NOW,
    REPOSITORY,
    commit_snapshot,
    receive_manifest,
    receive_pack,
    reserve_snapshot,
)

UNTIL: Final = NOW + 10 * GRACE_MS


def promised(size_bytes: int = 10, sha256: bytes = b"d" * 32) -> Promise:
    return Promise(layout.new_blob_name(), layout.new_part_name(), size_bytes, sha256)


async def make(catalog: Catalog, upload: Upload, promise: Promise, **others: int | None) -> Promise:
    given = {"until": UNTIL, "limit_bytes": None, "now_ms": NOW, **others}
    return await catalog.promises.make(upload, promise, **given)  # type: ignore[arg-type]


async def keep(
    catalog: Catalog, upload: Upload, pack: PackName | None, promise: Promise, now_ms: int = NOW
) -> None:
    await catalog.promises.keep(upload, pack, promise, limit_bytes=None, now_ms=now_ms)


async def doomed(catalog: Catalog, now_ms: int) -> list[str]:
    return [blob.name for blob in await catalog.blobs.doomed(now_ms=now_ms, limit=9)]


async def test_a_promise_counts_nothing_and_goes_when_it_ends(catalog: Catalog) -> None:
    upload, _ = await reserve_snapshot(catalog)
    promise = await make(catalog, upload, promised())

    usage = await catalog.repositories.usage(REPOSITORY)

    assert usage.size_bytes == 0
    assert await catalog.blobs.known([promise.blob]) == {promise.blob}
    assert await catalog.blobs.get(promise.blob) is None
    assert await doomed(catalog, UNTIL - 1) == []
    assert await doomed(catalog, UNTIL) == [promise.blob]


async def test_the_same_bytes_are_promised_once_and_for_longer(catalog: Catalog) -> None:
    upload, _ = await reserve_snapshot(catalog)
    first = await make(catalog, upload, promised())

    second = await make(catalog, upload, promised(), until=UNTIL + 1)
    other = await make(catalog, upload, promised(sha256=b"o" * 32))

    assert second == first
    assert other.blob != first.blob
    assert await doomed(catalog, UNTIL) == [other.blob]


async def test_what_is_kept_is_a_pack_or_the_manifest_of_the_entry(catalog: Catalog) -> None:
    upload, _ = await reserve_snapshot(catalog)
    pack = PackName(upload.id, 3)
    of_pack = await make(catalog, upload, promised(10))
    of_manifest = await make(catalog, upload, promised(5, b"m" * 32))
    await keep(catalog, upload, pack, of_pack)
    await keep(catalog, upload, None, of_manifest)

    entry = await commit_snapshot(catalog, upload, pack)

    found = await catalog.entries.contents(entry.id)
    assert found is not None
    assert [(blob.name, blob.size_bytes, blob.pack) for blob in found.blobs] == [
        (of_manifest.blob, 5, None),
        (of_pack.blob, 10, pack),
    ]
    assert (await catalog.repositories.usage(REPOSITORY)).size_bytes == entry.size_bytes == 15
    assert await doomed(catalog, UNTIL) == [upload.blob]
    assert await catalog.blobs.unsettled(limit=9) == []
    whole = await catalog.blobs.get(of_pack.blob)
    assert whole is not None
    assert whole.whole == of_pack.part


async def test_it_cannot_be_kept_when_it_may_be_deleted_soon(catalog: Catalog) -> None:
    upload, _ = await reserve_snapshot(catalog)
    promise = await make(catalog, upload, promised())
    late = UNTIL - GRACE_MS

    with pytest.raises(UploadGone):
        await keep(catalog, upload, None, promise, now_ms=late)
    with pytest.raises(UploadGone):
        await catalog.promises.find(upload, None, promise.sha256, now_ms=late)

    await keep(catalog, upload, None, promise, now_ms=late - 1)


async def test_what_is_there_already_is_not_promised_any_more(catalog: Catalog) -> None:
    upload, _ = await reserve_snapshot(catalog)
    promise = await make(catalog, upload, promised())
    before = await catalog.promises.find(upload, None, promise.sha256, now_ms=NOW)
    await keep(catalog, upload, None, promise)

    after = await catalog.promises.find(upload, None, promise.sha256, now_ms=NOW)

    assert (before, after) == (promise, None)
    with pytest.raises(UploadGone):
        await catalog.promises.find(upload, PackName(upload.id, 0), promise.sha256, now_ms=NOW)


async def test_limits_count_what_came_either_way(catalog: Catalog) -> None:
    upload, _ = await reserve_snapshot(catalog)
    await receive_pack(catalog, upload, 0, 60)
    await make(catalog, upload, promised(40), limit_bytes=100)
    for size_bytes, number in ((30, 1), (20, 0)):
        promise = await make(catalog, upload, promised(size_bytes, bytes([number]) * 32))
        await keep(catalog, upload, PackName(upload.id, number), promise)

    # 30 and, instead of 60, 20.
    with pytest.raises(UploadTooLarge):
        await make(catalog, upload, promised(51), limit_bytes=100)
    await make(catalog, upload, promised(50), limit_bytes=100)


async def test_a_voided_upload_takes_all_of_its_promises_along(catalog: Catalog) -> None:
    upload, _ = await reserve_snapshot(catalog)
    kept = await make(catalog, upload, promised())
    await keep(catalog, upload, PackName(upload.id, 0), kept)
    open_one = await make(catalog, upload, promised(sha256=b"o" * 32))

    await catalog.uploads.void(upload, now_ms=NOW)

    assert set(await doomed(catalog, NOW)) == {kept.blob, open_one.blob, upload.blob}
    for act in (make(catalog, upload, promised()), keep(catalog, upload, None, open_one)):
        with pytest.raises(UploadGone):
            await act


async def test_a_body_that_comes_for_what_was_replaced_goes_nowhere(catalog: Catalog) -> None:
    upload, _ = await reserve_snapshot(catalog)
    promise = await make(catalog, upload, promised())
    await keep(catalog, upload, None, promise)
    ids = [blob.id for blob in await catalog.blobs.doomed(now_ms=NOW, limit=9)]
    await catalog.blobs.remove(ids)

    with pytest.raises(UploadGone):
        await receive_manifest(catalog, upload)

    await receive_manifest(catalog, msgspec.structs.replace(upload, blob=promise.blob))
