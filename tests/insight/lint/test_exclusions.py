"""Which exclusions have an effect, compared with what the toolkit's search and tar make of them."""

from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runcache.errors import FileUnreadable
from runcache.globs.paths import resolve_paths
from runcache.insight.lint.exclusions import idle_exclusions


def idle(*paths: str, packs_whole_folders: bool = True) -> list[tuple[str, str | None]]:
    """Return the exclusions without effect, and the folder that packs what they exclude."""
    found = idle_exclusions(paths, packs_whole_folders=packs_whole_folders)
    return [
        (paths[one.index], None if one.packed_by is None else paths[one.packed_by]) for one in found
    ]


@pytest.mark.parametrize(
    ("paths", "folder"),
    [
        (["dir", "!dir/sub"], "dir"),
        (["dir/", "!dir/sub"], "dir/"),
        (["dir/**", "!dir/sub/**"], "dir/**"),
        (["./dir", "!dir/*.txt"], "./dir"),
        (["~/.m2", "!/home/runner/.m2/x"], "~/.m2"),
        (["x", "dir", "!dir/**/y"], "dir"),
        (["dir", "!other"], None),
        (["dir/*", "!dir/sub/x"], None),
        (["dir/*", "!dir"], None),
        (["!dir/sub", "dir/*"], None),
        (["**/node_modules", "!**/node_modules/.cache"], None),
        (["~/.npm", "!build/**"], None),
        (["build", "!~/.npm"], None),
        (["!dir"], None),
        (["*.txt", "!a.md"], None),
    ],
)
def test_an_exclusion_has_no_effect(paths: list[str], folder: str | None) -> None:
    *_, exclusion = sorted(paths, key=lambda path: path.startswith("!"))

    assert idle(*paths) == [(exclusion, folder)]


@pytest.mark.parametrize(
    "paths",
    [
        ["dir/*", "!dir/sub"],
        ["dir/*", "! dir/sub/**"],
        ["dir", "!dir"],
        ["dir", "!!dir/sub"],
        ["**/node_modules", "!legacy/node_modules"],
        ["**/node_modules", "!**/legacy/**"],
        ["a*", "!*b"],
        ["~/x", "!x"],  # the workspace may be below the home
        ["${{ inputs.path }}", "!dir/sub"],
        ["dir", "!${{ inputs.path }}"],
        ["~\\.m2\\*", "!~\\.m2\\x"],
        ["Dir/*", "!dir/SUB"],  # the same on Windows
        ["/opt/*", "!opt/x"],
        ["/".join("a" * 30) + "/*", "!" + "/".join("a" * 30) + "/b"],
    ],
)
def test_an_exclusion_has_an_effect_or_may_have_one(paths: list[str]) -> None:
    assert idle(*paths) == []


def test_our_own_client_excludes_below_folders_and_in_any_order() -> None:
    paths = ["!dir/**/*.map", "dir", "!other", "!dir/sub"]

    assert idle(*paths, packs_whole_folders=False) == [("!other", None)]


FILES = ["a/a", "a/b", "a/c/a", "a/c/b", "b/a", "b/c/a/b", "c"]
names = st.sampled_from(["a", "b", "c", "*", "**", "[ab]", "?"])
patterns = st.lists(names, min_size=1, max_size=3).map("/".join)


def packed(paths: list[str], folder: Path) -> set[str]:
    """Return the files that tar packs: those that are listed, and all below listed folders."""
    listed = [
        folder / name for name in resolve_paths(paths, folder=folder, workspace=folder, home=folder)
    ]
    return {
        str(file.relative_to(folder))
        for path in listed
        for file in (path.rglob("*") if path.is_dir() else [path])
        if file.is_file()
    }


@settings(max_examples=200)
@given(
    included=st.lists(patterns, min_size=1, max_size=3),
    excluded=patterns,
    position=st.integers(0, 3),
)
def test_without_an_idle_exclusion_the_same_files_are_packed(
    included: list[str], excluded: str, position: int
) -> None:
    paths = [*included[:position], f"!{excluded}", *included[position:]]
    if not idle(*paths):
        return

    with TemporaryDirectory() as name:
        folder = Path(name).resolve()
        for file in FILES:
            (folder / file).parent.mkdir(parents=True, exist_ok=True)
            (folder / file).touch()

        try:
            without = packed(included, folder)
        except FileUnreadable:  # a path below what is a file
            return
        assert packed(paths, folder) == without
