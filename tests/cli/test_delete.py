import secrets
from pathlib import Path

import pytest

from runcache.testing import LiveServer
from tests.cli.conftest import Runcache
from tests.cli.looked_after import REPOSITORY, Keeper, Kept, keep

ENTRIES = (
    Kept("npm-1"),
    Kept("npm-1", ref="refs/heads/x"),
    Kept("npm-1", ref="refs/heads/y"),
    Kept("npm-10"),
    Kept("12345"),
)


@pytest.fixture
def keeper(runcache: Runcache, tmp_path: Path) -> Keeper:
    keep(tmp_path / "data", ENTRIES)
    return Keeper(runcache, ("--data", str(tmp_path / "data"), "--repo", REPOSITORY))


def ids(keeper: Keeper) -> list[int]:
    return sorted(entry["id"] for entry in keeper.json("list")["entries"])


def test_an_entry_is_deleted_by_its_id(keeper: Keeper) -> None:
    ended = keeper.run("delete", "004")

    assert (ended.code, ended.out) == (0, "")
    assert ended.err == "deleted 1 entry of `octo/hello`\n"
    assert ids(keeper) == [1, 2, 3, 5]


def test_a_key_is_deleted_on_every_ref_and_whole(keeper: Keeper) -> None:
    ended = keeper.run("delete", "npm-1")

    assert (ended.code, ended.err) == (0, "deleted 3 entries of `octo/hello`\n")
    assert ids(keeper) == [4, 5]


@pytest.mark.parametrize("ref", ["x", "refs/heads/x"])
def test_a_key_is_deleted_on_one_ref(keeper: Keeper, ref: str) -> None:
    assert keeper.json("delete", "npm-1", "-r", ref) == {"repository": REPOSITORY, "deleted": 1}
    assert ids(keeper) == [1, 3, 4, 5]


def test_a_key_of_digits_needs_to_be_called_a_key(keeper: Keeper) -> None:
    as_an_id = keeper.run("delete", "12345")
    as_a_key = keeper.run("delete", "--key", "12345")

    assert as_an_id.code == 1
    assert as_an_id.err.startswith("error: no entry of `octo/hello` has the id 12345\nhint: ")
    assert as_a_key.code == 0
    assert ids(keeper) == [1, 2, 3, 4]


def test_all_of_a_ref_or_of_a_repository_go(keeper: Keeper) -> None:
    of_x = keeper.json("delete", "--all", "--ref", "x")
    others = keeper.json("delete", "-a")

    assert (of_x["deleted"], others["deleted"]) == (1, 4)
    assert ids(keeper) == []


def test_nothing_to_delete_is_a_failure_unless_it_may_be(keeper: Keeper) -> None:
    failed = keeper.run("delete", "--all", "-r", "none")
    fine = keeper.run("delete", "--all", "-r", "none", "--succeed-on-no-caches")

    assert (failed.code, failed.out) == (1, "")
    assert failed.err == "error: `octo/hello` has no entries of `refs/heads/none`\n"
    assert (fine.code, fine.err) == (0, "deleted 0 entries of `octo/hello`\n")


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (("99",), "no entry of `octo/hello` has the id 99"),
        (("9" * 5000,), "no entry of `octo/hello` has the id 999"),
        (("npm",), "`octo/hello` has no entry `npm`"),
        (("npm-1", "-r", "z"), "`octo/hello` has no entry `npm-1` of `refs/heads/z`"),
    ],
)
def test_what_is_not_there_is_a_failure(
    keeper: Keeper, args: tuple[str, ...], message: str
) -> None:
    ended = keeper.run("delete", *args)

    assert (ended.code, ended.out) == (1, "")
    assert ended.err.startswith(f"error: {message}")
    assert len(ids(keeper)) == 5


@pytest.mark.parametrize(
    ("args", "message"),
    [
        ((), "say what to delete: an id, a key, or `--all`"),
        (("1", "--all"), "say what to delete: an id, a key, or `--all`"),
        (("npm-1", "--key", "npm-1"), "say what to delete: an id, a key, or `--all`"),
        (("1", "--ref", "main"), "`--ref` goes with a key"),
        (("npm-1", "--succeed-on-no-caches"), "`--succeed-on-no-caches` goes with `--all`"),
        (("",), "say what to delete: an id, a key, or `--all`"),
    ],
)
def test_what_cannot_be_meant_is_wrong_usage(
    keeper: Keeper, args: tuple[str, ...], message: str
) -> None:
    ended = keeper.run("delete", *args)

    assert (ended.code, ended.out) == (2, "")
    assert ended.err.startswith(f"error: {message}")
    assert len(ids(keeper)) == 5


def test_a_token_that_only_reads_deletes_nothing(
    runcache: Runcache, server: LiveServer, tmp_path: Path
) -> None:
    repository = f"octo/{secrets.token_hex(8)}"
    keep(server.data, [Kept("npm-1", repository=repository)])
    (tmp_path / "token").write_text(server.api_token(repository))
    place = ("--url", server.url, "--token-file", "token", "--repo", repository)
    keeper = Keeper(runcache, place)

    for what in (("npm-1",), (str(ids(keeper)[0]),), ("--all",)):
        ended = keeper.run("delete", *what)
        assert (ended.code, ended.out) == (5, "")
        assert "hint: `runcache token api --write`" in ended.err
    assert keeper.keys() == ["npm-1"]


def test_more_entries_than_a_page_has_are_deleted(
    runcache: Runcache, server: LiveServer, tmp_path: Path
) -> None:
    repository = f"octo/{secrets.token_hex(8)}"
    keep(server.data, [Kept(f"k-{number}", repository=repository) for number in range(120)])
    (tmp_path / "token").write_text(server.api_token(repository, can_write=True))
    place = ("--url", server.url, "--token-file", "token", "--repo", repository)
    keeper = Keeper(runcache, place)

    assert len(keeper.keys("-L", "1000")) == 120
    assert keeper.json("delete", "--all")["deleted"] == 120
    assert keeper.keys() == []
