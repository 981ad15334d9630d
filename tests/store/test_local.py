"""The store in a local folder: the contract, a state machine, and what a crash leaves behind."""

import asyncio
import errno
import hashlib
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, closing
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import pytest
import pytest_asyncio
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from runcache.errors import BlobMissing, StoreFull, StoreUnavailable
from runcache.model import Part
from runcache.store.blobs import BlobStore, IncomingPart
from runcache.store.local import LocalStore
from runcache.testing.blob_store_suite import BLOB, PART, BlobStoreSuite, get, names_in, put
from tests.full_disk import file_size_limit

WRITER: Final = """
import asyncio, sys
from pathlib import Path
from runcache.store.local import LocalStore

async def main():
    store = LocalStore(Path(sys.argv[1]))
    async with store.receive(sys.argv[2], sys.argv[3]) as part:
        await part.write(b"half a bo")
        print("writing", flush=True)
        await asyncio.sleep(60)

asyncio.run(main())
"""


@pytest_asyncio.fixture
async def store(tmp_path: Path) -> AsyncIterator[LocalStore]:
    with closing(LocalStore(tmp_path / "blobs")) as store:
        yield store


class TestLocalStore(BlobStoreSuite):
    @pytest_asyncio.fixture
    async def store(self, tmp_path: Path) -> AsyncIterator[BlobStore]:
        with closing(LocalStore(tmp_path / "blobs")) as store:
            yield store


async def test_what_a_killed_process_was_writing_is_claimed_until_its_death(
    store: LocalStore, tmp_path: Path
) -> None:
    arguments = [str(tmp_path / "blobs"), BLOB, PART]
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", WRITER, *arguments, stdout=subprocess.PIPE
    )
    assert process.stdout is not None
    await process.stdout.readline()

    while_it_lives = await store.unclaimed(BLOB)
    process.send_signal(signal.SIGKILL)
    await process.communicate()

    assert while_it_lives == []
    assert await store.unclaimed(BLOB) == [PART]
    assert await names_in(store) == [BLOB]


async def test_files_that_are_not_ours_are_left_alone(store: LocalStore, tmp_path: Path) -> None:
    await put(store, BLOB, PART, b"data")
    strange = [tmp_path / "blobs/00/notes.txt", tmp_path / f"blobs/00/{BLOB}/notes.txt"]
    for path in strange:
        path.write_text("mine")

    assert await names_in(store) == [BLOB]
    assert await store.unclaimed(BLOB) == [PART]
    assert all(path.exists() for path in strange)


async def test_files_are_readable_by_their_owner_alone(store: LocalStore, tmp_path: Path) -> None:
    await put(store, BLOB, PART, b"data")

    part = tmp_path / "blobs/00" / BLOB / PART
    assert part.stat().st_mode & 0o777 == 0o600
    assert part.parent.stat().st_mode & 0o777 == 0o700


async def test_a_part_that_lost_its_end_is_missing(store: LocalStore, tmp_path: Path) -> None:
    part = await put(store, BLOB, PART, b"data")
    os.truncate(tmp_path / "blobs/00" / BLOB / PART, 3)

    assert await store.first_incomplete({BLOB: [part]}) == BLOB
    with pytest.raises(BlobMissing):
        await get(store, BLOB, part)
    with pytest.raises(BlobMissing):
        await store.feed(BLOB, [part], hashlib.sha256())


async def test_a_disk_that_is_full_says_so_and_leaves_nothing(store: LocalStore) -> None:
    async def receive() -> None:
        async with store.receive(BLOB, PART) as incoming:
            await incoming.write(b"x" * 60_000)
            await incoming.write(b"x" * 60_000)

    with file_size_limit(100_000), pytest.raises(StoreFull):
        await receive()

    assert await store.unclaimed(BLOB) == []


async def test_a_folder_that_cannot_be_made_is_not_the_callers_fault(tmp_path: Path) -> None:
    (tmp_path / "blobs").write_text("a file")

    with (
        closing(LocalStore(tmp_path / "blobs")) as store,
        pytest.raises(StoreUnavailable) as failed,
    ):
        await put(store, BLOB, PART, b"data")

    assert isinstance(failed.value.__cause__, OSError)
    assert failed.value.__cause__.errno in {errno.ENOTDIR, errno.EEXIST}


class StoreMachine(RuleBasedStateMachine):
    """A store and a dict of blobs beside it, which must always hold the same."""

    blobs = st.sampled_from([f"{number:032x}" for number in range(3)])
    parts = st.sampled_from([f"{number:016x}" for number in range(4)])
    data = st.binary(max_size=20)

    def __init__(self) -> None:
        super().__init__()
        self.folder = TemporaryDirectory()
        self.loop = asyncio.Runner()
        self.store = self.loop.run(self.opened())
        self.whole: dict[tuple[str, str], bytes] = {}
        self.open: dict[tuple[str, str], tuple[IncomingPart, AsyncExitStack]] = {}
        self.written: dict[tuple[str, str], bytes] = {}

    async def opened(self) -> LocalStore:
        return LocalStore(Path(self.folder.name))

    @rule(blob=blobs, part=parts)
    def begin(self, blob: str, part: str) -> None:
        place = (blob, part)
        if place in self.whole or place in self.open:
            return  # Names are random: none is used twice.

        async def enter() -> tuple[IncomingPart, AsyncExitStack]:
            stack = AsyncExitStack()
            return await stack.enter_async_context(self.store.receive(blob, part)), stack

        self.open[place] = self.loop.run(enter())
        self.written[place] = b""

    @rule(blob=blobs, part=parts, data=data)
    def write(self, blob: str, part: str, data: bytes) -> None:
        if found := self.open.get((blob, part)):
            self.loop.run(found[0].write(data))
            self.written[blob, part] += data

    @rule(blob=blobs, part=parts, is_kept=st.booleans())
    def end(self, blob: str, part: str, *, is_kept: bool) -> None:
        place = (blob, part)
        if place not in self.open:
            return
        incoming, stack = self.open.pop(place)
        written = self.written.pop(place, None)
        if is_kept:
            self.loop.run(incoming.hand_over())
            # One whose blob was deleted in between has no name any more.
            if written is not None:
                self.whole[place] = written
        self.loop.run(stack.aclose())

    @rule(blob=blobs, parts=st.lists(parts, unique=True))
    def delete_parts(self, blob: str, parts: list[str]) -> None:
        named = [part for part in parts if (blob, part) not in self.open]
        self.loop.run(self.store.delete_parts(blob, named))
        for part in named:
            self.whole.pop((blob, part), None)

    @rule(blob=blobs)
    def delete(self, blob: str) -> None:
        self.loop.run(self.store.delete(blob))
        self.whole = {place: data for place, data in self.whole.items() if place[0] != blob}
        # Those that are being written go on, but lead nowhere.
        for place in [place for place in self.open if place[0] == blob]:
            _, stack = self.open.pop(place)
            self.loop.run(stack.aclose())
            del self.written[place]

    @rule(blob=blobs)
    def sync(self, blob: str) -> None:
        self.loop.run(self.store.sync(blob))

    @invariant()
    def what_was_handed_over_is_there_and_nothing_else(self) -> None:
        for (blob, part), data in self.whole.items():
            assert self.loop.run(get(self.store, blob, Part(part, 0, len(data)))) == data
        for blob in {f"{number:032x}" for number in range(3)}:
            unclaimed = self.loop.run(self.store.unclaimed(blob))
            assert sorted(unclaimed) == sorted(part for b, part in self.whole if b == blob)

    def teardown(self) -> None:
        for _, stack in self.open.values():
            self.loop.run(stack.aclose())
        assert {blob for blob, _ in self.whole} <= set(self.loop.run(names_in(self.store)))
        self.store.close()
        self.loop.close()
        self.folder.cleanup()


TestStoreMachine = StoreMachine.TestCase
TestStoreMachine.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)


async def test_a_reader_that_is_cancelled_while_the_file_is_opened_leaves_it_closed(
    store: LocalStore, tmp_path: Path
) -> None:
    part = await put(store, BLOB, PART, b"data")
    first = asyncio.create_task(anext(store.read(BLOB, part, 0, 4)))
    await asyncio.sleep(0)

    first.cancel()
    await asyncio.wait([first])

    assert first.cancelled()
    assert open_files_below(tmp_path) == []


def open_files_below(folder: Path) -> list[Path]:
    opened = (link.resolve() for link in Path("/proc/self/fd").iterdir())
    return [path for path in opened if path.is_relative_to(folder)]
