"""The paths that GitHub's client packs (protocol §7)."""

from pathlib import Path
from random import Random

import pytest

from runcache.errors import FileUnreadable, InvalidPattern
from runcache.globs.paths import resolve_paths
from tests.globs.folders import make
from tests.globs.trees import make_searches
from tests.node_batches import answers

FILES = (
    *("dir/a.txt", "dir/skip/x", "dir/sub/b.txt", "other/z.txt", "br[1]k/x", ".hidden"),
    *("a.txt", "{a,b}/x"),
)
LINKS = {"other/linkdir": "../dir", "other/broken": "missing", "other/round": ".."}


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """Return a home folder with a workspace in it, three levels down."""
    make(tmp_path / "home/1/2/ws", *FILES, links=LINKS)
    make(tmp_path / "home", ".npm/x")
    return tmp_path.resolve() / "home"


@pytest.mark.parametrize(
    ("patterns", "expected"),
    [
        (["dir"], ["dir"]),
        (["dir/"], ["dir"]),
        (["dir/a.txt/"], []),
        (["dir/*"], ["dir/a.txt", "dir/skip", "dir/sub"]),
        (["dir/**"], ["dir", "dir/a.txt", "dir/skip", "dir/skip/x", "dir/sub", "dir/sub/b.txt"]),
        (["dir/**", "!dir/skip/**"], ["dir", "dir/a.txt", "dir/sub", "dir/sub/b.txt"]),
        (["dir", "!dir/skip"], ["dir"]),
        (["dir/*", "!dir/skip"], ["dir/a.txt", "dir/sub"]),
        (["dir/*\n!dir/skip"], ["dir/a.txt", "dir/sub"]),
        (
            ["**/*.txt"],
            [
                *("a.txt", "dir/a.txt", "dir/sub/b.txt"),
                *("other/linkdir/a.txt", "other/linkdir/sub/b.txt", "other/z.txt"),
            ],
        ),
        (["."], ["."]),
        (["./dir"], ["dir"]),
        (["~"], ["../../.."]),
        (["~/.npm"], ["../../../.npm"]),
        (["missing", "dir"], ["dir"]),
        (["*"], [".hidden", "a.txt", "br[1]k", "dir", "other", "{a,b}"]),
        (["br[1]k"], []),
        (["br[[]1]k"], ["br[1]k"]),
        (["br\\[1\\]k"], ["br[1]k"]),
        (["{a,b}"], ["{a,b}"]),
        (["+(dir)"], []),
        (["!dir", "dir"], ["dir"]),
        (["dir", "!dir"], []),
        (["!!dir"], ["dir"]),
        (["#dir"], []),
        (
            ["other/**"],
            [
                *("other", "other/linkdir", "other/linkdir/a.txt", "other/linkdir/skip"),
                *("other/linkdir/skip/x", "other/linkdir/sub", "other/linkdir/sub/b.txt"),
                *("other/round", "other/round/.hidden", "other/round/a.txt"),
                *("other/round/br[1]k", "other/round/br[1]k/x", "other/round/dir"),
                *("other/round/dir/a.txt", "other/round/dir/skip", "other/round/dir/skip/x"),
                *("other/round/dir/sub", "other/round/dir/sub/b.txt", "other/round/{a,b}"),
                *("other/round/{a,b}/x", "other/z.txt"),
            ],
        ),
        (["dir/sub", "dir"], ["dir", "dir/sub"]),
        (["dir", "dir"], ["dir"]),
        ([], []),
    ],
    ids=lambda value: "-".join(value)[:60],
)
def test_paths_are_those_of_a_manifest(
    home: Path, patterns: list[str], expected: list[str]
) -> None:
    workspace = home / "1/2/ws"

    assert resolve_paths(patterns, folder=workspace, workspace=workspace, home=home) == expected


def test_patterns_begin_at_the_working_folder_and_paths_at_the_workspace(home: Path) -> None:
    workspace = home / "1/2/ws"

    def resolved(*patterns: str) -> list[str]:
        return resolve_paths(patterns, folder=workspace / "dir", workspace=workspace, home=home)

    assert resolved("a.txt") == ["dir/a.txt"]
    assert resolved("*") == ["dir/a.txt", "dir/skip", "dir/sub"]
    assert resolved(".") == ["dir"]
    assert resolved(str(workspace)) == ["."]


def test_what_the_library_refuses_is_an_error(home: Path) -> None:
    for pattern in ("../x", "dir/../x", "/a/.."):
        with pytest.raises(InvalidPattern):
            resolve_paths([pattern], folder=home, workspace=home)
    with pytest.raises(FileUnreadable):
        resolve_paths(["1/2/ws/a.txt/x"], folder=home, workspace=home)


def test_githubs_client_resolves_the_same_paths(tmp_path: Path) -> None:
    searches = list(make_searches(tmp_path.resolve(), Random(20_262), count=60))

    theirs = answers(
        "cache_utils.mjs",
        (
            {
                "function": "resolvePaths",
                "folder": str(one.folder),
                "home": str(one.home),
                "workspace": str(one.home / "elsewhere"),
                "arguments": [one.patterns],
            }
            for one in searches
        ),
    )

    for one, answer in zip(searches, theirs, strict=True):
        if "result" in answer:
            paths = resolve_paths(
                one.patterns, folder=one.folder, workspace=one.home / "elsewhere", home=one.home
            )
            assert paths == answer["result"]
    assert sum(bool(answer.get("result")) for answer in theirs) > 20
