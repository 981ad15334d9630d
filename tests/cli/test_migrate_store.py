import json
from pathlib import Path

from tests.cli.conftest import Runcache, parts_of, save


def stores(data: Path) -> tuple[str, str]:
    return (data / "blobs").as_uri(), (data.parent / "target").as_uri()


def test_a_store_that_was_copied_serves_in_place_of_the_other(
    runcache: Runcache, data: Path
) -> None:
    source, target = stores(data)

    foreseen = runcache("migrate-store", "--data", str(data), source, target, "--dry-run")
    copied = runcache("migrate-store", "--data", str(data), source, target)
    checked = runcache("check", "--data", str(data), "--store", target, "--read-data")

    assert (foreseen.code, foreseen.out) == (
        0,
        "would copy 2 blobs of 1.01 KB, 0 blobs were there already\n",
    )
    assert (copied.code, copied.out) == (
        0,
        "copied 2 blobs of 1.01 KB, 0 blobs were there already\n",
    )
    assert (checked.code, checked.out) == (0, "checked 2 entries of 1.01 KB: 0 problems\n")


def test_a_repetition_copies_what_was_saved_meanwhile(runcache: Runcache, data: Path) -> None:
    source, target = stores(data)
    runcache("migrate-store", "--data", str(data), source, target)
    save(data, "new", b"n" * 5)

    ended = runcache("migrate-store", "--data", str(data), source, target, "--json")

    assert json.loads(ended.out) == {
        "dry_run": False,
        "blobs": 1,
        "size_bytes": 5,
        "present_blobs": 2,
        "damaged": [],
    }


def test_damage_is_named_and_ends_with_4(runcache: Runcache, data: Path) -> None:
    source, target = stores(data)
    parts_of(data)[0].unlink()

    ended = runcache("migrate-store", "--data", str(data), source, target)

    assert ended.code == 4
    assert ended.out.splitlines() == [
        "damaged: `octo/hello refs/heads/main small`: not copied",
        "copied 1 blob of 1.00 KB, 0 blobs were there already",
    ]


def test_a_store_is_not_copied_to_itself(runcache: Runcache, data: Path) -> None:
    source, _ = stores(data)

    ended = runcache("migrate-store", "--data", str(data), source, source)

    assert ended.code == 2
    assert "is both" in ended.err


def test_what_is_no_store_is_wrong_usage(runcache: Runcache, data: Path) -> None:
    source, _ = stores(data)

    ended = runcache("migrate-store", "--data", str(data), source, "ftp://example.com")

    assert ended.code == 2
    assert "`ftp://example.com` is not a URL such as" in ended.err
