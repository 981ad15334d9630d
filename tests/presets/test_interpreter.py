"""Which Python a project uses, and how it is named."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from runcache.errors import InterpretersDiffer, ToolFailed, ToolMissing
from runcache.presets.interpreter import (
    Interpreter,
    default_interpreter,
    environment_interpreter,
    path_by_uv,
)
from runcache.presets.surroundings import Surroundings
from tests.presets.machines import Answer, around, machine, python_that_is

PYPY = python_that_is("3.10.14", implementation="pypy", release=(7, 3, 17, "final", 0))
NEWER = python_that_is("3.13.1", release=(3, 13, 1, "final", 0), prefix="/opt/python/3.13")


def with_environment(project: Path, *, lock: str | None = None) -> dict[str, Answer]:
    """Make a `.venv` of 3.12.7, and return what its interpreter answers."""
    (project / ".venv/bin").mkdir(parents=True)
    if lock:
        (project / lock).touch()
    return {f"{project}/.venv/bin/python": python_that_is("3.12.7")}


@pytest.mark.parametrize(
    ("answer", "name", "version"),
    [
        (python_that_is("3.12.7"), "cpython-3.12.7", "3.12.7"),
        (
            python_that_is("3.14.0rc2", release=(3, 14, 0, "candidate", 2)),
            "cpython-3.14.0rc2",
            "3.14.0-rc.2",
        ),
        (
            python_that_is("3.15.0a1", release=(3, 15, 0, "alpha", 1)),
            "cpython-3.15.0a1",
            "3.15.0-alpha.1",
        ),
        (
            python_that_is("3.13.0b4", release=(3, 13, 0, "beta", 4)),
            "cpython-3.13.0b4",
            "3.13.0-beta.4",
        ),
        (python_that_is("3.12.7", flags="t"), "cpython-3.12.7t", "3.12.7"),
        (PYPY, "pypy-7.3.17-3.10.14", "7.3.17-3.10.14"),
        (
            python_that_is("3.12.8", implementation="graalpy", release=(25, 0, 1, "final", 0)),
            "graalpy-25.0.1-3.12.8",
            "25.0.1",
        ),
    ],
)
def test_an_interpreter_is_named_with_its_full_version(
    tmp_path: Path, answer: str, name: str, version: str
) -> None:
    interpreter = default_interpreter(around(tmp_path, {"python -I": answer}))

    assert interpreter.name == name
    assert interpreter.as_setup_python_has_it == version


def test_python3_counts_where_there_is_no_python(tmp_path: Path) -> None:
    interpreter = default_interpreter(around(tmp_path, {"python3 -I": NEWER}))

    assert interpreter == Interpreter("cpython", "3.13.1", "3.13.1", "", "/opt/python/3.13")


def test_a_machine_without_python_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ToolMissing) as missing:
        default_interpreter(around(tmp_path))

    assert str(missing.value) == (
        "there is no `python` or `python3` on the `PATH`: its version is part of the key"
    )


@pytest.mark.parametrize("answer", ["", "Python 2.7.18", "{}", "[]", '{"release": 3}'])
def test_an_interpreter_that_cannot_say_what_it_is_is_an_error(tmp_path: Path, answer: str) -> None:
    with pytest.raises(ToolFailed, match=r"`python -I -c …` answered .* instead of what it is"):
        default_interpreter(around(tmp_path, {"python -I": answer}))


def test_the_script_that_asks_an_interpreter_is_not_shown(tmp_path: Path) -> None:
    def run(command: Sequence[str], _: Path, /) -> None:
        raise ToolFailed(command, "ended with status 2: Unknown option: -I")

    with pytest.raises(ToolFailed) as failed:
        default_interpreter(Surroundings(tmp_path, replace(machine(), run=run)))

    assert str(failed.value) == "`python -I -c …` ended with status 2: Unknown option: -I"


def test_an_environment_that_is_still_to_come_is_of_the_python_in_use(tmp_path: Path) -> None:
    here = around(tmp_path, {"python -I": NEWER})

    assert environment_interpreter(here).name == "cpython-3.13.1"


def test_uv_decides_where_the_project_has_its_lock_file(tmp_path: Path) -> None:
    answers: dict[str, Answer] = {
        "python -I": python_that_is("3.12.7"),
        f"uv python find --directory {tmp_path}": "/opt/python/3.13/bin/python\n",
        "/opt/python/3.13/bin/python -I": NEWER,
    }

    before = environment_interpreter(around(tmp_path, answers))
    (tmp_path / "uv.lock").touch()
    after = environment_interpreter(around(tmp_path, answers))

    assert (before.name, after.name) == ("cpython-3.12.7", "cpython-3.13.1")


def test_the_path_decides_where_uv_is_not_installed(tmp_path: Path) -> None:
    (tmp_path / "uv.lock").touch()

    assert environment_interpreter(around(tmp_path, {"python -I": NEWER})).name == "cpython-3.13.1"
    assert path_by_uv(around(tmp_path)) is None


def test_an_environment_of_the_python_in_use_is_fine(tmp_path: Path) -> None:
    answers = with_environment(tmp_path)

    here = around(tmp_path, {**answers, "python -I": python_that_is("3.12.7")})

    assert environment_interpreter(here).name == "cpython-3.12.7"


@pytest.mark.parametrize("lock", [None, "uv.lock"])
def test_an_environment_of_another_python_is_an_error(tmp_path: Path, lock: str | None) -> None:
    answers = with_environment(tmp_path, lock=lock)
    answers |= {"python -I": NEWER, "uv python find": "/usr/bin/python\n", "/usr/bin": NEWER}

    with pytest.raises(InterpretersDiffer) as differ:
        environment_interpreter(around(tmp_path, answers))

    assert str(differ.value) == "`.venv` is of `cpython-3.12.7`, but `cpython-3.13.1` is in use"


def test_an_environment_whose_python_was_removed_does_not_count(tmp_path: Path) -> None:
    with_environment(tmp_path)

    assert environment_interpreter(around(tmp_path, {"python -I": NEWER})).name == "cpython-3.13.1"


def test_uv_that_finds_no_python_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "uv.lock").touch()
    failed = ToolFailed(("uv", "python", "find"), "ended with status 2: no interpreter found")

    with pytest.raises(ToolFailed, match="no interpreter found"):
        environment_interpreter(around(tmp_path, {"uv": failed, "python -I": NEWER}))
