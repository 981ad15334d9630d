"""Lookups, archives and reading, whichever protocol asks for it."""

import asyncio
import itertools
import os
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import (
    AbstractAsyncContextManager,
    AsyncExitStack,
    asynccontextmanager,
)
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import TypeVar

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Connection

from runcache.catalog.connections import Connections
from runcache.errors import (
    BlobMissing,
    CatalogUnavailable,
    Draining,
    EntryExists,
    EntryMissing,
    InvalidBlockList,
    InvalidKey,
    InvalidRange,
    InvalidVersion,
    ReadDenied,
    SizeMismatch,
    StoreFull,
    TooManyKeys,
    UploadGone,
    UploadTooLarge,
    WriteDenied,
)
from runcache.model import Entry, Hit, MatchKind, PackName, Permission, Span, Upload
from runcache.service import CacheService, Lookup, Observer, UploadLimits
from runcache.store.local import LocalStore
from tests.full_disk import file_size_limit
from tests.in_process import (
    MAIN,
    SNAPSHOT,
    VERSION,
    Cache,
    Clock,
    body_of,
    job,
    open_cache,
)

T = TypeVar("T")

FEATURE = "refs/heads/feature"
HOUR_MS = 3_600_000

_numbers = itertools.count()


@dataclass
class Recorder(Observer):
    """Remembers what it heard."""

    heard: list[tuple[str, object]] = field(default_factory=list)

    def found(self, lookup: Lookup, hit: Hit) -> None:  # noqa: ARG002  -- the hit says enough
        self.heard.append(("found", hit.entry.key))

    def missed(self, lookup: Lookup) -> None:
        self.heard.append(("missed", lookup.grant.repository))

    def saved(self, entry: Entry) -> None:
        self.heard.append(("saved", entry.key))

    def damaged(self, blob: str) -> None:
        self.heard.append(("damaged", blob))

    def damage_reported(self, entry: Entry, reason: str) -> None:
        self.heard.append(("reported", f"{entry.key}: {reason}"))


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def recorder() -> Recorder:
    return Recorder()


@pytest.fixture
async def cache(tmp_path: Path, clock: Clock, recorder: Recorder) -> AsyncIterator[Cache]:
    async with open_cache(tmp_path, clock=clock, observers=[recorder]) as cache:
        yield cache


async def test_what_was_saved_is_restored(cache: Cache, recorder: Recorder) -> None:
    entry = await cache.save("npm-1", b"packages")

    hit = await cache.find("npm-1")

    assert hit is not None
    assert (hit.entry, hit.kind) == (entry, MatchKind.EXACT)
    assert await cache.read(hit.blob) == b"packages"
    assert recorder.heard == [("saved", "npm-1"), ("found", "npm-1")]


async def test_a_hit_says_how_it_was_found(cache: Cache) -> None:
    await cache.save("npm-1")

    kinds = [
        hit.kind if hit else None
        for hit in (
            await cache.find("npm-1"),
            await cache.find("npm-"),
            await cache.find("npm-2", "npm-1"),
            await cache.find("npm-2", "npm-"),
            await cache.find("npm-2"),
        )
    ]

    assert kinds == [
        MatchKind.EXACT,
        MatchKind.PREFIX,
        MatchKind.RESTORE_KEY,
        MatchKind.RESTORE_KEY,
        None,
    ]


async def test_a_miss_is_an_answer(cache: Cache, recorder: Recorder) -> None:
    await cache.save("npm-1")

    assert await cache.find("pip-1", "pip-") is None
    assert await cache.find("npm-1", version="other") is None

    assert recorder.heard[1:] == [("missed", "octo/hello")] * 2


async def test_a_job_reads_its_scopes_in_order_and_writes_its_own(cache: Cache) -> None:
    feature = job(FEATURE, MAIN)
    await cache.save("key", b"of main", grant=job(MAIN))
    await cache.save("key-of-feature", b"of feature", grant=feature)

    found = await cache.find("key", grant=feature)
    assert found is not None
    assert (found.entry.scope, found.entry.key) == (FEATURE, "key-of-feature")
    assert await cache.find("key-of-feature", grant=job(MAIN)) is None
    await cache.save("key", b"of feature too", grant=feature)
    assert await cache.content("key", grant=feature) == b"of feature too"
    assert await cache.content("key", grant=job(MAIN)) == b"of main"


async def test_other_repositories_are_other_worlds(cache: Cache) -> None:
    await cache.save("key", b"mine")

    assert await cache.find("key", grant=job(repository="octo/other")) is None


async def test_a_grant_without_rights_gets_nothing(cache: Cache) -> None:
    await cache.save("key")
    nobody = job(permission=Permission.NONE)
    reader = job(permission=Permission.READ)
    writer = job(permission=Permission.WRITE)

    with pytest.raises(ReadDenied):
        await cache.find("key", grant=nobody)
    with pytest.raises(ReadDenied):
        await cache.find("key", grant=writer)
    with pytest.raises(ReadDenied):
        await cache.service.newest(nobody, "", limit=1)
    for grant in (nobody, reader):
        with pytest.raises(WriteDenied):
            await cache.reserve("new", grant=grant)
        with pytest.raises(WriteDenied):
            await cache.service.commit(grant, "key", VERSION, 4)
    assert await cache.save("new", grant=writer)


@pytest.mark.parametrize("key", ["", "a,b", "a\0b", "\udfff", "k" * 513, "\U0001f980" * 257])
async def test_what_is_no_key_is_refused_everywhere(cache: Cache, key: str) -> None:
    with pytest.raises(InvalidKey):
        await cache.find(key)
    with pytest.raises(InvalidKey):
        await cache.find("key", key)
    with pytest.raises(InvalidKey):
        await cache.reserve(key)
    with pytest.raises(InvalidKey):
        await cache.service.commit(cache.default, key, VERSION, 1)


@pytest.mark.parametrize("version", ["", "a\0b", "\ud800", "v" * 513])
async def test_what_is_no_version_is_refused_everywhere(cache: Cache, version: str) -> None:
    with pytest.raises(InvalidVersion):
        await cache.find("key", version=version)
    with pytest.raises(InvalidVersion):
        await cache.service.reserve(cache.default, "key", version)


async def test_eleven_keys_are_too_many(cache: Cache) -> None:
    with pytest.raises(TooManyKeys):
        await cache.find("key", *(f"key-{number}" for number in range(10)))


async def test_keys_may_hold_anything_else(cache: Cache) -> None:
    keys = ["a b\tc\nd", "ключ/é", "%2e_*?[x]", "\U0001f980" * 256, "a/../../b", "'; DROP TABLE x"]
    for key in keys:
        await cache.save(key, key.encode())

    for key in keys:
        assert await cache.content(key) == key.encode()


async def test_a_saved_key_is_taken(cache: Cache) -> None:
    await cache.save("key", b"first")

    with pytest.raises(EntryExists):
        await cache.reserve("key", grant=job())
    with pytest.raises(EntryExists):
        await cache.reserve("key", grant=cache.default)

    assert await cache.content("key") == b"first"


async def test_nothing_is_found_before_its_commit(cache: Cache) -> None:
    upload = await cache.reserve("key")
    await cache.service.write_whole(upload.blob, body_of(b"data"), announced_bytes=4)

    assert await cache.find("key") is None
    with pytest.raises(BlobMissing):
        await cache.service.blob(upload.blob)


async def test_a_commit_may_be_repeated(cache: Cache) -> None:
    entry = await cache.save("key", b"data")

    again = await asyncio.gather(
        *(cache.service.commit(cache.default, "key", VERSION, 4) for _ in range(3))
    )

    assert [repeated.id for repeated in again] == [entry.id] * 3
    with pytest.raises(SizeMismatch):
        await cache.service.commit(cache.default, "key", VERSION, 5)


async def test_commits_at_once_give_the_same_entry(cache: Cache) -> None:
    upload = await cache.reserve("key")
    await cache.service.write_whole(upload.blob, body_of(b"data"), announced_bytes=4)

    outcomes = await asyncio.gather(
        *(cache.service.commit(cache.default, "key", VERSION, 4) for _ in range(8))
    )

    assert {entry.id for entry in outcomes} == {upload.id}


async def test_a_job_cannot_commit_for_another(cache: Cache) -> None:
    upload = await cache.reserve("key")
    await cache.service.write_whole(upload.blob, body_of(b"data"), announced_bytes=4)

    with pytest.raises(UploadGone):
        await cache.service.commit(job(), "key", VERSION, 4)
    with pytest.raises(UploadGone):
        await cache.service.commit(cache.default, "never reserved", VERSION, 4)

    assert (await cache.service.commit(cache.default, "key", VERSION, 4)).id == upload.id


async def test_an_upload_is_known_to_its_own_job_alone(cache: Cache) -> None:
    upload = await cache.reserve("key")
    same_job_elsewhere = job(repository="octo/other")

    assert await cache.service.upload_of(cache.default, upload.id) == upload
    for grant, number in (
        (job(), upload.id),
        (same_job_elsewhere, upload.id),
        (cache.default, upload.id + 1),
    ):
        with pytest.raises(UploadGone):
            await cache.service.upload_of(grant, number)


async def test_blocks_make_an_entry_in_the_order_of_their_list(cache: Cache) -> None:
    blocks = [b"first ", b"", b"second ", b"third"]

    await cache.save_blocks("key", blocks)

    assert await cache.content("key") == b"first second third"


async def test_a_retried_block_replaces_the_first(cache: Cache) -> None:
    upload = await cache.reserve("key")
    await cache.write_blocks(upload, [("A", b"torn"), ("B", b"!"), ("A", b"whole")])
    await cache.service.order_blocks(upload.blob, ["A", "B"])

    await cache.service.commit(cache.default, "key", VERSION, 6)

    assert await cache.content("key") == b"whole!"
    assert len(cache.files()[upload.blob]) == 2


async def test_blocks_that_the_list_leaves_out_are_deleted(cache: Cache) -> None:
    upload = await cache.reserve("key")
    await cache.write_blocks(upload, [("A", b"kept"), ("B", b"dropped")])

    await cache.service.order_blocks(upload.blob, ["A"])

    assert len(cache.files()[upload.blob]) == 1
    with pytest.raises(InvalidBlockList):
        await cache.service.order_blocks(upload.blob, ["A", "B"])


async def test_a_whole_body_replaces_whatever_was_there(cache: Cache) -> None:
    upload = await cache.reserve("key")
    await cache.write_blocks(upload, [("A", b"a block")])
    for data in (b"first", b"second"):
        await cache.service.write_whole(upload.blob, body_of(data), announced_bytes=None)

    await cache.service.commit(cache.default, "key", VERSION, 6)

    assert await cache.content("key") == b"second"
    assert len(cache.files()[upload.blob]) == 1


async def test_ranges_may_come_in_any_order_and_again(cache: Cache) -> None:
    upload = await cache.reserve("key")
    for start, data in ((6, b"world"), (0, b"HELLO "), (0, b"hello ")):
        span = Span(start, start + len(data))
        await cache.service.write_range(upload, span, body_of(data))

    entry = await cache.service.commit_ranges(cache.default, upload.id, 11)

    assert entry.id == upload.id
    assert await cache.content("key") == b"hello world"
    assert await cache.service.commit_ranges(cache.default, upload.id, 11) == entry
    with pytest.raises(SizeMismatch):
        await cache.service.commit_ranges(cache.default, upload.id, 12)
    with pytest.raises(UploadGone):
        await cache.service.commit_ranges(job(FEATURE), upload.id, 11)


@pytest.mark.parametrize(
    ("spans", "problem"),
    [
        ([(0, 4), (6, 10)], "gap"),
        ([(1, 10)], "gap"),
        ([(0, 6), (4, 10)], "overlap"),
        ([(0, 10), (0, 4)], "overlap"),
    ],
)
async def test_ranges_that_do_not_join_are_refused(
    cache: Cache, spans: list[tuple[int, int]], problem: str
) -> None:
    upload = await cache.reserve("key")
    for start, end in spans:
        await cache.service.write_range(upload, Span(start, end), body_of(b"x" * (end - start)))

    with pytest.raises(InvalidRange, match=problem):
        await cache.service.commit_ranges(cache.default, upload.id, 10)

    assert await cache.service.upload_of(cache.default, upload.id) == upload


async def test_ranges_must_reach_the_announced_size(cache: Cache) -> None:
    upload = await cache.reserve("key")
    await cache.service.write_range(upload, Span(0, 4), body_of(b"data"))

    with pytest.raises(SizeMismatch):
        await cache.service.commit_ranges(cache.default, upload.id, 5)

    assert (await cache.service.commit_ranges(cache.default, upload.id, 4)).size_bytes == 4


@pytest.mark.parametrize("block_id", ["", "block", "1-2-3", "-", "0-x"])
async def test_blocks_that_are_no_ranges_cannot_be_committed_as_such(
    cache: Cache, block_id: str
) -> None:
    # An upload over the one protocol, committed over the other.
    upload = await cache.reserve("key")
    if block_id:
        await cache.write_blocks(upload, [(block_id, b"data")])
    else:
        await cache.service.write_whole(upload.blob, body_of(b"data"), announced_bytes=4)

    with pytest.raises(InvalidRange):
        await cache.service.commit_ranges(cache.default, upload.id, 4)


@pytest.mark.parametrize("data", [b"too short", b"much too long"])
async def test_a_body_must_have_its_announced_size(cache: Cache, data: bytes) -> None:
    upload = await cache.reserve("key")

    with pytest.raises(SizeMismatch):
        await cache.service.write_whole(upload.blob, body_of(data), announced_bytes=10)
    with pytest.raises(SizeMismatch):
        await cache.service.write_range(upload, Span(0, 10), body_of(data))

    assert cache.files() == {upload.blob: set()}
    await cache.service.write_whole(upload.blob, body_of(b"ten bytes!"), announced_bytes=10)
    await cache.service.commit(cache.default, "key", VERSION, 10)
    assert await cache.content("key") == b"ten bytes!"


async def test_a_body_longer_than_announced_is_not_read_to_its_end(cache: Cache) -> None:
    upload = await cache.reserve("key")
    given_bytes = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal given_bytes
        while given_bytes < 1_000_000:
            given_bytes += 1000
            yield b"x" * 1000

    with pytest.raises(SizeMismatch):
        await cache.service.write_range(upload, Span(0, 5000), endless())

    assert given_bytes < 10_000


async def test_a_body_that_breaks_off_leaves_nothing_and_the_upload_goes_on(cache: Cache) -> None:
    upload = await cache.reserve("key")

    async def broken() -> AsyncIterator[bytes]:
        yield b"half"
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await cache.service.write_whole(upload.blob, broken(), announced_bytes=8)

    assert cache.files() == {upload.blob: set()}
    await cache.service.write_whole(upload.blob, body_of(b"all"), announced_bytes=3)
    await cache.service.commit(cache.default, "key", VERSION, 3)


@asynccontextmanager
async def half_sent(
    cache: Cache, upload: Upload, block_id: str = "A"
) -> AsyncIterator[Callable[[], "asyncio.Future[None]"]]:
    """Send half of a block, and yield what sends the rest."""
    has_begun, may_end = asyncio.Event(), asyncio.Event()

    async def body() -> AsyncIterator[bytes]:
        yield b"half, "
        has_begun.set()
        await may_end.wait()
        yield b"whole"

    sending = asyncio.ensure_future(
        cache.service.write_block(upload.blob, block_id, body(), announced_bytes=11)
    )
    await has_begun.wait()

    def send_rest() -> "asyncio.Future[None]":
        may_end.set()
        return sending

    yield send_rest
    assert sending.done()


async def test_bytes_that_arrive_after_the_job_reserved_again_go_nowhere(cache: Cache) -> None:
    older = await cache.reserve("key")
    async with half_sent(cache, older) as send_rest:
        newer = await cache.reserve("key")
        with pytest.raises(UploadGone):
            await send_rest()

    with pytest.raises(UploadGone):
        await cache.service.write_whole(older.blob, body_of(b"late"), announced_bytes=4)
    with pytest.raises(UploadGone):
        await cache.service.order_blocks(older.blob, ["A"])
    await cache.service.write_whole(newer.blob, body_of(b"new"), announced_bytes=3)
    await cache.service.commit(cache.default, "key", VERSION, 3)
    assert await cache.content("key") == b"new"
    assert cache.files()[older.blob] == set()


async def test_bytes_that_arrive_after_the_commit_go_nowhere(cache: Cache) -> None:
    upload = await cache.reserve("key")
    async with half_sent(cache, upload, "B") as send_rest:
        await cache.write_blocks(upload, [("A", b"data")])
        await cache.service.order_blocks(upload.blob, ["A"])
        await cache.service.commit(cache.default, "key", VERSION, 4)
        with pytest.raises(UploadGone):
            await send_rest()

    with pytest.raises(UploadGone):
        await cache.service.write_whole(upload.blob, body_of(b"late"), announced_bytes=4)
    assert await cache.content("key") == b"data"
    assert len(cache.files()[upload.blob]) == 1


async def test_bytes_that_arrive_after_the_blob_was_deleted_go_nowhere(cache: Cache) -> None:
    upload = await cache.reserve("key")
    async with half_sent(cache, upload) as send_rest:
        await cache.reserve("key")
        await cache.maintenance.prune()
        with pytest.raises(UploadGone):
            await send_rest()

    assert upload.blob not in cache.files()


async def test_an_upload_lives_as_long_as_it_was_told(cache: Cache, clock: Clock) -> None:
    upload = await cache.reserve("key")
    clock.advance(timedelta(hours=24) - timedelta(milliseconds=1))
    await cache.service.write_whole(upload.blob, body_of(b"data"), announced_bytes=4)
    with pytest.raises(EntryExists):
        await cache.reserve("key", grant=job())

    clock.advance(timedelta(milliseconds=1))

    with pytest.raises(UploadGone):
        await cache.service.write_whole(upload.blob, body_of(b"data"), announced_bytes=4)
    with pytest.raises(UploadGone):
        await cache.service.commit(cache.default, "key", VERSION, 4)
    await cache.save("key", b"of another", grant=job())


async def test_twenty_four_jobs_on_one_key_make_one_entry(cache: Cache) -> None:
    async def save(number: int) -> Entry:
        return await cache.save("key", f"{number}".encode(), grant=job())

    outcomes = await asyncio.gather(*map(save, range(24)), return_exceptions=True)

    (winner,) = [outcome for outcome in outcomes if isinstance(outcome, Entry)]
    assert sum(isinstance(outcome, EntryExists) for outcome in outcomes) == 23
    assert await cache.content("key") == f"{outcomes.index(winner)}".encode()


class TestLimits:
    """An `entry_limit` of ten bytes."""

    @pytest.fixture
    async def cache(self, tmp_path: Path) -> AsyncIterator[Cache]:
        limits = UploadLimits(entry_limit_bytes=10, min_free_bytes=0)
        async with open_cache(tmp_path, upload_limits=limits) as cache:
            yield cache

    async def test_ten_bytes_may_come_in_any_way(self, cache: Cache) -> None:
        await cache.save("whole", b"x" * 10)
        await cache.save_blocks("blocks", [b"x" * 4, b"x" * 6])

        assert await cache.content("blocks") == b"x" * 10

    @pytest.mark.parametrize("announced_bytes", [11, None])
    async def test_eleven_bytes_are_refused_announced_or_not(
        self, cache: Cache, announced_bytes: int | None
    ) -> None:
        upload = await cache.reserve("key")

        with pytest.raises(UploadTooLarge):
            await cache.service.write_whole(
                upload.blob, body_of(b"x" * 6, b"x" * 5), announced_bytes=announced_bytes
            )

        assert not any(cache.files().values())

    async def test_blocks_count_together(self, cache: Cache) -> None:
        upload = await cache.reserve("key")
        await cache.write_blocks(upload, [("A", b"x" * 6), ("A", b"x" * 6), ("B", b"x" * 4)])

        with pytest.raises(UploadTooLarge):
            await cache.write_blocks(upload, [("C", b"x")])

        assert len(cache.files()[upload.blob]) == 2

    async def test_a_commit_of_more_is_refused_as_too_large(self, cache: Cache) -> None:
        await cache.reserve("key")

        with pytest.raises(UploadTooLarge) as refused:
            await cache.service.commit(cache.default, "key", VERSION, 11)

        assert refused.value.limit_bytes == 10


async def test_a_disk_that_fills_up_voids_the_upload_and_frees_its_key(cache: Cache) -> None:
    upload = await cache.reserve("key")

    with file_size_limit(16_000_000), pytest.raises(StoreFull):
        await cache.service.write_whole(
            upload.blob, body_of(*[b"x" * 4_000_000] * 5), announced_bytes=20_000_000
        )

    assert cache.files() == {upload.blob: set()}
    await cache.save("key", b"of another job", grant=job())
    with pytest.raises(UploadGone):
        await cache.service.write_whole(upload.blob, body_of(b"late"), announced_bytes=4)


async def test_below_min_free_no_upload_is_taken(tmp_path: Path) -> None:
    limits = UploadLimits(min_free_bytes=2**62)
    async with open_cache(tmp_path, upload_limits=limits) as cache:
        with pytest.raises(StoreFull):
            await cache.reserve("key")
        reasons = await cache.service.readiness()

    assert reasons == {"catalog": None, "store": "the cache server's disk is full", "uploads": None}


async def test_what_would_not_fit_is_refused_before_its_first_byte(cache: Cache) -> None:
    upload = await cache.reserve("key")

    async def unread() -> AsyncIterator[bytes]:
        raise AssertionError
        yield b""

    with pytest.raises(StoreFull):
        await cache.service.write_whole(upload.blob, unread(), announced_bytes=2**62)

    assert cache.files() == {}
    await cache.save("key", grant=job())


class ShrinkingStore(LocalStore):
    """A store on a disk that has only so many bytes left, which somebody else uses up as well."""

    left_bytes = 300 * 1024**2

    async def free_bytes(self) -> int:
        self.left_bytes -= 100 * 1024**2
        return self.left_bytes


async def test_a_disk_that_others_fill_is_noticed_in_the_middle_of_a_body(tmp_path: Path) -> None:
    limits = UploadLimits(min_free_bytes=100 * 1024**2)
    sent_bytes = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal sent_bytes
        while sent_bytes < 400 * 1024**2:
            sent_bytes += 1024**2
            yield bytes(1024**2)

    store = ShrinkingStore(tmp_path / "blobs")
    async with open_cache(tmp_path, upload_limits=limits, wrapped_store=lambda _: store) as cache:
        upload = await cache.reserve("key")
        with pytest.raises(StoreFull):
            await cache.service.write_whole(upload.blob, endless(), announced_bytes=None)

        assert cache.files() == {upload.blob: set()}
    store.close()
    assert sent_bytes < 200 * 1024**2


def damage_by_deleting(part: Path) -> None:
    part.unlink()


def damage_by_truncating(part: Path) -> None:
    os.truncate(part, part.stat().st_size - 1)


def damage_by_appending(part: Path) -> None:
    with part.open("ab") as file:
        file.write(b"x")


DAMAGES = [damage_by_deleting, damage_by_truncating, damage_by_appending]


def part_of(cache: Cache, blob: str, number: int = 0) -> Path:
    return sorted((cache.folder / "blobs" / blob[:2] / blob).iterdir())[number]


@pytest.mark.parametrize("damage", DAMAGES)
async def test_an_entry_that_is_not_whole_is_a_miss_and_a_loud_event(
    cache: Cache, recorder: Recorder, damage: Callable[[Path], None]
) -> None:
    upload = await cache.reserve("key-2")
    await cache.write_blocks(upload, [("A", b"in "), ("B", b"blocks")])
    await cache.service.order_blocks(upload.blob, ["A", "B"])
    await cache.service.commit(cache.default, "key-2", VERSION, 9)
    damage(part_of(cache, upload.blob))

    assert await cache.find("key-2") is None

    assert ("damaged", upload.blob) in recorder.heard
    await cache.save("key-2", b"anew")
    assert await cache.content("key-2") == b"anew"


async def test_behind_a_damaged_entry_the_next_best_is_found(cache: Cache, clock: Clock) -> None:
    await cache.save("key-1", b"older")
    clock.advance(timedelta(seconds=1))
    upload = await cache.reserve("key-2")
    await cache.service.write_whole(upload.blob, body_of(b"newer"), announced_bytes=5)
    await cache.service.commit(cache.default, "key-2", VERSION, 5)
    part_of(cache, upload.blob).unlink()

    hit = await cache.find("key-2", "key-")

    assert hit is not None
    assert hit.entry.key == "key-1"


@pytest.mark.parametrize("damage", DAMAGES)
async def test_a_download_of_damaged_bytes_fails_before_its_first_byte(
    cache: Cache, recorder: Recorder, damage: Callable[[Path], None]
) -> None:
    await cache.save("key", b"data")
    hit = await cache.find("key")
    assert hit is not None
    damage(part_of(cache, hit.blob))

    with pytest.raises(BlobMissing):
        await cache.read(hit.blob)

    assert await cache.find("key") is None
    assert ("damaged", hit.blob) in recorder.heard


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[asyncio.Runner, Cache]]:
    """Return a cache in a loop that stands still between two calls."""
    with asyncio.Runner() as runner:
        stack = AsyncExitStack()
        folder = tmp_path_factory.mktemp("examples")
        yield runner, runner.run(stack.enter_async_context(open_cache(folder)))
        runner.run(stack.aclose())


@given(
    sizes=st.lists(st.integers(0, 9), min_size=1, max_size=6),
    ends=st.tuples(st.integers(0, 54), st.integers(0, 54)),
)
def test_any_span_of_an_entry_can_be_read(
    running: tuple[asyncio.Runner, Cache], sizes: list[int], ends: tuple[int, int]
) -> None:
    runner, cache = running
    data = bytes(range(sum(sizes)))
    starts = [sum(sizes[:number]) for number in range(len(sizes))]
    blocks = [data[at : at + size] for at, size in zip(starts, sizes, strict=True)]
    start, end = sorted(min(end, len(data)) for end in ends)
    key = f"key-{next(_numbers)}"
    runner.run(cache.save_blocks(key, blocks))
    hit = runner.run(cache.find(key))
    assert hit is not None

    assert runner.run(cache.read(hit.blob, Span(start, end))) == data[start:end]


async def test_what_is_being_read_is_named_until_it_is_read(cache: Cache) -> None:
    await cache.save_blocks("key", [b"one", b"two"])
    hit = await cache.find("key")
    assert hit is not None
    blob = await cache.service.blob(hit.blob)

    first = cache.service.read(blob, Span(0, 6))
    second = cache.service.read(blob, Span(0, 6))
    named = [cache.service.blobs_being_read()]
    await anext(first)
    await anext(second)
    named.append(cache.service.blobs_being_read())
    await first.aclose()
    named.append(cache.service.blobs_being_read())
    async for _ in second:
        pass
    named.append(cache.service.blobs_being_read())

    assert named == [[], [hit.blob], [hit.blob], []]


async def test_accesses_are_written_down_together(cache: Cache, clock: Clock) -> None:
    for key in ("one", "two"):
        await cache.save(key)
    clock.advance(timedelta(seconds=30))
    await cache.find("one")

    async def times() -> list[int]:
        entries = [await cache.catalog.entries.get(number) for number in (1, 2)]
        return [entry.last_accessed_at for entry in entries if entry]

    before = await times()
    await cache.service.record_accesses(link_ms=HOUR_MS)
    after = await times()

    saved_at = clock() - 30_000
    assert (before, after) == ([saved_at, saved_at], [clock(), saved_at])


class FlakyConnections:
    """Connections whose writes fail while they are told to."""

    def __init__(self, connections: Connections) -> None:
        self._connections = connections
        self.is_failing = False

    async def look_up(self, work: Callable[[Connection], T]) -> T:
        return await self._connections.look_up(work)

    async def read(self, work: Callable[[Connection], T]) -> T:
        return await self._connections.read(work)

    async def read_long(self, work: Callable[[Connection], T]) -> T:
        return await self._connections.read_long(work)

    async def write(self, work: Callable[[Connection], T]) -> T:
        if self.is_failing:
            raise CatalogUnavailable("the catalog cannot be used: database is locked")
        return await self._connections.write(work)

    def exclusively(self, name: str, *, wait: bool = False) -> AbstractAsyncContextManager[bool]:
        return self._connections.exclusively(name, wait=wait)


async def test_accesses_that_could_not_be_written_down_are_written_later(tmp_path: Path) -> None:
    made: list[FlakyConnections] = []

    def wrapped(connections: Connections) -> Connections:
        made.append(FlakyConnections(connections))
        return made[0]

    clock = Clock()
    async with open_cache(tmp_path, clock=clock, wrapped_connections=wrapped) as cache:
        entry = await cache.save("key")
        clock.advance(timedelta(minutes=5))
        await cache.find("key")

        made[0].is_failing = True
        with pytest.raises(CatalogUnavailable):
            await cache.service.record_accesses(link_ms=HOUR_MS)
        made[0].is_failing = False
        await cache.service.record_accesses(link_ms=HOUR_MS)

        found = await cache.catalog.entries.get(entry.id)
    assert found is not None
    assert found.last_accessed_at == clock()


async def test_while_it_drains_only_what_was_begun_goes_on(cache: Cache) -> None:
    await cache.save("saved", b"data")
    upload = await cache.reserve("begun")

    cache.service.drain()

    with pytest.raises(Draining):
        await cache.reserve("new")
    await cache.service.write_whole(upload.blob, body_of(b"begun"), announced_bytes=5)
    await cache.service.commit(cache.default, "begun", VERSION, 5)
    assert await cache.content("begun") == b"begun"
    assert await cache.content("saved") == b"data"
    reasons = await cache.service.readiness()
    assert reasons["uploads"] is not None


async def test_uploads_count_as_in_flight_until_they_end(cache: Cache) -> None:
    counts = [len(cache.service.uploads_in_flight(within_seconds=60))]
    await cache.reserve("one")
    upload = await cache.reserve("two")
    counts.append(len(cache.service.uploads_in_flight(within_seconds=60)))
    await cache.service.write_whole(upload.blob, body_of(b"data"), announced_bytes=4)
    await cache.service.commit(cache.default, "two", VERSION, 4)
    counts.append(len(cache.service.uploads_in_flight(within_seconds=60)))
    counts.append(len(cache.service.uploads_in_flight(within_seconds=-1)))

    assert counts == [0, 2, 1, 0]


async def test_everything_is_fine_at_first(cache: Cache) -> None:
    assert await cache.service.readiness() == {"catalog": None, "store": None, "uploads": None}


async def test_entries_are_listed_by_prefix_for_those_who_may_read_them(cache: Cache) -> None:
    await cache.save("npm-1")
    await cache.save("npm-2", version="other")
    await cache.save("npm-3", grant=job(FEATURE))
    await cache.save("pip-1")

    listed = await cache.service.newest(job(MAIN), "npm-", limit=9)

    assert {entry.key for entry in listed} == {"npm-1", "npm-2"}


async def test_usage_is_known_by_the_name_in_any_case(cache: Cache) -> None:
    await cache.save("key", b"data")

    usage = await cache.service.usage("Octo/Hello")

    assert (usage.entry_count, usage.size_bytes) == (1, 4)


class TestFindBlobs:
    """A lookup of our own client: several versions, and every blob."""

    async def find(
        self, cache: Cache, *keys: str, versions: Sequence[str] = (SNAPSHOT, VERSION)
    ) -> tuple[str, str] | None:
        """Return key and version of what is found."""
        hit = await cache.service.find_blobs(cache.default, keys[0], keys[1:], versions)
        return (hit.entry.key, hit.entry.version) if hit else None

    async def test_of_equal_keys_the_first_version_is_found(self, cache: Cache) -> None:
        await cache.save("key")
        await cache.save_snapshot("key")

        assert await self.find(cache, "key") == ("key", SNAPSHOT)
        assert await self.find(cache, "key", versions=[VERSION, SNAPSHOT]) == ("key", VERSION)
        assert await self.find(cache, "key", versions=["other"]) is None

    async def test_a_better_key_counts_more_than_a_better_version(
        self, cache: Cache, clock: Clock
    ) -> None:
        await cache.save("npm-2")
        clock.advance(timedelta(seconds=1))
        await cache.save_snapshot("npm-1")

        assert await self.find(cache, "npm-2", "npm-") == ("npm-2", VERSION)
        assert await self.find(cache, "npm-3", "npm-") == ("npm-1", SNAPSHOT)

    async def test_an_archive_has_one_blob(self, cache: Cache) -> None:
        await cache.save_blocks("key", [b"in ", b"blocks"])

        hit = await cache.service.find_blobs(cache.default, "key", [], [VERSION])

        assert hit is not None
        assert [(blob.size_bytes, blob.pack) for blob in hit.blobs] == [(9, None)]

    @pytest.mark.parametrize("number", [0, 1, 2])
    async def test_a_snapshot_that_is_not_whole_is_a_miss_and_a_loud_event(
        self, cache: Cache, recorder: Recorder, number: int
    ) -> None:
        await cache.save_snapshot("key", b"one", b"two")
        blobs = (await self.hit(cache)).blobs
        # What was whole a moment ago is not looked at again.
        part_of(cache, blobs[number].name).unlink()
        cache.service = CacheService(
            cache.catalog, cache.store, UploadLimits(), observers=[recorder], now=cache.clock
        )

        assert await self.find(cache, "key") is None

        assert ("damaged", blobs[number].name) in recorder.heard
        await cache.save_snapshot("key", b"anew")
        assert await cache.snapshot("key") == [b"manifest", b"anew"]

    async def hit(self, cache: Cache) -> Hit:
        hit = await cache.service.find_blobs(cache.default, "key", [], [SNAPSHOT])
        assert hit is not None
        return hit

    async def test_a_pack_that_is_missing_takes_along_all_that_share_it(self, cache: Cache) -> None:
        first = await cache.save_snapshot("key", b"common")
        await cache.save_snapshot("key-2", shared=[PackName(first.id, 0)])
        await cache.save_snapshot("key-3", b"own")
        await cache.store.delete((await self.hit(cache)).blobs[1].name)

        with pytest.raises(BlobMissing):
            await cache.read((await self.hit(cache)).blobs[1].name)

        assert await self.find(cache, "key") == ("key-3", SNAPSHOT)

    async def test_a_peek_touches_nothing(
        self, cache: Cache, clock: Clock, recorder: Recorder
    ) -> None:
        entry = await cache.save_snapshot("key", b"pack")
        clock.advance(timedelta(seconds=30))
        heard = list(recorder.heard)

        hit = await cache.service.find_blobs(cache.default, "key", [], [SNAPSHOT], peek=True)
        miss = await cache.service.find_blobs(cache.default, "x", [], [SNAPSHOT], peek=True)
        await cache.service.record_accesses(link_ms=HOUR_MS)

        assert (hit.entry if hit else None, miss) == (entry, None)
        assert await cache.catalog.entries.get(entry.id) == entry
        assert recorder.heard == heard

    @pytest.mark.parametrize("is_renewed", [True, False])
    async def test_all_blobs_are_kept_for_the_links_to_an_entry_that_goes(
        self, cache: Cache, clock: Clock, *, is_renewed: bool
    ) -> None:
        entry = await cache.save_snapshot("key", b"one", b"two")
        if is_renewed:
            await cache.service.renew(cache.default, entry.id)
        else:
            await self.hit(cache)
        await cache.catalog.entries.forget([entry.id], now_ms=clock(), link_ms=0)
        await cache.service.record_accesses(link_ms=HOUR_MS)

        clock.advance(timedelta(hours=1))
        await cache.maintenance.prune()
        kept = len(cache.files())
        clock.advance(timedelta(minutes=3))
        await cache.maintenance.prune()

        assert (kept, cache.files()) == (3, {})

    async def test_a_shared_pack_is_kept_for_the_links_of_the_entry_that_goes_first(
        self, cache: Cache, clock: Clock
    ) -> None:
        first = await cache.save_snapshot("key", b"common")
        clock.advance(timedelta(hours=5))
        second = await cache.save_snapshot("key-2", shared=[PackName(first.id, 0)])
        clock.advance(timedelta(hours=5))
        pack = (await self.hit(cache)).blobs[1].name
        await cache.service.record_accesses(link_ms=HOUR_MS)

        # The other one, which nobody read lately, must not shorten their lives.
        for entry in (first, second):
            await cache.catalog.entries.forget([entry.id], now_ms=clock(), link_ms=HOUR_MS)
        clock.advance(timedelta(hours=1))
        await cache.maintenance.prune()

        assert await cache.read(pack) == b"common"

    async def test_new_links_are_for_those_who_may_read_the_entry(
        self, cache: Cache, clock: Clock
    ) -> None:
        entry = await cache.save_snapshot("key", b"pack")
        clock.advance(timedelta(seconds=30))

        contents = await cache.service.renew(job(FEATURE, MAIN), entry.id)
        await cache.service.record_accesses(link_ms=HOUR_MS)

        assert (contents.entry, len(contents.blobs)) == (entry, 2)
        found = await cache.catalog.entries.get(entry.id)
        assert found is not None
        assert found.last_accessed_at == clock()
        for grant, number in (
            (job(FEATURE), entry.id),
            (job(repository="octo/other"), entry.id),
            (job(MAIN), entry.id + 1),
        ):
            with pytest.raises(EntryMissing):
                await cache.service.renew(grant, number)
            with pytest.raises(EntryMissing):
                await cache.service.report_damage(grant, number, "?")

    async def test_a_report_of_damage_is_passed_on_and_nothing_is_dropped(
        self, cache: Cache, recorder: Recorder
    ) -> None:
        entry = await cache.save_snapshot("key", b"pack")

        await cache.service.report_damage(job(FEATURE, MAIN), entry.id, "a digest is wrong")

        assert recorder.heard[-1] == ("reported", "key: a digest is wrong")
        assert await cache.snapshot("key") == [b"manifest", b"pack"]
