from pathlib import Path

import pytest

from tests.cli.conftest import Job, Runcache
from tests.cli.looked_after import REPOSITORY, Keeper, Kept, keep


@pytest.fixture
def keeper(job_with_store: Job) -> Keeper:
    """Looks after the store in which a job has saved the snapshot 1."""
    job_with_store.write("deps/src/React.js", "text")
    (job_with_store.folder / "deps" / "link").symlink_to("src")
    job_with_store.json("save", "--key", "npm-1", "--path", "deps", "--repo", REPOSITORY)
    return Keeper(job_with_store.run, ("--repo", REPOSITORY))


def test_an_entry_is_described(keeper: Keeper) -> None:
    facts = dict(
        line.split(maxsplit=1)
        for line in keeper.run("show", "1").out.replace("saved by", "saved-by").splitlines()
    )

    assert {name: facts[name] for name in ("id", "key", "ref", "format", "saved-by", "path")} == {
        "id": "1",
        "key": "npm-1",
        "ref": "refs/heads/main",
        "format": "snapshot of 2 blobs",
        "saved-by": "refs/heads/main, push",
        "path": "deps",
    }
    assert facts["created"] == facts["accessed"]


def test_json_has_every_field(keeper: Keeper) -> None:
    found = keeper.json("show", "1")

    assert found["size_bytes"] == found["own_bytes"] > 0
    assert found["origin"] == {
        "ref": "refs/heads/main",
        "event": "push",
        "run": None,
        "paths": ["deps"],
        "compression": "runcache-snapshot-1",
        "system": "Linux",
        "cross_os": False,
    }
    assert list(found) == [
        "id",
        "repository",
        "key",
        "ref",
        "version",
        "format",
        "size_bytes",
        "own_bytes",
        "shared_bytes",
        "blobs",
        "created_at",
        "last_accessed_at",
        "origin",
        "restored_at",
    ]


def test_a_restore_is_told(keeper: Keeper) -> None:
    keeper.run("restore", "--key", "npm-1", "--path", "deps")

    found = keeper.json("show", "1")

    assert len(found["restored_at"]) == 1
    assert f"restored  {found['restored_at'][0][:19]}Z\n" in keeper.run("show", "1").out


def test_the_files_of_a_snapshot_are_listed(keeper: Keeper) -> None:
    assert keeper.lines("show", "1", "--files") == [
        ["drwxr-xr-x", "0 B", "deps"],
        ["lrwxrwxrwx", "0 B", "deps/link -> src"],
        ["drwxr-xr-x", "0 B", "deps/src"],
        ["-rw-r--r--", "4 B", "deps/src/React.js"],
    ]


def test_files_are_searched_in_any_case(keeper: Keeper) -> None:
    assert keeper.json("show", "1", "--files", "--search", "react") == [
        {
            "path": "deps/src/React.js",
            "kind": "file",
            "size_bytes": 4,
            "mode": "0644",
            "target": None,
        }
    ]
    assert keeper.run("show", "1", "--files", "--search", "vue").out == ""


def test_a_terminal_shows_how_long_ago_it_was(keeper: Keeper) -> None:
    lines = keeper.on_terminal("show", "1").splitlines()

    assert all(line.endswith("Z, just now") for line in lines if line.startswith("created"))
    assert "created" in [line.split()[0] for line in lines]


def test_a_terminal_shows_files_as_a_table(keeper: Keeper) -> None:
    shown = keeper.on_terminal("show", "1", "--files", "--search", "react")

    assert [line.split() for line in shown.splitlines()] == [
        ["mode", "path", "size"],
        ["-rw-r--r--", "deps/src/React.js", "4", "B"],
    ]


def test_an_archive_is_described_and_not_listed(runcache: Runcache, tmp_path: Path) -> None:
    keep(tmp_path / "data", [Kept("k\x1b[31m", 1000)])
    keeper = Keeper(runcache, ("--data", str(tmp_path / "data"), "--repo", REPOSITORY))

    described, listed = keeper.run("show", "1"), keeper.run("show", "1", "--files")

    assert "\nformat    archive of 1 blob\nsize      1.00 KB\n" in described.out
    assert "\nkey       k\\x1b[31m\n" in described.out
    assert (listed.code, listed.out) == (1, "")
    assert listed.err == "error: the entry 1 is an archive: only its client can list it\n"


@pytest.mark.parametrize("args", [(), ("--files",)])
def test_an_entry_that_is_not_there_is_a_failure(keeper: Keeper, args: tuple[str, ...]) -> None:
    ended = keeper.run("show", "99", *args)

    assert (ended.code, ended.out) == (1, "")
    assert ended.err == "error: no entry of `octo/hello` has the id 99\n"


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (("npm-1",), "invalid value for `ID`"),
        (("-1",), "no such option `-1`"),
        ((), "missing argument `ID`"),
        (("1", "--search", "x"), "`--search` goes with `--files`"),
    ],
)
def test_what_cannot_be_meant_is_wrong_usage(
    keeper: Keeper, args: tuple[str, ...], message: str
) -> None:
    ended = keeper.run("show", *args)

    assert (ended.code, ended.out) == (2, "")
    assert ended.err.lower().startswith(f"error: {message}".lower())
