import json
from pathlib import Path

from tests.cli.conftest import Runcache, parts_of


def left_behind(data: Path) -> Path:
    """Put a file of a blob there that no row of the catalog names."""
    folder = data / "blobs" / "ab" / f"ab{'0' * 30}"
    folder.mkdir(parents=True)
    (folder / ("0" * 16)).write_bytes(b"debris")
    return folder


def test_a_cache_in_order_has_nothing_to_prune(runcache: Runcache, data: Path) -> None:
    ended = runcache("prune", "--data", str(data))

    assert ended.code == 0
    assert ended.out.splitlines() == [
        "removed 0 blobs of 0 B",
        "  0 uploads had expired",
        "  0 blobs had been left behind",
    ]
    assert len(parts_of(data)) == 2


def test_what_was_left_behind_is_removed_but_not_by_a_dry_run(
    runcache: Runcache, data: Path
) -> None:
    folder = left_behind(data)

    planned = json.loads(runcache("prune", "--data", str(data), "--dry-run", "--json").out)
    assert folder.exists()
    done = json.loads(runcache("prune", "--data", str(data), "--json").out)

    assert planned == {
        "dry_run": True,
        "blobs": 0,
        "size_bytes": 0,
        "expired_uploads": 0,
        "orphans": 1,
    }
    assert done == {**planned, "dry_run": False}
    assert not folder.exists()
    assert len(parts_of(data)) == 2


def test_bytes_that_a_link_may_still_ask_for_are_left_alone(runcache: Runcache, data: Path) -> None:
    forgotten = runcache("forget", "--data", str(data), "--min-free", "0", "--repo-limit", "500")

    ended = runcache("prune", "--data", str(data))

    assert forgotten.out.startswith("forgot 1 entry ")
    assert ended.out.startswith("removed 0 blobs ")
    assert len(parts_of(data)) == 2
