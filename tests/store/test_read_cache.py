"""What is read twice is read from this machine's disk, and only as it was saved."""

import asyncio
import os
import shutil
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import pytest

from runcache.errors import StoreUnavailable
from runcache.model import Part
from runcache.store.blobs import FileBytes
from runcache.store.cached_files import CachedFiles
from runcache.store.read_cache import VERIFIED_FOR_SECONDS, ReadCache
from runcache.testing.blob_store_suite import bytes_of
from tests.full_disk import file_size_limit
from tests.store.remote import Heard, Remote

CATALOG: Final = "c" * 32
DATA: Final = bytes(range(256)) * 64
LIMIT_BYTES: Final = 4 * len(DATA)


@dataclass
class Clock:
    """Seconds that pass when a test says so."""

    seconds: float = 1_800_000_000

    def now_ns(self) -> int:
        self.seconds += 1
        return int(self.seconds * 1e9)

    def __call__(self) -> float:
        return self.seconds


@dataclass
class Pensive(Remote):
    """A catalog that takes its time to say what it knows."""

    is_asked: asyncio.Event = field(default_factory=asyncio.Event)
    is_answering: asyncio.Event = field(default_factory=asyncio.Event)

    async def known(self, names: Sequence[str]) -> set[str]:
        self.is_asked.set()
        await self.is_answering.wait()
        return await super().known(names)


@dataclass
class Cached:
    """A read cache in front of `remote`, with its files in `folder`."""

    cache: ReadCache
    remote: Remote
    heard: Heard
    folder: Path
    clock: Clock

    async def get(self, blob: str) -> bytes:
        """Read a whole blob, as the service does."""
        return b"".join([await self.get_part(blob, part) for part in self.remote.parts_of(blob)])

    async def get_part(
        self, blob: str, part: Part, offset: int = 0, count: int | None = None
    ) -> bytes:
        data = b""
        wanted = part.size_bytes - offset if count is None else count
        async with aclosing(self.cache.read(blob, part, offset, wanted)) as pieces:
            async for piece in pieces:
                data += await asyncio.to_thread(bytes_of, piece)
        return data

    async def keep(self, *blobs: str) -> None:
        """Read blobs until they are kept."""
        for blob in blobs:
            await self.get(blob)
            await self.get(blob)
            await self.cache.settled()

    def names(self) -> set[str]:
        return {path.name for path in (self.folder / CATALOG).iterdir()}

    def path(self, blob: str) -> Path:
        return self.folder / CATALOG / blob


@asynccontextmanager
async def caching(
    folder: Path,
    remote: Remote | None = None,
    *,
    catalog: str = CATALOG,
    limit_bytes: int = LIMIT_BYTES,
    min_free_bytes: int = 0,
    clock: Clock | None = None,
) -> AsyncIterator[Cached]:
    clock, heard, remote = clock or Clock(), Heard(), remote or Remote()
    files = CachedFiles(
        folder,
        catalog,
        limit_bytes=limit_bytes,
        min_free_bytes=min_free_bytes,
        now_ns=clock.now_ns,
    )
    cache = ReadCache(remote, remote, files, heard, seconds=clock)
    async with cache.running():
        yield Cached(cache, remote, heard, folder, clock)


@pytest.fixture
async def cached(tmp_path: Path) -> AsyncIterator[Cached]:
    async with caching(tmp_path) as cached:
        yield cached


class TestWhatIsKept:
    """A blob is kept once it was read twice."""

    async def test_what_was_read_twice_is_read_from_the_disk(self, cached: Cached) -> None:
        blob = cached.remote.add(DATA)

        first, second = await cached.get(blob), await cached.get(blob)
        await cached.cache.settled()
        reads_before = len(cached.remote.reads)
        third = await cached.get(blob)

        assert first == second == third == DATA
        assert reads_before == 2 + 1  # two readers, and the cache itself
        assert len(cached.remote.reads) == reads_before
        assert (cached.heard.hits, cached.heard.misses) == (1, 2)
        assert cached.heard.hit_bytes == len(third)

    async def test_a_blob_of_several_parts_is_one_file(self, cached: Cached) -> None:
        blob = cached.remote.add(DATA, b"and more")
        await cached.keep(blob)
        reads_before = len(cached.remote.reads)

        assert await cached.get(blob) == DATA + b"and more"
        assert cached.path(blob).read_bytes() == DATA + b"and more"
        assert len(cached.remote.reads) == reads_before

    async def test_ranges_are_read_from_the_file_that_sendfile_takes(self, cached: Cached) -> None:
        blob = cached.remote.add(b"0123", b"4567")
        await cached.keep(blob)

        async with aclosing(
            cached.cache.read(blob, cached.remote.parts_of(blob)[1], 1, 2)
        ) as pieces:
            piece = await anext(pieces)
            content = await asyncio.to_thread(bytes_of, piece)

        assert isinstance(piece, FileBytes)
        assert content == b"56"

    async def test_what_was_read_once_is_not_kept(self, cached: Cached) -> None:
        blob = cached.remote.add(DATA)
        (part,) = cached.remote.parts_of(blob)

        await cached.get_part(blob, part, 0, 1)  # how clients ask whether ranges work
        await cached.get(blob)
        await cached.cache.settled()

        assert cached.names() == set()

    async def test_ranges_of_one_reader_are_one_reading(self, cached: Cached) -> None:
        blob = cached.remote.add(DATA)
        (part,) = cached.remote.parts_of(blob)

        for _ in range(2):
            before = cached.names()
            for offset in range(0, len(DATA), 1024):
                await cached.get_part(blob, part, offset, 1024)
            await cached.cache.settled()

        assert (before, cached.names()) == (set(), {blob})

    async def test_a_hot_blob_is_fetched_once_by_the_cache(self, cached: Cached) -> None:
        blob = cached.remote.add(DATA)
        cached.remote.is_open.clear()

        readers = [asyncio.create_task(cached.get(blob)) for _ in range(50)]
        await cached.remote.asked(51)
        cached.remote.is_open.set()
        contents = await asyncio.gather(*readers)
        await cached.cache.settled()

        assert set(contents) == {DATA}
        assert len(cached.remote.reads) == 50 + 1
        assert cached.names() == {blob}

    async def test_what_has_no_digest_yet_waits_for_it(self, cached: Cached) -> None:
        blob = cached.remote.add(DATA)
        digests = cached.remote.digests[blob]
        cached.remote.digests[blob] = (None, None)
        await cached.keep(blob)
        before = cached.names()

        cached.remote.digests[blob] = (None, digests[1])
        await cached.keep(blob)

        assert (before, cached.names()) == (set(), {blob})

    async def test_what_the_catalog_forgot_disappears(self, cached: Cached) -> None:
        kept, forgotten = cached.remote.add(DATA), cached.remote.add(DATA)
        await cached.keep(kept, forgotten)

        del cached.remote.blobs[forgotten]
        await cached.cache.tidy()

        assert cached.names() == {kept}

    async def test_what_is_fetched_while_others_are_looked_up_is_read_at_once(
        self, tmp_path: Path
    ) -> None:
        remote = Pensive()
        async with caching(tmp_path, remote) as cached:
            await cached.keep(remote.add(DATA))
            remote.is_answering.clear()
            tidying = asyncio.create_task(cached.cache.tidy())
            await remote.is_asked.wait()
            later = remote.add(DATA)
            await cached.keep(later)

            remote.is_answering.set()
            await tidying
            reads_before = len(remote.reads)

            assert await cached.get(later) == DATA
            assert len(remote.reads) == reads_before


class TestSize:
    """The limit holds at any time."""

    async def test_what_was_not_read_for_longest_makes_room(self, cached: Cached) -> None:
        old, older, *others = [cached.remote.add(DATA) for _ in range(5)]
        await cached.keep(old, older, *others[:2])
        assert await cached.get(old) == DATA

        await cached.keep(others[2])

        assert cached.names() == {old, *others}
        assert cached.heard.evicted == 1
        assert await cached.get(older) == DATA

    async def test_what_is_being_fetched_counts_before_its_first_byte(self, cached: Cached) -> None:
        blobs = [cached.remote.add(DATA * 3) for _ in range(2)]
        for blob in blobs:
            await cached.get(blob)
        cached.remote.is_open.clear()
        readers = [asyncio.create_task(cached.get(blob)) for blob in blobs]
        await cached.remote.asked(2 + 2 + 1)

        sizes = [path.stat().st_size for path in (cached.folder / CATALOG).iterdir()]
        cached.remote.is_open.set()
        await asyncio.gather(*readers)
        await cached.cache.settled()

        assert sizes == [3 * len(DATA)]
        assert len(cached.names()) == 1

    async def test_what_is_larger_than_all_pushes_nothing_out(self, cached: Cached) -> None:
        small, large = cached.remote.add(DATA), cached.remote.add(DATA * 5)

        await cached.keep(small, large)

        assert cached.names() == {small}
        assert cached.heard.evicted == 0

    async def test_a_smaller_limit_holds_from_the_start_on(self, tmp_path: Path) -> None:
        async with caching(tmp_path) as cached:
            blobs = [cached.remote.add(DATA) for _ in range(4)]
            await cached.keep(*blobs)

        async with caching(tmp_path, cached.remote, limit_bytes=2 * len(DATA)) as smaller:
            names = smaller.names()

        assert names == set(blobs[2:])

    async def test_what_should_stay_free_stays_free(self, tmp_path: Path) -> None:
        async with caching(tmp_path, min_free_bytes=2**60) as cached:
            blob = cached.remote.add(DATA)

            await cached.keep(blob)

            assert cached.names() == set()
            assert cached.heard.failures == []


class TestFaults:
    """Whatever happens to the disk, readers get what was saved."""

    async def test_a_full_disk_is_nobodys_failure(self, cached: Cached) -> None:
        blob = cached.remote.add(DATA)

        with file_size_limit(len(DATA) - 1):
            await cached.keep(blob)
            content = await cached.get(blob)

        assert content == DATA
        assert cached.names() == set()
        assert [type(failure) for failure in cached.heard.failures] == [OSError]

    async def test_a_folder_that_somebody_removed_is_made_again(self, cached: Cached) -> None:
        blob = cached.remote.add(DATA)
        await asyncio.to_thread(shutil.rmtree, cached.folder)

        await cached.keep(blob)

        assert cached.names() == {blob}

    async def test_a_folder_that_cannot_be_made_is_nobodys_failure(self, tmp_path: Path) -> None:
        (tmp_path / "file").write_text("in the way")
        async with caching(tmp_path / "file") as cached:
            blob = cached.remote.add(DATA)

            contents = [await cached.get(blob) for _ in range(3)]

        assert contents == [DATA] * 3
        assert cached.heard.failures

    @pytest.mark.parametrize("keeps_size", [True, False])
    async def test_a_changed_file_is_dropped_and_read_from_the_store_again(
        self, cached: Cached, *, keeps_size: bool
    ) -> None:
        blob = cached.remote.add(DATA)
        await cached.keep(blob)
        cached.path(blob).write_bytes(DATA[::-1] if keeps_size else DATA[:9])

        contents = [await cached.get(blob) for _ in range(3)]
        await cached.cache.settled()

        assert contents == [DATA] * 3
        assert cached.heard.damaged == [blob]
        assert await cached.get(blob) == DATA
        assert cached.path(blob).read_bytes() == DATA

    async def test_what_rots_without_a_trace_is_found_within_a_day(self, cached: Cached) -> None:
        blob = cached.remote.add(DATA)
        await cached.keep(blob)
        rot(cached.path(blob))
        cached.clock.seconds += VERIFIED_FOR_SECONDS

        content = await cached.get(blob)
        await cached.cache.settled()

        assert content == DATA
        assert cached.heard.damaged == [blob]
        assert cached.names() == set()

    async def test_what_the_store_has_wrong_is_not_kept(self, cached: Cached) -> None:
        blob = cached.remote.add(DATA)
        cached.remote.blobs[blob] = [DATA[::-1]]

        await cached.keep(blob)

        assert cached.names() == set()
        assert cached.heard.mismatches == [blob]

    async def test_a_store_that_goes_away_meanwhile_leaves_nothing(self, cached: Cached) -> None:
        kept, blob = cached.remote.add(DATA), cached.remote.add(DATA)
        await cached.keep(kept)
        await cached.get(blob)
        cached.remote.is_away = True

        with pytest.raises(StoreUnavailable):
            await cached.get(blob)
        await cached.cache.settled()

        assert cached.names() == {kept}
        assert await cached.get(kept) == DATA

    async def test_a_reader_goes_on_with_what_is_evicted(self, cached: Cached) -> None:
        blob = cached.remote.add(DATA)
        await cached.keep(blob)

        async with aclosing(
            cached.cache.read(blob, cached.remote.parts_of(blob)[0], 0, len(DATA))
        ) as pieces:
            piece = await anext(pieces)
            await cached.keep(*(cached.remote.add(DATA) for _ in range(4)))
            content = await asyncio.to_thread(bytes_of, piece)

        assert content == DATA
        assert blob not in cached.names()


class TestOtherProcesses:
    """The folder may be another process', before or at the same time."""

    async def test_files_outlive_a_restart_and_are_verified_first(self, tmp_path: Path) -> None:
        async with caching(tmp_path) as former:
            sound, rotten = former.remote.add(DATA), former.remote.add(DATA)
            await former.keep(sound, rotten)
        rot(tmp_path / CATALOG / rotten)
        former.remote.reads.clear()

        async with caching(tmp_path, former.remote) as cached:
            contents = [await cached.get(sound), await cached.get(rotten)]
            await cached.cache.settled()
            contents += [await cached.get(sound), await cached.get(rotten)]
            await cached.cache.settled()
            contents += [await cached.get(rotten)]

        assert contents == [DATA] * 5
        # The rotten one is read from the store twice, and a third time to be kept once more.
        assert former.remote.reads == [sound, rotten, rotten, rotten]
        assert cached.heard.damaged == [rotten]

    async def test_two_processes_fetch_a_blob_once_and_both_read_it(self, tmp_path: Path) -> None:
        async with caching(tmp_path) as one, caching(tmp_path, one.remote) as other:
            blob = one.remote.add(DATA)
            one.remote.is_open.clear()
            readers = [asyncio.create_task(cached.get(blob)) for cached in (one, one, other, other)]
            await one.remote.asked(4 + 1)
            one.remote.is_open.set()
            await asyncio.gather(*readers)
            await one.cache.settled()
            await other.cache.settled()
            assert len(one.remote.reads) == 4 + 1

            for cached in (one, other, other):
                assert await cached.get(blob) == DATA
                await cached.cache.settled()

        # Who has not fetched it reads the store once more, unless it has verified the file by then.
        assert (one.heard.hits, other.heard.hits) in {(1, 1), (1, 2), (0, 2)}
        assert one.heard.damaged == other.heard.damaged == []

    async def test_the_limit_is_one_for_all_processes(self, tmp_path: Path) -> None:
        async with (
            caching(tmp_path) as one,
            caching(tmp_path, one.remote, clock=one.clock) as other,
        ):
            blobs = [one.remote.add(DATA) for _ in range(6)]

            await one.keep(*blobs[:3])
            await other.keep(*blobs[3:])

            assert len(one.names()) == 4
            assert set(blobs[3:]) <= one.names()
            assert [await one.get(blob) for blob in blobs] == [DATA] * 6

    async def test_what_a_killed_process_was_fetching_is_removed(self, tmp_path: Path) -> None:
        torn = tmp_path / CATALOG / ("f" * 32 + ".filling")
        torn.parent.mkdir()
        torn.write_bytes(DATA)

        async with caching(tmp_path) as cached:
            names = cached.names()

        assert names == set()

    async def test_files_of_another_store_are_not_served_and_go(self, tmp_path: Path) -> None:
        async with caching(tmp_path) as former:
            blob = former.remote.add(DATA)
            await former.keep(blob)
        former.remote.reads.clear()

        async with caching(tmp_path, former.remote, catalog="d" * 32) as cached:
            await cached.get(blob)

        assert former.remote.reads == [blob]
        assert folders_in(tmp_path) == ["d" * 32]

    async def test_nothing_is_left_of_what_ends_in_the_middle(self, tmp_path: Path) -> None:
        async with caching(tmp_path) as cached:
            blob = cached.remote.add(DATA)
            await cached.get(blob)
            cached.remote.is_open.clear()
            reader = asyncio.create_task(cached.get(blob))
            await cached.remote.asked(3)
            assert cached.names() == {f"{blob}.filling"}
            reader.cancel()
            await asyncio.wait([reader])

        assert cached.names() == set()


def folders_in(path: Path) -> list[str]:
    return [below.name for below in path.iterdir() if below.is_dir()]


def rot(path: Path) -> None:
    """Change a bit so that the times of the file do not tell."""
    found = path.stat()
    data = bytearray(path.read_bytes())
    data[0] ^= 1
    path.write_bytes(data)
    os.utime(path, ns=(found.st_atime_ns, found.st_mtime_ns))
