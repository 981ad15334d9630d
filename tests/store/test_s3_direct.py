"""Signed links to a real bucket, and what it enforces."""

import asyncio
import hashlib
import os
from collections.abc import AsyncIterator, Mapping
from datetime import timedelta
from typing import Final

import aiohttp
import pytest

from runcache.errors import StoreUnavailable
from runcache.locations import parse_store
from runcache.model import Part
from runcache.store import layout
from runcache.store.blobs import BlobStore
from runcache.store.direct import DirectStore, SignedUpload, StoredPart
from runcache.store.opening import open_direct, open_store

MIB: Final = 1024**2
SOON: Final = timedelta(minutes=1)
DATA: Final = b"exactly these bytes"
DIGEST: Final = hashlib.sha256(DATA).digest()


@pytest.fixture
async def store(s3_store_url: str, s3_credentials: None) -> AsyncIterator[BlobStore]:  # noqa: ARG001
    async with open_store(parse_store(s3_store_url)) as store:
        yield store


@pytest.fixture
async def direct(s3_store_url: str, s3_credentials: None) -> AsyncIterator[DirectStore]:  # noqa: ARG001
    async with open_direct(parse_store(s3_store_url)) as direct:
        assert direct is not None
        yield direct


@pytest.fixture
async def web() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


@pytest.fixture
def place() -> tuple[str, str]:
    """Return the names of a blob and a part that nobody has."""
    return layout.new_blob_name(), layout.new_part_name()


async def put(
    web: aiohttp.ClientSession,
    link: SignedUpload,
    data: bytes,
    headers: Mapping[str, str] | None = None,
) -> int:
    sent = link.headers if headers is None else headers
    async with web.put(link.url, data=data, headers=sent) as answer:
        return answer.status


async def stored(store: BlobStore, blob: str, data: bytes) -> str:
    name = layout.new_part_name()
    async with store.receive(blob, name) as part:
        await part.write(data)
        await part.hand_over()
    return name


async def content(direct: DirectStore, web: aiohttp.ClientSession, place: tuple[str, str]) -> bytes:
    (url,) = await direct.download_urls([place], expires_in=SOON)
    async with web.get(url) as answer:
        assert answer.status == 200
        return await answer.read()


async def test_a_link_takes_its_bytes_any_number_of_times_and_the_store_knows_their_digest(
    direct: DirectStore, web: aiohttp.ClientSession, place: tuple[str, str]
) -> None:
    link = await direct.upload_url(*place, size_bytes=len(DATA), sha256=DIGEST, expires_in=SOON)

    before = await direct.stat(*place)
    answers = [await put(web, link, DATA), await put(web, link, DATA)]

    assert before is None
    assert answers == [200, 200]
    assert await direct.stat(*place) == StoredPart(len(DATA), DIGEST)
    assert await content(direct, web, place) == DATA
    assert link.url not in repr(link)


async def test_a_link_takes_no_other_bytes_and_nothing_is_left_of_them(
    direct: DirectStore, web: aiohttp.ClientSession, place: tuple[str, str]
) -> None:
    link = await direct.upload_url(*place, size_bytes=len(DATA), sha256=DIGEST, expires_in=SOON)
    lie = {"x-amz-checksum-sha256": "A" * 43 + "="}

    wrong = await put(web, link, DATA[::-1])
    longer = await put(web, link, DATA + b"!")
    shorter = await put(web, link, DATA[1:])
    without_digest = await put(web, link, DATA, {})
    other_digest = await put(web, link, DATA, lie)
    left = await direct.stat(*place)
    right = await put(web, link, DATA)
    wrong_again = await put(web, link, DATA[::-1])

    assert wrong == wrong_again == 400
    assert (longer, shorter, without_digest, other_digest) == (403, 403, 403, 403)
    assert left is None
    assert right == 200
    assert await content(direct, web, place) == DATA


async def test_links_end(
    direct: DirectStore, web: aiohttp.ClientSession, place: tuple[str, str]
) -> None:
    second = timedelta(seconds=1)
    link = await direct.upload_url(*place, size_bytes=len(DATA), sha256=DIGEST, expires_in=second)
    (download,) = await direct.download_urls([place], expires_in=second)
    uploads, downloads = [], []

    async with asyncio.timeout(10):
        while 403 not in uploads or 403 not in downloads:
            uploads.append(await put(web, link, DATA))
            async with web.get(download) as answer:
                downloads.append(answer.status)

    assert uploads[0] == downloads[0] == 200
    assert {*uploads, *downloads} == {200, 403}


async def test_a_link_for_downloads_knows_ranges_and_nothing_but_get(
    direct: DirectStore, store: BlobStore, web: aiohttp.ClientSession
) -> None:
    blob = layout.new_blob_name()
    place = (blob, await stored(store, blob, DATA))
    (url,) = await direct.download_urls([place], expires_in=SOON)

    async with web.get(url, headers={"Range": "bytes=8-12"}) as part:
        middle, status = await part.read(), part.status
        which = part.headers["Content-Range"]
    async with web.head(url) as head, web.put(url, data=b"") as put_, web.delete(url) as delete:
        refused = (head.status, put_.status, delete.status)

    assert (middle, status, which) == (b"these", 206, f"bytes 8-12/{len(DATA)}")
    assert refused == (403, 403, 403)


@pytest.mark.parametrize(
    "sizes",
    [
        [6 * MIB, 5 * MIB, 3],
        [1, 7 * MIB, 2 * MIB, 0, 2 * MIB, 6 * MIB],
        [3, 4],
    ],
    ids=["copied", "copied and joined", "joined"],
)
async def test_parts_become_one(
    direct: DirectStore, store: BlobStore, web: aiohttp.ClientSession, sizes: list[int]
) -> None:
    source, target = layout.new_blob_name(), (layout.new_blob_name(), layout.new_part_name())
    bodies = [os.urandom(size) for size in sizes]
    parts, start = [], 0
    for body in bodies:
        parts.append(Part(await stored(store, source, body), start, len(body)))
        start += len(body)

    is_done = await direct.compose(source, parts, into=target[0], as_part=target[1])

    assert is_done
    found = await direct.stat(*target)
    assert found is not None
    assert found.size_bytes == start
    assert await content(direct, web, target) == b"".join(bodies)


async def test_parts_that_are_not_there_leave_nothing_where_they_were_to_be(
    direct: DirectStore, store: BlobStore
) -> None:
    source, target = layout.new_blob_name(), (layout.new_blob_name(), layout.new_part_name())
    there = await stored(store, source, b"x" * 6 * MIB)
    parts = [Part(there, 0, 6 * MIB), Part(layout.new_part_name(), 6 * MIB, 6 * MIB)]

    with pytest.raises(StoreUnavailable):
        await direct.compose(source, parts, into=target[0], as_part=target[1])

    assert await direct.stat(*target) is None
    assert [name async for names in store.names() for name in names] == [source]
