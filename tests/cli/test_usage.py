from pathlib import Path

import pytest

from tests.cli.conftest import Runcache
from tests.cli.looked_after import REPOSITORY, Keeper, Kept, keep

ENTRIES = (
    Kept("a", 100),
    Kept("b", 3999),
    Kept("c", 10_000, repository="octo/other"),
    Kept("d", 7, repository="acme/x"),
)


@pytest.fixture
def keeper(runcache: Runcache, tmp_path: Path) -> Keeper:
    keep(tmp_path / "data", ENTRIES)
    return Keeper(runcache, ("--data", str(tmp_path / "data"), "--repo", REPOSITORY))


def test_a_repository_has_entries_and_bytes(keeper: Keeper) -> None:
    assert keeper.lines("usage") == [["octo/hello", "2", "4.00 KiB"]]
    assert keeper.json("usage") == {
        "repository": "octo/hello",
        "entries": 2,
        "size_bytes": 4099,
    }


def test_an_owner_has_repositories_the_largest_first(keeper: Keeper) -> None:
    ended = keeper.run("usage", "--org", "Octo")

    assert ended.out == "octo/other\t1\t9.76 KiB\nocto/hello\t2\t4.00 KiB\n"
    assert ended.err == "2 repositories of `Octo`: 3 entries of 14.1 KB\n"


def test_an_owner_is_described_as_json(keeper: Keeper) -> None:
    assert keeper.json("usage", "--org", "octo") == {
        "owner": "octo",
        "entries": 3,
        "size_bytes": 14_099,
        "repositories": [
            {"repository": "octo/other", "entries": 1, "size_bytes": 10_000},
            {"repository": "octo/hello", "entries": 2, "size_bytes": 4099},
        ],
    }


def test_an_owner_without_repositories_has_nothing(keeper: Keeper) -> None:
    ended = keeper.run("usage", "--org", "nobody")

    assert (ended.code, ended.out) == (0, "")
    assert ended.err == "0 repositories of `nobody`: 0 entries of 0 B\n"


def test_a_terminal_shows_a_table(keeper: Keeper) -> None:
    assert keeper.on_terminal("usage").splitlines() == [
        "repository  entries     size",
        "octo/hello        2  4.10 KB",
    ]


def test_an_owner_that_cannot_be_is_wrong_usage(keeper: Keeper) -> None:
    ended = keeper.run("usage", "--org", "no owner")

    assert (ended.code, ended.out) == (2, "")
    assert ended.err == "error: `no owner` is not the name of an owner\n"
