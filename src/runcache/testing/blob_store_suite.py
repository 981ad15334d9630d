"""What every store must do, as tests: subclass `BlobStoreSuite` and supply the fixture `store`.

```python
class TestLocalStore(BlobStoreSuite):
    @pytest_asyncio.fixture
    async def store(self, tmp_path: Path) -> AsyncIterator[BlobStore]:
        with closing(LocalStore(tmp_path)) as store:
            yield store
```

The store must be empty. `pytest.register_assert_rewrite("runcache.testing.blob_store_suite")` in
a `conftest.py` makes failures tell what they compared.
"""

# ruff: noqa: D102, S101  -- these are tests: a name is the promise, an assert is the check

import asyncio
import hashlib
import os
from collections.abc import Iterator, Sequence
from contextlib import aclosing, contextmanager, suppress
from typing import Final

from runcache.errors import BlobMissing
from runcache.model import Part
from runcache.store import layout
from runcache.store.blobs import ArrivingBytes, BlobStore, FileBytes, Piece

BLOB: Final = "0" * 32
OTHER_BLOB: Final = "f" * 32
PART: Final = "0" * 16
OTHER_PART: Final = "f" * 16
NO_NAMES: Final = ("", ".", "..", "../../../etc/passwd", "A" * 32, "0" * 31, "0" * 33, f"{BLOB}\n")


async def put(store: BlobStore, blob: str, part: str, *pieces: bytes) -> Part:
    """Store a part, and return it as the catalog would know it."""
    async with store.receive(blob, part) as incoming:
        for piece in pieces:
            await incoming.write(piece)
        await incoming.hand_over()
        return Part(part, 0, incoming.size_bytes)


async def get(store: BlobStore, blob: str, part: Part) -> bytes:
    """Return the bytes of a part."""
    return await get_range(store, blob, part, 0, part.size_bytes)


async def get_range(store: BlobStore, blob: str, part: Part, offset: int, count: int) -> bytes:
    """Return `count` bytes of a part from `offset`."""
    data = bytearray()
    async with aclosing(store.read(blob, part, offset, count)) as pieces:
        async for piece in pieces:
            data += await asyncio.to_thread(bytes_of, piece)
    return bytes(data)


def bytes_of(piece: Piece) -> bytes:
    """Return the bytes of a piece."""
    if isinstance(piece, ArrivingBytes):
        return piece.take()
    if isinstance(piece, FileBytes):
        return os.pread(piece.file.fileno(), piece.count, piece.offset)
    return bytes(piece)


@contextmanager
def missing() -> Iterator[None]:
    """Expect the store to say that something is missing."""
    try:
        yield
    except BlobMissing:
        return
    raise AssertionError("the store has what it cannot have")


async def names_in(store: BlobStore) -> list[str]:
    """Return the names of all blobs."""
    return [name async for page in store.names() for name in page]


class BlobStoreSuite:
    """The contract of `BlobStore`."""

    async def test_what_was_received_can_be_read(self, store: BlobStore) -> None:
        part = await put(store, BLOB, PART, b"in ", b"", b"pieces")

        assert part.size_bytes == len(b"in pieces")
        assert await get(store, BLOB, part) == b"in pieces"

    async def test_a_part_may_be_empty(self, store: BlobStore) -> None:
        part = await put(store, BLOB, PART)

        assert await get(store, BLOB, part) == b""
        assert await store.first_incomplete({BLOB: [part]}) is None

    async def test_parts_are_told_apart_by_both_names(self, store: BlobStore) -> None:
        places = [(blob, part) for blob in (BLOB, OTHER_BLOB) for part in (PART, OTHER_PART)]
        parts = [await put(store, blob, part, f"{blob}{part}".encode()) for blob, part in places]

        for (blob, name), part in zip(places, parts, strict=True):
            assert await get(store, blob, part) == f"{blob}{name}".encode()

    async def test_many_parts_can_be_received_at_once(self, store: BlobStore) -> None:
        names = [f"{number:016x}" for number in range(40)]

        parts = await asyncio.gather(
            *(put(store, BLOB, name, name.encode(), b"!") for name in names)
        )

        assert [await get(store, BLOB, part) for part in parts] == [
            f"{name}!".encode() for name in names
        ]

    async def test_a_part_that_nobody_took_over_is_deleted(self, store: BlobStore) -> None:
        async with store.receive(BLOB, PART) as incoming:
            await incoming.write(b"data")

        assert await store.first_incomplete({BLOB: [Part(PART, 0, 4)]}) == BLOB
        with missing():
            await get(store, BLOB, Part(PART, 0, 4))

    async def test_a_part_whose_receiving_failed_is_deleted(self, store: BlobStore) -> None:
        with suppress(ZeroDivisionError):
            await _fail_receiving(store)

        assert await store.unclaimed(BLOB) == []

    async def test_a_part_that_was_taken_over_stays_whatever_happens_then(
        self, store: BlobStore
    ) -> None:
        with suppress(ZeroDivisionError):
            await _fail_receiving(store, after_hand_over=True)

        assert await get(store, BLOB, Part(PART, 0, 4)) == b"data"

    async def test_a_part_of_another_size_is_missing(self, store: BlobStore) -> None:
        await put(store, BLOB, PART, b"data")

        for size_bytes in (0, 3, 5):
            changed = Part(PART, 0, size_bytes)
            assert await store.first_incomplete({BLOB: [changed]}) == BLOB
            with missing():
                await get(store, BLOB, changed)
            with missing():
                await store.feed(BLOB, [changed], hashlib.sha256())

    async def test_what_was_never_received_is_missing(self, store: BlobStore) -> None:
        part = await put(store, BLOB, PART, b"data")

        for blob, name in ((BLOB, OTHER_PART), (OTHER_BLOB, PART)):
            absent = Part(name, 0, part.size_bytes)
            assert await store.first_incomplete({blob: [absent]}) == blob
            with missing():
                await get(store, blob, absent)
            with missing():
                await store.feed(blob, [absent], hashlib.sha256())

    async def test_all_parts_must_be_there(self, store: BlobStore) -> None:
        first = await put(store, BLOB, PART, b"first")
        second = Part(OTHER_PART, 5, 6)

        assert await store.first_incomplete({BLOB: [first, second]}) == BLOB
        await put(store, BLOB, OTHER_PART, b"second")
        assert await store.first_incomplete({BLOB: [first, second]}) is None
        assert await store.first_incomplete({BLOB: []}) is None

    async def test_a_name_that_none_can_have_is_missing(self, store: BlobStore) -> None:
        part = await put(store, BLOB, PART, b"data")

        for name in NO_NAMES:
            with missing():
                await get(store, name, part)
            with missing():
                await get(store, BLOB, Part(name, 0, 4))
            with missing():
                await put(store, name, PART, b"data")

    async def test_bytes_are_hashed_in_the_order_of_the_parts(self, store: BlobStore) -> None:
        size_bytes = 3 * 1024 * 1024 + 1
        big = await put(store, BLOB, OTHER_PART, b"x" * size_bytes)
        small = await put(store, BLOB, PART, b"small")

        hasher = hashlib.sha256()
        await store.feed(BLOB, [small, big], hasher)

        assert hasher.digest() == hashlib.sha256(b"small" + b"x" * size_bytes).digest()

    async def test_bytes_are_hashed_while_they_are_received(self, store: BlobStore) -> None:
        data = bytes(range(256)) * 5000
        hasher = hashlib.sha256()

        async with store.receive(BLOB, PART, hasher=hasher) as incoming:
            await incoming.write(data[:7])
            await incoming.write(memoryview(data)[7:])
            await incoming.hand_over()

        assert hasher.digest() == hashlib.sha256(data).digest()
        assert await get(store, BLOB, Part(PART, 0, len(data))) == data

    async def test_of_many_blobs_the_one_that_is_incomplete_is_named(
        self, store: BlobStore
    ) -> None:
        parts = {blob: [await put(store, blob, PART, b"data")] for blob in (BLOB, OTHER_BLOB)}

        whole = await store.first_incomplete(parts)
        await store.delete(OTHER_BLOB)
        incomplete = await store.first_incomplete(parts)

        assert (whole, incomplete) == (None, OTHER_BLOB)
        assert await store.first_incomplete({}) is None

    async def test_a_part_that_is_being_written_is_claimed(self, store: BlobStore) -> None:
        await put(store, BLOB, PART, b"whole")

        async with store.receive(BLOB, OTHER_PART) as incoming:
            await incoming.write(b"half")
            claimed = await store.unclaimed(BLOB)
            await incoming.hand_over()

        assert claimed == [PART]
        for is_committed in (False, True):
            unclaimed = await store.unclaimed(BLOB, is_committed=is_committed)
            assert sorted(unclaimed) == [PART, OTHER_PART]

    async def test_a_blob_may_be_deleted_while_it_is_written(self, store: BlobStore) -> None:
        async with store.receive(BLOB, PART) as incoming:
            await incoming.write(b"da")
            await store.delete(BLOB)
            await incoming.write(b"ta")
            await incoming.hand_over()
        # Whoever cannot enter the part in the catalog deletes it once more.
        await store.delete_parts(BLOB, [PART])

        assert await store.first_incomplete({BLOB: [Part(PART, 0, 4)]}) == BLOB

    async def test_any_range_of_a_part_can_be_read(self, store: BlobStore) -> None:
        data = bytes(range(256)) * 20_000
        part = await put(store, BLOB, PART, data)

        for offset, count in ((0, 1), (1, len(data) - 2), (4_000_000, 70_000), (len(data), 0)):
            read = await get_range(store, BLOB, part, offset, count)
            assert read == data[offset : offset + count]

    async def test_a_part_that_is_deleted_while_it_is_read_is_never_something_else(
        self, store: BlobStore
    ) -> None:
        data = b"x" * 30_000_000
        part = await put(store, BLOB, PART, data)
        read = bytearray()

        with suppress(BlobMissing):
            async with aclosing(store.read(BLOB, part, 0, len(data))) as pieces:
                async for piece in pieces:
                    if not read:
                        await store.delete(BLOB)
                    read += await asyncio.to_thread(bytes_of, piece)

        assert read
        assert data.startswith(read)
        with missing():
            await get(store, BLOB, part)

    async def test_deleted_parts_are_gone_and_others_stay(self, store: BlobStore) -> None:
        part = await put(store, BLOB, PART, b"stays")
        await put(store, BLOB, OTHER_PART, b"goes")

        await store.delete_parts(BLOB, [OTHER_PART, "1" * 16])
        await store.delete_parts(BLOB, [OTHER_PART])

        assert await store.unclaimed(BLOB) == [PART]
        assert await get(store, BLOB, part) == b"stays"

    async def test_deleting_what_is_not_there_is_no_error(self, store: BlobStore) -> None:
        await store.delete(BLOB)
        await store.delete_parts(BLOB, [PART])
        await put(store, BLOB, PART, b"data")
        await store.delete(BLOB)
        await store.delete(BLOB)

        assert await store.unclaimed(BLOB) == []
        assert await names_in(store) == []

    async def test_each_blob_is_listed_once(self, store: BlobStore) -> None:
        blobs = [layout.new_blob_name() for _ in range(50)]
        await asyncio.gather(
            *(put(store, blob, part, b"data") for blob in blobs for part in (PART, OTHER_PART))
        )

        assert sorted(await names_in(store)) == sorted(blobs)

    async def test_a_blob_can_be_synced_whatever_became_of_it(self, store: BlobStore) -> None:
        part = await put(store, BLOB, PART, b"data")

        await store.sync(BLOB)
        await store.sync(OTHER_BLOB)

        assert await get(store, BLOB, part) == b"data"
        assert await names_in(store) == [BLOB]

    async def test_a_store_belongs_to_the_catalog_that_comes_first(self, store: BlobStore) -> None:
        await put(store, BLOB, PART, b"data")

        assert await store.claim("one")
        assert not await store.claim("another")
        assert await store.claim("one")
        assert await names_in(store) == [BLOB]

    async def test_there_is_room(self, store: BlobStore) -> None:
        free_bytes = await store.free_bytes()

        assert free_bytes is None or free_bytes > 0

    async def test_reading_writing_and_deleting_do_not_get_in_each_others_way(
        self, store: BlobStore
    ) -> None:
        async def live(number: int) -> Sequence[bytes]:
            blob = f"{number % 4:032x}"
            name = f"{number:016x}"
            part = await put(store, blob, name, name.encode())
            read = await get(store, blob, part)
            await store.delete_parts(blob, [name])
            return read, name.encode()

        for read, written in await asyncio.gather(*map(live, range(60))):
            assert read == written


async def _fail_receiving(store: BlobStore, *, after_hand_over: bool = False) -> None:
    async with store.receive(BLOB, PART) as incoming:
        await incoming.write(b"data")
        if after_hand_over:
            await incoming.hand_over()
        raise ZeroDivisionError
