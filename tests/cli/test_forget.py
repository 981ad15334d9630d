import json
from pathlib import Path

import pytest

from tests.cli.conftest import Runcache


def usage(runcache: Runcache, data: Path) -> int:
    found = json.loads(runcache("check", "--data", str(data), "--json").out)
    assert found["problems"] == []
    return int(found["entries"])


def test_what_fits_the_limits_stays(runcache: Runcache, data: Path) -> None:
    ended = runcache("forget", "--data", str(data), "--min-free", "0")

    assert (ended.code, ended.out, ended.err) == (0, "forgot 0 entries of 0 B\n", "")
    assert usage(runcache, data) == 2


def test_what_exceeds_a_limit_goes_and_is_counted_by_reason(runcache: Runcache, data: Path) -> None:
    ended = runcache("forget", "--data", str(data), "--min-free", "0", "--repo-limit", "500")

    assert ended.out.splitlines() == ["forgot 1 entry of 1.00 KB", "  1 for `oversized`"]
    assert usage(runcache, data) == 1


def test_a_dry_run_says_the_same_and_forgets_nothing(runcache: Runcache, data: Path) -> None:
    args = ("forget", "--data", str(data), "--min-free", "0", "--repo-limit", "5", "--json")

    planned = json.loads(runcache(*args, "--dry-run").out)
    assert usage(runcache, data) == 2
    done = json.loads(runcache(*args).out)

    assert planned == {
        "dry_run": True,
        "entries": 2,
        "size_bytes": 1010,
        "by_reason": {"oversized": 2},
    }
    assert done == {**planned, "dry_run": False}
    assert usage(runcache, data) == 0


def test_limits_come_from_the_environment_too(
    runcache: Runcache, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RUNCACHE_DATA", str(data))
    monkeypatch.setenv("RUNCACHE_REPO_LIMIT", "500")
    monkeypatch.setenv("RUNCACHE_MIN_FREE", "0")

    assert "forgot 1 entry" in runcache("forget").out


@pytest.mark.parametrize("command", ["forget", "prune", "check"])
def test_a_folder_that_is_no_cache_is_refused_and_left_alone(
    runcache: Runcache, tmp_path: Path, command: str
) -> None:
    ended = runcache(command, "--data", "data")

    assert ended.code == 2
    assert ended.err.splitlines() == [
        f"error: there is no cache: `{tmp_path / 'data' / 'catalog.sqlite3'}` does not exist",
        "hint: name the folder of the server with `--data` or `RUNCACHE_DATA`",
    ]
    assert not (tmp_path / "data").exists()


def test_a_catalog_that_is_none_is_a_clear_error(runcache: Runcache, tmp_path: Path) -> None:
    (tmp_path / "catalog.sqlite3").write_bytes(b"this is not a database, however long it may be")

    ended = runcache("check", "--data", ".")

    assert ended.code == 1
    assert ended.err.startswith("error: the catalog cannot be used: ")
