"""How the answers of tools are read."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runcache.errors import ToolFailed
from runcache.presets.surroundings import Surroundings
from tests.presets.machines import HOME, around, machine, macos

NOISE = """\
\x1b[33m➤ YN0000: ! Corepack is about to download yarn-4.9.2.tgz\x1b[39m

\x1b]8;;https://yarnpkg.com\x07warning\x1b]8;;\x07 a newer version is out: /see/this
  \x1b[1m/home/runner/.yarn/berry/cache\x1b[22m\x1b[0m \r
"""


def test_lines_have_no_colours_no_blanks_around_and_are_not_empty(tmp_path: Path) -> None:
    lines = around(tmp_path, {"yarn": NOISE}).lines("yarn", "config", "get", "cacheFolder")

    assert lines == [
        "➤ YN0000: ! Corepack is about to download yarn-4.9.2.tgz",
        "warning a newer version is out: /see/this",
        "/home/runner/.yarn/berry/cache",
    ]


def test_the_folder_is_the_last_line_that_is_a_path(tmp_path: Path) -> None:
    here = around(tmp_path, {"yarn": NOISE, "npm": "/first\n/last\nnotice of a new version\n"})

    assert here.ask_folder("yarn", default="") == "/home/runner/.yarn/berry/cache"
    assert here.ask_folder("npm", default="") == "/last"


def test_a_folder_below_the_home_may_be_written_with_a_tilde(tmp_path: Path) -> None:
    assert around(tmp_path, {"pip": "~/.cache/pip\n"}).ask_folder("pip", default="") == (
        f"{HOME}/.cache/pip"
    )


def test_a_folder_may_have_blanks_in_its_name(tmp_path: Path) -> None:
    assert around(tmp_path, {"npm": "/my cache/npm\n"}).ask_folder("npm", default="") == (
        "/my cache/npm"
    )


def test_the_default_counts_where_there_is_no_tool(tmp_path: Path) -> None:
    assert around(tmp_path).ask_folder("npm", "config", default="/default") == "/default"


@pytest.mark.parametrize(
    ("answer", "shown"),
    [("undefined\n", "`undefined`"), ("", "nothing"), ("\n\x1b[0m\n", "nothing")],
)
def test_an_answer_without_a_folder_is_an_error(tmp_path: Path, answer: str, shown: str) -> None:
    with pytest.raises(ToolFailed) as failed:
        around(tmp_path, {"npm": answer}).ask_folder("npm", "config", "get", default="/default")

    assert str(failed.value) == f"`npm config get` answered {shown} instead of a folder"


def test_a_tool_runs_in_the_project_or_in_the_folder_that_is_named(tmp_path: Path) -> None:
    here = around(tmp_path, {"npm": str})

    assert here.lines("npm") == [str(tmp_path)]
    assert here.lines("npm", folder=tmp_path / "web") == [str(tmp_path / "web")]


def test_folders_of_the_user_are_those_of_the_system_unless_a_variable_names_them() -> None:
    names = {"linux": ".cache", "macos": "Library/Caches"}
    on_linux = Surroundings(Path("/project"), machine())
    on_macos = Surroundings(Path("/project"), macos())
    named = Surroundings(Path("/project"), machine(environment={"XDG_CACHE_HOME": "/caches"}))

    assert on_linux.user_folder("XDG_CACHE_HOME", **names) == f"{HOME}/.cache"
    assert on_macos.user_folder("XDG_CACHE_HOME", **names) == f"{HOME}/Library/Caches"
    assert named.user_folder("XDG_CACHE_HOME", **names) == "/caches"


@given(st.text())
def test_no_answer_is_beyond_reading(answer: str) -> None:
    lines = around(Path("/project"), {"tool": answer}).lines("tool")

    assert lines is not None
    assert all(line == line.strip() != "" for line in lines)
