import json
from pathlib import Path

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
