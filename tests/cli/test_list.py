import secrets
from pathlib import Path

import pytest

from runcache.testing import LiveServer
from tests.cli.conftest import Runcache
from tests.cli.looked_after import REPOSITORY, Keeper, Kept, keep

NOBODY = "http://127.0.0.1:9"
ENTRIES = (
    Kept("npm-1", 1000),
    Kept("npm-2", 3999, ref="refs/pull/7/merge"),
    Kept("pip-1", 5 * 1024**2 + 5),
    Kept("other", repository="octo/other"),
)


@pytest.fixture
def keeper(runcache: Runcache, tmp_path: Path) -> Keeper:
    keep(tmp_path / "data", ENTRIES)
    return Keeper(runcache, ("--data", str(tmp_path / "data"), "--repo", REPOSITORY))


def test_a_line_is_as_gh_prints_it(keeper: Keeper) -> None:
    (oldest, *others) = reversed(keeper.lines("list"))

    assert oldest == ["1", "npm-1", "1000 B", oldest[3], oldest[4]]
    assert oldest[3] == oldest[4]
    assert oldest[3].startswith("2027-01-15T08:00:0")
    assert oldest[3].endswith("Z")
    assert [line[:3] for line in others] == [["2", "npm-2", "3.90 KiB"], ["3", "pip-1", "5.00 MiB"]]


def test_entries_are_filtered_sorted_and_limited(keeper: Keeper) -> None:
    assert keeper.keys() == ["pip-1", "npm-2", "npm-1"]
    assert keeper.keys("--key", "npm-") == ["npm-2", "npm-1"]
    assert keeper.keys("-S", "size_in_bytes", "-O", "asc") == ["npm-1", "npm-2", "pip-1"]
    assert keeper.keys("-L", "1") == ["pip-1"]
    assert keeper.keys("-r", "refs/pull/7/merge") == ["npm-2"]


def test_a_short_ref_is_that_of_a_branch(keeper: Keeper) -> None:
    assert keeper.keys("--ref", "main") == keeper.keys("--ref", "refs/heads/main")
    assert keeper.keys("--ref", "main") == ["pip-1", "npm-1"]


def test_json_has_every_field(keeper: Keeper) -> None:
    found = keeper.json("list", "-L", "1", "-O", "asc")

    (entry,) = found.pop("entries")
    assert found == {"repository": REPOSITORY, "total_count": 3}
    assert entry.pop("created_at") == entry.pop("last_accessed_at")
    assert entry == {
        "id": 1,
        "key": "npm-1",
        "ref": "refs/heads/main",
        "version": "v1",
        "size_bytes": 1000,
    }


def test_a_terminal_shows_a_table(keeper: Keeper) -> None:
    heading, *rows = keeper.on_terminal("list", "-O", "asc").splitlines()

    assert heading.split() == ["id", "key", "ref", "size", "created", "accessed"]
    assert [row.split()[:5] for row in rows] == [
        ["1", "npm-1", "refs/heads/main", "1.00", "KB"],
        ["2", "npm-2", "refs/pull/7/merge", "4.00", "KB"],
        ["3", "pip-1", "refs/heads/main", "5.24", "MB"],
    ]
    assert rows[0].endswith("just now")


def test_a_narrow_terminal_cuts_keys_alone(
    runcache: Runcache, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "70")
    keep(tmp_path / "data", [Kept("k" * 200)])
    keeper = Keeper(runcache, ("--data", str(tmp_path / "data"), "--repo", REPOSITORY))

    _, row = keeper.on_terminal("list").splitlines()

    number, key, ref, *_ = row.split()
    assert (number, key.strip("k"), ref) == ("1", "…", "refs/heads/main")
    assert len(row) == 70


def test_a_key_cannot_act_upon_a_terminal(
    runcache: Runcache, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    keep(tmp_path / "data", [Kept("red\x1b[31m\tand\nmore [bold]\N{RIGHT-TO-LEFT OVERRIDE}")])
    keeper = Keeper(runcache, ("--data", str(tmp_path / "data"), "--repo", REPOSITORY))

    shown = keeper.on_terminal("list")
    (line,) = keeper.lines("list")

    assert r"red\x1b[31m\tand\nmore [bold]\u202e" in shown
    assert line[1] == r"red\x1b[31m\tand\nmore [bold]\u202e"


def test_an_empty_repository_prints_nothing(keeper: Keeper) -> None:
    nothing = Keeper(keeper.runcache, (*keeper.options[:2], "--repo", "octo/none"))

    assert nothing.lines("list") == []
    assert nothing.json("list")["entries"] == []


def test_a_terminal_is_told_that_there_is_nothing(
    keeper: Keeper, capsys: pytest.CaptureFixture[str]
) -> None:
    assert keeper.on_terminal("list", "--key", "none") == ""
    assert capsys.readouterr().err == "no entry of `octo/hello` has such a key or ref\n"


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (("-L", "0"), "invalid value for `-L` / `--limit`"),
        (("--sort", "age"), "invalid value for `-S` / `--sort`"),
        (("--order", "up"), "invalid value for `-O` / `--order`"),
        (("--repo", "nowhere"), "`nowhere` is not the name of a repository"),
    ],
)
def test_what_cannot_be_asked_for_is_wrong_usage(
    keeper: Keeper, args: tuple[str, ...], message: str
) -> None:
    ended = keeper.runcache("list", *keeper.options, *args)

    assert (ended.code, ended.out) == (2, "")
    assert ended.err.startswith(f"error: {message}")


def test_no_store_is_made_to_look_after_it(runcache: Runcache, tmp_path: Path) -> None:
    ended = runcache("list", "--data", str(tmp_path / "data"))

    assert ended.code == 2
    assert "does not exist\nhint: name its folder with `--data`" in ended.err
    assert not (tmp_path / "data").exists()


def test_a_server_must_be_told_the_repository(runcache: Runcache, tmp_path: Path) -> None:
    (tmp_path / "token").write_text("x")

    ended = runcache("list", "--url", NOBODY, "--token-file", "token")

    assert ended.code == 2
    assert ended.err.startswith("error: say whose entries: `--repo OWNER/REPO`")


def test_the_checkout_says_whose_entries(
    runcache: Runcache, tmp_path: Path, keeper: Keeper
) -> None:
    (tmp_path / ".git").mkdir()
    (tmp_path / ".git" / "config").write_text(
        '[remote "origin"]\n\turl = git@github.example:octo/other.git\n'
    )

    ended = runcache("list", *keeper.options[:2])

    assert ended.out.startswith("4\tother\t")


def test_a_server_is_asked_with_an_api_token(
    runcache: Runcache, server: LiveServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    repository = f"octo/{secrets.token_hex(8)}"
    (tmp_path / "token").write_text(server.api_token(repository))
    monkeypatch.setenv("RUNCACHE_URL", server.url)

    ended = runcache("list", "--token-file", "token", "-R", repository)
    of_another = runcache("list", "--token-file", "token", "-R", "octo/another")
    monkeypatch.setenv("RUNCACHE_TOKEN", server.job_token(repository=repository))
    as_a_job = runcache("list", "-R", repository)

    assert (ended.code, ended.out, ended.err) == (0, "", "")
    assert of_another.code == 5
    assert of_another.err.startswith("error: the token does not reach `octo/another`\nhint: ")
    assert as_a_job.code == 5
    assert "what `runcache token api` prints" in as_a_job.err


def test_a_server_that_nobody_reaches_ends_with_6(runcache: Runcache, tmp_path: Path) -> None:
    (tmp_path / "token").write_text("x")

    ended = runcache("list", "--url", NOBODY, "--token-file", "token", "-R", REPOSITORY)

    assert ended.code == 6
    assert ended.err.startswith(f"error: `{NOBODY}` cannot be reached")
