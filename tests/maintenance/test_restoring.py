"""What a backup holds comes back whole, on any engine, or is said not to."""

import dataclasses
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from runcache.errors import BackupDamaged, InvalidBackup, InvalidSettings
from runcache.locations import Folder, SqliteFile, parse_catalog, parse_store
from runcache.maintenance import Maintenance
from runcache.maintenance.backup_folder import BackupFolder
from runcache.maintenance.restoring import Verifying
from runcache.model import ApiToken, PackName
from runcache.progress import Silence
from runcache.retention import Limits, LimitValues
from runcache.service import CacheService, UploadLimits
from tests.in_process import MAIN, VERSION, Cache, job, open_cache
from tests.maintenance.backups import (
    Interrupted,
    StopsAfter,
    back_up,
    blobs_in,
    engines,
    lines_of,
    restore,
    restore_to_folder,
)


async def test_archives_and_snapshots_come_back_under_their_names(
    cache: Cache, tmp_path: Path
) -> None:
    await cache.save_blocks("blocks", [b"one", b"two"])
    first = await cache.save_snapshot("first", b"shared")
    shared = PackName(first.id, 0)
    await cache.save_snapshot("second", b"own", shared=[shared], bases=[first.id], manifest=b"2")
    await back_up(cache, tmp_path / "backup")

    report = await restore_to_folder(tmp_path / "backup", tmp_path / "restored")

    assert (report.entry_count, report.damaged) == (3, [])
    async with open_cache(tmp_path / "restored", clock=cache.clock) as restored:
        assert await restored.content("blocks") == b"onetwo"
        assert await restored.snapshot("first") == [b"manifest", b"shared"]
        assert await restored.snapshot("second") == [b"2", b"own", b"shared"]
        assert await restored.service.usage("octo/hello") == await cache.service.usage("octo/hello")
        assert (await restored.maintenance.check(read_data=True)).problems == []


async def test_a_restored_cache_goes_on_like_the_one_before(cache: Cache, tmp_path: Path) -> None:
    first = await cache.save_snapshot("first", b"shared")
    await back_up(cache, tmp_path / "backup")

    await restore_to_folder(tmp_path / "backup", tmp_path / "restored")

    async with open_cache(tmp_path / "restored", clock=cache.clock) as restored:
        second = await restored.save_snapshot(
            "second", b"own", shared=[PackName(first.id, 0)], bases=[first.id], manifest=b"2"
        )
        assert second.id > first.id
        assert await restored.snapshot("second") == [b"2", b"own", b"shared"]
        await restored.maintenance.settle()
        assert (await restored.maintenance.prune()).blob_count == 0


async def test_tokens_limits_and_what_happened_come_back_too(cache: Cache, tmp_path: Path) -> None:
    token = ApiToken(
        "t1", ("octo/hello",), (), can_write=True, is_admin=False, created_at=1, expires_at=9
    )
    await cache.catalog.tokens.add(token, "digest")
    await cache.catalog.limits.set(
        "octo", LimitValues(size_bytes=5), by="someone", now_ms=cache.clock()
    )
    await cache.save("key", b"data")
    await cache.find("key")
    await cache.find("nothing")
    await cache.records.write()
    await back_up(cache, tmp_path / "backup")

    await restore_to_folder(tmp_path / "backup", tmp_path / "restored")

    async with open_cache(tmp_path / "restored", clock=cache.clock) as restored:
        assert await restored.catalog.tokens.find("digest") == token
        assert await restored.catalog.limits.all() == {"octo": LimitValues(size_bytes=5)}
        await back_up(restored, tmp_path / "again")
    assert records_of(tmp_path / "again") == records_of(tmp_path / "backup")
    assert {line["type"] for line in records_of(tmp_path / "backup")} > {"event", "day"}


@pytest.mark.usefixtures("s3_credentials")
async def test_a_backup_comes_from_any_engine_and_goes_to_any(
    cache: Cache, tmp_path: Path, postgres_url: str, s3_store_url: str
) -> None:
    await cache.save_blocks("blocks", [b"one", b"two"])
    await cache.save_snapshot("snapshot", b"pack-1", b"pack-2", manifest=b"listed")
    await cache.find("blocks")
    await cache.records.write()
    await back_up(cache, tmp_path / "from-files")

    async with engines(parse_catalog(postgres_url), parse_store(s3_store_url)) as (catalog, store):
        await restore(tmp_path / "from-files", catalog, store)
        maintenance = Maintenance(catalog, store, Limits(), now=cache.clock)
        checked = await maintenance.check(read_data=True)
        other = dataclasses.replace(cache, catalog=catalog, store=store)
        await back_up(other, tmp_path / "from-engines")
    report = await restore_to_folder(tmp_path / "from-engines", tmp_path / "restored")

    assert (checked.entry_count, checked.problems) == (2, [])
    assert (report.entry_count, report.damaged) == (2, [])
    assert records_of(tmp_path / "from-engines") == records_of(tmp_path / "from-files")
    async with open_cache(tmp_path / "restored", clock=cache.clock) as restored:
        assert await restored.content("blocks") == b"onetwo"
        assert await restored.snapshot("snapshot") == [b"listed", b"pack-1", b"pack-2"]


@pytest.mark.usefixtures("s3_credentials")
async def test_a_restored_database_gives_new_ids(
    cache: Cache, tmp_path: Path, postgres_url: str, s3_store_url: str
) -> None:
    former = await cache.save("former")
    await back_up(cache, tmp_path / "backup")

    async with engines(parse_catalog(postgres_url), parse_store(s3_store_url)) as (catalog, store):
        await restore(tmp_path / "backup", catalog, store)
        service = CacheService(catalog, store, UploadLimits(), now=cache.clock)
        upload = await service.reserve(job(), "next", VERSION)

    assert upload.id == former.id + 1


def records_of(backup: Path) -> list[dict[str, Any]]:
    return [line for line in lines_of(backup) if line["type"] not in {"header", "end"}]


async def test_what_was_interrupted_goes_on_when_it_is_repeated(
    cache: Cache, tmp_path: Path
) -> None:
    for number in range(60):
        await cache.save(f"key-{number}", b"%d" % number)
    await back_up(cache, tmp_path / "backup")

    with pytest.raises(Interrupted):
        await restore_to_folder(tmp_path / "backup", tmp_path / "restored", progress=StopsAfter(55))
    with pytest.raises(InvalidSettings, match="catalog is not empty"):
        await back_up_and_restore_another(tmp_path, tmp_path / "restored")
    report = await restore_to_folder(tmp_path / "backup", tmp_path / "restored")

    assert (report.entry_count, report.damaged) == (60, [])
    async with open_cache(tmp_path / "restored", clock=cache.clock) as restored:
        assert (await restored.maintenance.check(read_data=True)).problems == []
        assert await restored.content("key-0") == b"0"


async def back_up_and_restore_another(tmp_path: Path, target: Path) -> None:
    async with open_cache(tmp_path / "other") as other:
        await other.save("other")
        await back_up(other, tmp_path / "other-backup")
    await restore_to_folder(tmp_path / "other-backup", target)


async def test_what_is_not_empty_is_left_alone(cache: Cache, tmp_path: Path) -> None:
    await cache.save("key")
    await back_up(cache, tmp_path / "backup")

    with pytest.raises(InvalidSettings, match="the catalog is not empty"):
        await restore(tmp_path / "backup", cache.catalog, cache.store)
    async with engines(SqliteFile(tmp_path / "new.sqlite3"), Folder(tmp_path / "blobs")) as (
        catalog,
        store,
    ):
        await cache.maintenance.claim_store()
        with pytest.raises(InvalidSettings, match="the store belongs to another catalog"):
            await restore(tmp_path / "backup", catalog, store)

    assert await cache.content("key") == b"data"


async def test_entries_with_wrong_bytes_are_named_and_the_others_come_back(
    cache: Cache, tmp_path: Path
) -> None:
    for data in (b"cut", b"gone", b"rotten", b"whole"):
        await cache.save(data.decode(), data)
    await back_up(cache, tmp_path / "backup")
    by_content = {path.read_bytes(): path for path in blobs_in(tmp_path / "backup")}
    by_content[b"cut"].write_bytes(b"c")
    by_content[b"gone"].unlink()
    by_content[b"rotten"].write_bytes(b"ROTTEN")

    verified = await Verifying(BackupFolder(tmp_path / "backup"), progress=Silence()).run()
    report = await restore_to_folder(tmp_path / "backup", tmp_path / "restored")

    assert verified == report
    assert report.damaged == [f"octo/hello {MAIN} {key}" for key in ("rotten", "gone", "cut")]
    async with open_cache(tmp_path / "restored", clock=cache.clock) as restored:
        assert await restored.content("whole") == b"whole"
        restored.clock.advance(timedelta(days=10_000))
        await restored.maintenance.prune()
        assert len(restored.files()) == 1
        assert (await restored.maintenance.check(read_data=True)).problems == []


@pytest.mark.parametrize("damage", ["cut", "line lost", "changed", "garbage", "empty"])
async def test_a_list_that_is_damaged_brings_back_nothing(
    cache: Cache, tmp_path: Path, damage: str
) -> None:
    await cache.save("key")
    await back_up(cache, tmp_path / "backup")
    file = tmp_path / "backup" / "catalog.jsonl"
    lines = file.read_bytes().splitlines(keepends=True)
    file.write_bytes(
        {
            "cut": b"".join(lines)[:-30],
            "line lost": b"".join([lines[0], *lines[2:]]),
            "changed": b"".join(lines).replace(b'"key":"key"', b'"key":"kez"'),
            "garbage": b"\xff\x00\n" + b"".join(lines),
            "empty": b"",
        }[damage]
    )

    with pytest.raises(BackupDamaged):
        await restore_to_folder(tmp_path / "backup", tmp_path / "restored")

    async with open_cache(tmp_path / "restored") as restored:
        assert await restored.catalog.entries.count() == 0


async def test_a_folder_without_a_backup_is_none(tmp_path: Path) -> None:
    with pytest.raises(InvalidBackup, match="holds no backup"):
        await restore_to_folder(tmp_path / "nowhere", tmp_path / "restored")


async def test_the_backup_of_a_newer_version_says_so(cache: Cache, tmp_path: Path) -> None:
    await back_up(cache, tmp_path / "backup")
    file = tmp_path / "backup" / "catalog.jsonl"
    file.write_text(file.read_text().replace('"format":1', '"format":2'))

    with pytest.raises(InvalidBackup, match="format 2, which this version of runcache"):
        await restore_to_folder(tmp_path / "backup", tmp_path / "restored")
