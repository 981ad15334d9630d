import json
from pathlib import Path

import pytest

from tests.cli.conftest import Runcache, parts_of


def test_a_cache_in_order_has_no_problems(runcache: Runcache, data: Path) -> None:
    for args in ((), ("--read-data",), ("--repair",)):
        ended = runcache("check", "--data", str(data), *args)

        assert (ended.code, ended.out) == (0, "checked 2 entries of 1.01 KB: 0 problems\n")


def test_missing_bytes_are_damage_and_end_with_4(runcache: Runcache, data: Path) -> None:
    parts_of(data)[0].unlink()

    ended = runcache("check", "--data", str(data))

    assert ended.code == 4
    assert ended.out.splitlines() == [
        "damaged: `octo/hello refs/heads/main small`: bytes are missing",
        "checked 2 entries of 1.01 KB: 1 problem",
    ]


def test_damage_is_repaired_on_request_and_reported_once_more(
    runcache: Runcache, data: Path
) -> None:
    parts_of(data)[0].unlink()

    repaired = runcache("check", "--data", str(data), "--repair", "--json")
    again = runcache("check", "--data", str(data))

    assert repaired.code == 4
    assert json.loads(repaired.out) == {
        "entries": 2,
        "size_bytes": 1010,
        "read": {"blobs": 0, "size_bytes": 0},
        "problems": [
            {
                "kind": "damaged",
                "subject": "octo/hello refs/heads/main small",
                "detail": "bytes are missing",
                "repaired": True,
            }
        ],
    }
    assert (again.code, again.out) == (0, "checked 1 entry of 1.00 KB: 0 problems\n")


def test_a_part_of_the_bytes_is_read_on_request(runcache: Runcache, data: Path) -> None:
    half = runcache("check", "--data", str(data), "--read-data-subset", "50%")
    groups = [
        json.loads(
            runcache("check", "--data", str(data), "--json", "--read-data-subset", subset).out
        )["read"]
        for subset in ("1/2", "2/2", "2/2", "1GB")
    ]

    read, checked = half.out.splitlines()
    assert read in {"read 1 of 2 blobs, 10 B", "read 1 of 2 blobs, 1.00 KB"}
    assert (half.code, checked) == (0, "checked 2 entries of 1.01 KB: 0 problems")
    assert groups[1] == groups[2]
    assert groups[0]["blobs"] + groups[1]["blobs"] == 2
    assert groups[0]["size_bytes"] + groups[1]["size_bytes"] == 1010
    assert groups[3] == {"blobs": 2, "size_bytes": 1010}


@pytest.mark.parametrize("subset", ["0%", "101%", "0/3", "4/3", "x", "0GB", "-1%", "1/0", ""])
def test_a_part_that_cannot_be_is_wrong_usage(runcache: Runcache, data: Path, subset: str) -> None:
    ended = runcache("check", "--data", str(data), "--read-data-subset", subset)

    assert (ended.code, ended.out) == (2, "")
    assert f"`{subset}`" in ended.err


def test_all_of_the_bytes_and_a_part_of_them_contradict_each_other(
    runcache: Runcache, data: Path
) -> None:
    ended = runcache("check", "--data", str(data), "--read-data", "--read-data-subset", "5%")

    assert (ended.code, ended.out) == (2, "")
