import json
import signal
import sqlite3
import subprocess
from contextlib import closing
from pathlib import Path

from tests.cli.conftest import PROGRAM, Runcache, parts_of, save


def test_what_is_backed_up_can_be_restored_elsewhere(
    runcache: Runcache, data: Path, tmp_path: Path
) -> None:
    backed_up = runcache("backup", "--data", str(data), "copy")
    restored = runcache("restore-backup", "--data", "elsewhere", "copy")
    checked = runcache("check", "--data", "elsewhere", "--read-data")

    assert (backed_up.code, backed_up.out) == (
        0,
        "backed up 2 entries of 1.01 KB: 2 new blobs of 1.01 KB, 0 blobs removed\n",
    )
    assert (restored.code, restored.out) == (0, "restored 2 entries of 1.01 KB\n")
    assert (checked.code, checked.out) == (0, "checked 2 entries of 1.01 KB: 0 problems\n")
    assert [path.read_bytes() for path in parts_of(tmp_path / "elsewhere")] == [
        path.read_bytes() for path in parts_of(data)
    ]


def test_a_second_backup_says_what_is_new(runcache: Runcache, data: Path) -> None:
    runcache("backup", "--data", str(data), "copy")
    save(data, "new", b"n" * 5)

    again = runcache("backup", "--data", str(data), "copy", "--json")

    assert json.loads(again.out) == {
        "entries": 3,
        "size_bytes": 1015,
        "new_blobs": 1,
        "new_bytes": 5,
        "removed_blobs": 0,
        "damaged": [],
    }


def test_a_backup_that_is_killed_leaves_the_former_one_valid(
    runcache: Runcache, data: Path, tmp_path: Path
) -> None:
    runcache("backup", "--data", str(data), "copy")
    save(data, "new", b"n" * 50_000_000)

    with subprocess.Popen([*PROGRAM, "backup", "--data", str(data), "copy"]) as backup:
        while backup.poll() is None and not list((tmp_path / "copy" / "blobs").glob(".new-*")):
            pass
        backup.kill()
    verified = runcache("restore-backup", "--dry-run", "copy")
    again = runcache("backup", "--data", str(data), "copy")

    assert backup.returncode == -signal.SIGKILL
    assert (verified.code, verified.out) == (0, "would restore 2 entries of 1.01 KB\n")
    assert again.out.startswith("backed up 3 entries of 50")
    assert not list((tmp_path / "copy").rglob(".new-*"))


def test_damage_is_named_and_ends_with_4(runcache: Runcache, data: Path) -> None:
    parts_of(data)[0].unlink()

    ended = runcache("backup", "--data", str(data), "copy")

    assert ended.code == 4
    assert ended.out.splitlines() == [
        "damaged: `octo/hello refs/heads/main small`: not in the backup",
        "backed up 1 entry of 1.00 KB: 1 new blob of 1.00 KB, 0 blobs removed",
    ]


def test_a_cache_that_is_not_there_is_not_backed_up(runcache: Runcache, tmp_path: Path) -> None:
    ended = runcache("backup", "--data", "nowhere", "copy")

    assert ended.code == 2
    assert not (tmp_path / "copy").exists()


def test_the_signing_key_goes_along_only_on_request(
    runcache: Runcache, data: Path, tmp_path: Path
) -> None:
    key = "ab" * 32
    (data / "signing.key").write_text(key)
    (data / "signing.key").chmod(0o600)

    runcache("backup", "--data", str(data), "without")
    ended = runcache("backup", "--data", str(data), "with", "--with-signing-key")
    runcache("restore-backup", "--data", "restored", "with")

    assert ended.code == 0, ended.err
    assert not (tmp_path / "without" / "signing.key").exists()
    assert (tmp_path / "restored" / "signing.key").read_text() == key
    assert (tmp_path / "restored" / "signing.key").stat().st_mode & 0o077 == 0


def test_a_signing_key_that_is_there_stays(runcache: Runcache, data: Path, tmp_path: Path) -> None:
    (data / "signing.key").write_text("ab" * 32)
    runcache("backup", "--data", str(data), "copy", "--with-signing-key")
    (tmp_path / "restored").mkdir()
    (tmp_path / "restored" / "signing.key").write_text("cd" * 32)

    ended = runcache("restore-backup", "--data", "restored", "copy")

    assert (tmp_path / "restored" / "signing.key").read_text() == "cd" * 32
    assert "warning: the signing key of the backup was not restored" in ended.err


def test_a_dry_run_reads_the_backup_and_makes_nothing(
    runcache: Runcache, data: Path, tmp_path: Path
) -> None:
    runcache("backup", "--data", str(data), "copy")
    whole = runcache("restore-backup", "--data", "restored", "copy", "--dry-run")
    max((tmp_path / "copy" / "blobs").glob("*/*"), key=lambda file: file.stat().st_size).unlink()

    damaged = runcache("restore-backup", "--data", "restored", "copy", "--dry-run", "--json")

    assert (whole.code, whole.out) == (0, "would restore 2 entries of 1.01 KB\n")
    assert damaged.code == 4
    assert json.loads(damaged.out) == {
        "dry_run": True,
        "entries": 1,
        "size_bytes": 10,
        "damaged": ["octo/hello refs/heads/main large"],
    }
    assert not (tmp_path / "restored").exists()


def test_a_cache_with_something_in_it_is_not_restored_over(runcache: Runcache, data: Path) -> None:
    runcache("backup", "--data", str(data), "copy")

    ended = runcache("restore-backup", "--data", str(data), "copy")

    assert ended.code == 2
    assert "the catalog is not empty" in ended.err


def test_no_catalog_is_made_for_a_backup_that_is_none(runcache: Runcache, tmp_path: Path) -> None:
    ended = runcache("restore-backup", "--data", "restored", "nowhere")

    assert (ended.code, ended.err) == (2, "error: `nowhere` holds no backup\n")
    assert not (tmp_path / "restored").exists()


def test_a_damaged_list_ends_with_4(runcache: Runcache, data: Path, tmp_path: Path) -> None:
    runcache("backup", "--data", str(data), "copy")
    file = tmp_path / "copy" / "catalog.jsonl"
    file.write_text(file.read_text().replace("small", "smalL"))

    ended = runcache("restore-backup", "--data", "restored", "copy")

    assert ended.code == 4
    assert "it was changed or cut" in ended.err


def test_the_secret_of_no_token_is_in_a_backup(
    runcache: Runcache, data: Path, tmp_path: Path
) -> None:
    token = runcache("token", "api", "--data", str(data), "--repo", "octo/hello").out.strip()

    runcache("backup", "--data", str(data), "copy")
    runcache("restore-backup", "--data", "restored", "copy")

    assert token not in (tmp_path / "copy" / "catalog.jsonl").read_text()
    with closing(sqlite3.connect(tmp_path / "restored" / "catalog.sqlite3")) as catalog:
        assert catalog.execute("SELECT count(*) FROM api_tokens").fetchone() == (1,)
