"""Yarn 1 and its successors: whose cache is where, and when an old one is of use."""

from pathlib import Path

import pytest

from runcache.errors import ToolFailed
from runcache.presets import resolve, yarn
from runcache.presets.dependencies import Dependencies
from runcache.presets.surroundings import Surroundings
from tests.presets.machines import HOME, Answer, around, machine, macos

LOCK = Dependencies(("yarn.lock",), "…")
LOCKS = Dependencies(("**/yarn.lock",), "…")
CLASSIC: dict[str, Answer] = {
    "yarn --version": "1.22.22\n",
    "yarn cache dir": "/caches/yarn/v6\n",
    "yarn config get enableGlobalCache": "undefined\n",
}
BERRY: dict[str, Answer] = {
    "yarn --version": "4.9.2\n",
    "yarn config get cacheFolder": "/caches/berry\n",
    "yarn config get enableGlobalCache": "true\n",
}
LOCAL: dict[str, Answer] = {
    **BERRY,
    "yarn config get cacheFolder": lambda folder: f"{folder}/.yarn/cache\n",
    "yarn config get enableGlobalCache": "\x1b[33mfalse\x1b[39m\n",
}


def projects(folder: Path, *names: str) -> Path:
    for name in names:
        (folder / name).mkdir(parents=True, exist_ok=True)
        (folder / name / "yarn.lock").write_text("# yarn lockfile v1\n")
    return folder


def test_each_generation_is_asked_in_its_own_words(tmp_path: Path) -> None:
    projects(tmp_path, ".")

    assert yarn.folders(around(tmp_path, CLASSIC), LOCK) == ("/caches/yarn/v6",)
    assert yarn.folders(around(tmp_path, BERRY), LOCK) == ("/caches/berry",)


def test_each_project_is_asked_and_each_cache_counts_once(tmp_path: Path) -> None:
    projects(tmp_path, "a", "b")

    assert yarn.folders(around(tmp_path, BERRY), LOCKS) == ("/caches/berry",)
    assert yarn.folders(around(tmp_path, LOCAL), LOCKS) == (
        f"{tmp_path}/a/.yarn/cache",
        f"{tmp_path}/b/.yarn/cache",
    )


def test_the_lock_file_tells_the_generation_where_yarn_is_missing(tmp_path: Path) -> None:
    classic = projects(tmp_path / "classic", ".")
    berry = projects(tmp_path / "berry", ".")
    (berry / "yarn.lock").write_text("__metadata:\n  version: 8\n")

    assert yarn.folders(around(classic), LOCK) == (f"{HOME}/.cache/yarn/v6",)
    assert yarn.folders(around(berry), LOCK) == (f"{HOME}/.yarn/berry/cache",)
    assert yarn.folders(Surroundings(classic, macos()), LOCK) == (f"{HOME}/Library/Caches/Yarn/v6",)


def test_a_yarn_without_a_version_is_an_error(tmp_path: Path) -> None:
    projects(tmp_path, ".")

    with pytest.raises(ToolFailed, match="`yarn --version` answered nothing"):
        yarn.folders(around(tmp_path, {"yarn": "\n"}), LOCK)


@pytest.mark.parametrize(
    ("answers", "restores"), [(CLASSIC, False), (BERRY, False), (LOCAL, True), ({}, False)]
)
def test_an_older_cache_is_restored_if_the_project_has_its_own(
    tmp_path: Path, answers: dict[str, Answer], *, restores: bool
) -> None:
    projects(tmp_path, ".")

    (recipe,) = resolve("yarn", project=tmp_path, machine=machine(answers))

    assert recipe.restore_keys == (("node-cache-Linux-x64-yarn",) if restores else ())


def test_no_older_cache_is_restored_if_git_may_have_that_of_a_project(tmp_path: Path) -> None:
    projects(tmp_path, "a", "b")
    here = around(tmp_path, LOCAL)

    before = yarn.keeps_caches_in_projects(here, LOCKS)
    (tmp_path / "b/.yarn/cache").mkdir(parents=True)
    after = yarn.keeps_caches_in_projects(here, LOCKS)

    assert (before, after) == (True, False)
