"""How the versions of languages are named in keys."""

from pathlib import Path

import pytest

from runcache.errors import ToolFailed, ToolHung, ToolMissing
from runcache.presets import toolchains
from tests.presets.machines import Answer, around, python_that_is

FOUND = {"uv python find": "/usr/bin/python3\n"}


def ruby(engine: str, version: str, description: str, interface: str = "3.4.0") -> Answer:
    return f"{engine}\n{version}\n{description}\n{interface}\n"


@pytest.mark.parametrize(
    ("answer", "version"),
    [
        ("Python 3.12.3\n", "3.12.3"),
        ("Python 3.10.14 (39dc8d3c85a7, Aug 27 2024)\n[PyPy 7.3.17 with GCC]\n", "3.10.14"),
        ("Python 3.14.0rc2+\n", "3.14.0rc2%2B"),
        ("Jython 2.7\n", "unknown"),
        ("", "unknown"),
    ],
)
def test_setup_uv_names_the_python_that_uv_finds(tmp_path: Path, answer: str, version: str) -> None:
    here = around(tmp_path, {**FOUND, "/usr/bin/python3 --version": answer})

    assert toolchains.python_by_uv(here) == version


def test_setup_uv_has_no_version_where_uv_is_missing_or_finds_none(tmp_path: Path) -> None:
    failed = ToolFailed(("uv",), "ended with status 2")
    broken = ToolFailed(("/usr/bin/python3",), "ended with status 1")

    assert toolchains.python_by_uv(around(tmp_path)) == "unknown"
    assert toolchains.python_by_uv(around(tmp_path, {"uv python find": failed})) == "unknown"
    assert toolchains.python_by_uv(around(tmp_path, {**FOUND, "/usr/bin": broken})) == "unknown"


def test_a_hanging_uv_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ToolHung):
        toolchains.python_by_uv(around(tmp_path, {"uv": ToolHung(("uv",), seconds=60)}))


@pytest.mark.parametrize(
    ("answer", "version"),
    [
        ("go version go1.24.9 linux/amd64\n", "1.24.9"),
        ("go: downloading go1.25rc1\ngo version go1.25rc1 linux/arm64\n", "1.25rc1"),
        ("go version devel go1.26-b6e0ee49 Tue Oct 14 linux/amd64\n", "1.26-b6e0ee49"),
    ],
)
def test_setup_go_names_the_version_that_go_says(tmp_path: Path, answer: str, version: str) -> None:
    assert toolchains.go(around(tmp_path, {"go version": answer})) == version


@pytest.mark.parametrize(
    ("answer", "name", "interface"),
    [
        (ruby("ruby", "3.3.6", "ruby 3.3.6 (2024-11-05) [x86_64-linux]"), "ruby-3.3.6", ""),
        (ruby("ruby", "2.7.8", "ruby 2.7.8p225 (2023-03-30)"), "ruby-2.7.8", ""),
        (ruby("ruby", "3.4.0", "ruby 3.4.0preview2 (2024-10-07)"), "ruby-3.4.0-preview2", ""),
        (ruby("ruby", "3.4.0", "ruby 3.4.0rc1 (2024-12-12)"), "ruby-3.4.0-rc1", ""),
        (
            ruby("ruby", "3.5.0", "ruby 3.5.0dev (2025-01-01T00:00:00Z master)", "3.5.0+0"),
            "ruby-head",
            "-ABI-3.5.0+0",
        ),
        (ruby("jruby", "10.0.2.0", "jruby 10.0.2.0 (3.4.2)"), "jruby-10.0.2.0", ""),
        (ruby("jruby", "10.1.0.0-SNAPSHOT", "jruby 10.1.0.0-SNAPSHOT"), "jruby-head", ""),
        (ruby("truffleruby", "24.1.1", "truffleruby 24.1.1"), "truffleruby-24.1.1", ""),
        (
            ruby("truffleruby", "25.0.0-dev-0a1b2c", "truffleruby 25.0.0-dev", "3.3.5.7"),
            "truffleruby-head",
            "-ABI-3.3.5.7",
        ),
    ],
)
def test_setup_ruby_names_engine_and_version_and_the_interface_of_a_head(
    tmp_path: Path, answer: str, name: str, interface: str
) -> None:
    here = around(tmp_path, {"ruby -e": answer})

    assert toolchains.ruby(here) == name
    assert toolchains.ruby_interface(here) == interface


def test_a_language_that_is_not_installed_is_an_error(tmp_path: Path) -> None:
    for find, name in ((toolchains.go, "go"), (toolchains.ruby, "ruby")):
        with pytest.raises(ToolMissing, match=f"there is no `{name}` on the `PATH`"):
            find(around(tmp_path))


def test_a_version_that_cannot_be_read_is_an_error(tmp_path: Path) -> None:
    answers: dict[str, Answer] = {"go version": "version unknown\n", "ruby -e": "ruby\n"}

    with pytest.raises(ToolFailed, match="`go version` answered `version unknown`"):
        toolchains.go(around(tmp_path, answers))
    with pytest.raises(ToolFailed, match="`ruby -e …` answered `ruby`"):
        toolchains.ruby(around(tmp_path, answers))


def test_an_environment_is_named_by_its_python_and_by_where_both_lie(tmp_path: Path) -> None:
    here = around(tmp_path, {"python -I": python_that_is("3.12.7")})
    there = around(tmp_path / "moved", {"python -I": python_that_is("3.12.7")})
    other = around(tmp_path, {"python -I": python_that_is("3.12.7", prefix="/usr")})

    names = [toolchains.environment(place) for place in (here, there, other)]

    assert {name[:15] for name in names} == {"cpython-3.12.7-"}
    assert len(set(names)) == 3
    assert {len(name) for name in names} == {23}
