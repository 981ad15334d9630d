"""A backup is whole, of one moment, and never worse than the one before it."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing, closing
from datetime import timedelta
from hashlib import sha256
from pathlib import Path

import pytest

from runcache.errors import FileUnwritable, InvalidBackup
from runcache.maintenance.backup_folder import BackupFolder
from runcache.model import PackName, Part
from runcache.store.blobs import FileBytes
from runcache.store.local import LocalStore
from tests.in_process import Cache, open_cache
from tests.maintenance.acts import part_path
from tests.maintenance.backups import (
    Interrupted,
    StopsAfter,
    back_up,
    blobs_in,
    keys_in,
    lines_of,
    restore_to_folder,
)


async def test_each_blob_of_a_listed_entry_lies_under_its_digest(
    cache: Cache, tmp_path: Path
) -> None:
    await cache.save_blocks("blocks", [b"one", b"two"])
    await cache.save_snapshot("snapshot", b"pack-1", b"pack-2", manifest=b"listed")

    report = await back_up(cache, tmp_path / "backup")

    assert report.entry_count == 2
    contents = {path.read_bytes(): path.name for path in blobs_in(tmp_path / "backup")}
    assert contents.keys() == {b"onetwo", b"listed", b"pack-1", b"pack-2"}
    assert all(sha256(data).hexdigest() == name for data, name in contents.items())
    named = {
        blob["sha256"]
        for line in lines_of(tmp_path / "backup")
        if line["type"] == "entry"
        for blob in line["blobs"]
    }
    assert named == set(contents.values())


async def test_a_second_backup_copies_only_what_is_new(cache: Cache, tmp_path: Path) -> None:
    first = await cache.save_snapshot("first", b"shared")
    await back_up(cache, tmp_path / "backup")
    pack = PackName(first.id, 0)
    await cache.save_snapshot("second", b"own", shared=[pack], bases=[first.id], manifest=b"2nd")

    report = await back_up(cache, tmp_path / "backup")

    assert (report.copied_blob_count, report.copied_bytes) == (2, len(b"own") + len(b"2nd"))
    assert keys_in(tmp_path / "backup") == ["second", "first"]


async def test_bytes_that_no_entry_has_any_more_leave_the_backup(
    cache: Cache, tmp_path: Path
) -> None:
    entry = await cache.save("goes", b"goes")
    await cache.save("stays", b"stays")
    await back_up(cache, tmp_path / "backup")
    await cache.catalog.entries.forget_holders(
        (await cache.catalog.blobs.of_entry(entry.id))[0].name, now_ms=cache.clock()
    )
    cache.clock.advance(timedelta(minutes=1))

    report = await back_up(cache, tmp_path / "backup")

    assert report.removed_blob_count == 1
    assert [path.read_bytes() for path in blobs_in(tmp_path / "backup")] == [b"stays"]


async def test_a_backup_that_is_interrupted_leaves_the_former_one_as_it_was(
    cache: Cache, tmp_path: Path
) -> None:
    await cache.save("former", b"former")
    await back_up(cache, tmp_path / "backup")
    for number in range(9):
        await cache.save(f"new-{number}", b"%d" % number)

    with pytest.raises(Interrupted):
        await back_up(cache, tmp_path / "backup", progress=StopsAfter(4))

    assert keys_in(tmp_path / "backup") == ["former"]
    assert (await restore_to_folder(tmp_path / "backup", tmp_path / "restored")).entry_count == 1
    # What was copied by then is not copied again, and nothing else was left behind.
    report = await back_up(cache, tmp_path / "backup")
    assert report.entry_count == 10
    assert not list((tmp_path / "backup").rglob(".new-*"))


async def test_an_entry_that_is_damaged_is_named_and_left_out(cache: Cache, tmp_path: Path) -> None:
    for key in ("cut", "rotten", "whole"):
        await cache.save(key, key.encode())
    await cache.maintenance.settle()
    cut, rotten, _ = await cache.catalog.blobs.committed(limit=9)
    part_path(cache, cut.name).write_bytes(b"c")
    part_path(cache, rotten.name).write_bytes(b"ROTTEN")

    report = await back_up(cache, tmp_path / "backup")

    assert report.damaged == [
        "octo/hello refs/heads/main rotten",
        "octo/hello refs/heads/main cut",
    ]
    assert keys_in(tmp_path / "backup") == ["whole"]
    assert [path.read_bytes() for path in blobs_in(tmp_path / "backup")] == [b"whole"]


class ForgetfulStore(LocalStore):
    """A store in which a blob is forgotten and gone just before it is read."""

    cache: Cache

    async def read(
        self, blob: str, part: Part, offset: int, count: int
    ) -> AsyncGenerator[FileBytes, None]:
        await self.cache.catalog.entries.forget_holders(blob, now_ms=self.cache.clock())
        await self.delete(blob)
        async with aclosing(super().read(blob, part, offset, count)) as pieces:
            async for piece in pieces:
                yield piece


async def test_an_entry_that_is_forgotten_meanwhile_is_no_damage(
    cache: Cache, tmp_path: Path
) -> None:
    await cache.save("gone")
    with closing(ForgetfulStore(tmp_path / "blobs")) as store:
        store.cache = cache

        report = await back_up(cache, tmp_path / "backup", store=store)

    assert (report.entry_count, report.damaged) == (0, [])


async def test_a_backup_is_whole_while_entries_come_and_go(cache: Cache, tmp_path: Path) -> None:
    for number in range(60):
        await cache.save(f"old-{number}", b"%d" % number)
    is_over = asyncio.Event()

    async def be_busy() -> None:
        number = 0
        while not is_over.is_set():
            number += 1
            await cache.save(f"new-{number}", b"new %d" % number)
            old = await cache.catalog.blobs.committed(limit=1)
            await cache.catalog.entries.forget_holders(old[0].name, now_ms=cache.clock())
            await cache.maintenance.settle()
            cache.clock.advance(timedelta(minutes=5))
            await cache.maintenance.prune()

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(be_busy())
        report = await back_up(cache, tmp_path / "backup")
        is_over.set()

    assert not report.damaged
    restored = await restore_to_folder(tmp_path / "backup", tmp_path / "restored")
    assert (restored.entry_count, restored.damaged) == (report.entry_count, [])


async def test_two_backups_at_once_do_not_mix(cache: Cache, tmp_path: Path) -> None:
    identity = await cache.catalog.identity()
    lock = BackupFolder(tmp_path / "backup").locked(identity)
    await asyncio.to_thread(lock.__enter__)

    with pytest.raises(FileUnwritable, match="another backup is writing"):
        await back_up(cache, tmp_path / "backup")
    await asyncio.to_thread(lock.__exit__, None, None, None)
    report = await back_up(cache, tmp_path / "backup")

    assert report.entry_count == 0


async def test_a_folder_of_something_else_is_left_alone(cache: Cache, tmp_path: Path) -> None:
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter-1").touch()
    async with open_cache(tmp_path / "other") as other:
        await back_up(other, tmp_path / "backup-of-other")

    with pytest.raises(InvalidBackup, match="`chapter-1`, which is of no backup"):
        await back_up(cache, tmp_path / "thesis")
    with pytest.raises(InvalidBackup, match="holds the backup of another cache"):
        await back_up(cache, tmp_path / "backup-of-other")


async def test_the_secret_is_in_a_backup_only_if_it_is_given(cache: Cache, tmp_path: Path) -> None:
    folder = BackupFolder(tmp_path / "backup")

    await back_up(cache, tmp_path / "backup", signing_key="c0ffee")
    given = await asyncio.to_thread(folder.read_key)
    await back_up(cache, tmp_path / "backup")

    assert given == "c0ffee"
    assert await asyncio.to_thread(folder.read_key) is None


async def test_nobody_else_may_read_a_backup(cache: Cache, tmp_path: Path) -> None:
    await cache.save("key")

    await back_up(cache, tmp_path / "backup", signing_key="c0ffee")

    for path in (tmp_path / "backup", *(tmp_path / "backup").rglob("*")):
        assert path.stat().st_mode & 0o077 == 0, path
