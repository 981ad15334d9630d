"""What `auto` makes of the files of a project."""

import json
from pathlib import Path

import pytest

from runcache.errors import FileUnreadable, InvalidPreset
from runcache.presets import PRESETS, detect
from runcache.presets.table import Ecosystem

PROJECT = '[project]\nname = "hello"\n'
SETTINGS = "[tool.ruff]\nline-length = 100\n"


def project_with(folder: Path, *names: str, **contents: str) -> Path:
    for name in names:
        (folder / name).touch()
    for name, content in contents.items():
        (folder / name.replace("_", ".")).write_text(content)
    return folder


@pytest.mark.parametrize(
    ("mark", "preset"),
    [
        (mark, preset.name)
        for preset in PRESETS.values()
        for mark in preset.marks
        if mark != "pyproject.toml"
    ],
)
def test_each_mark_tells_its_preset(tmp_path: Path, mark: str, preset: str) -> None:
    assert detect(project_with(tmp_path, mark)) == (preset,)


def test_every_preset_but_venv_can_be_detected() -> None:
    assert [name for name, preset in PRESETS.items() if not preset.marks] == ["venv"]


def test_a_project_with_several_ecosystems_has_a_preset_for_each(tmp_path: Path) -> None:
    project = project_with(tmp_path, "Cargo.lock", "uv.lock", "pnpm-lock.yaml", "go.mod")

    assert detect(project) == ("pnpm", "uv", "go", "cargo")


@pytest.mark.parametrize(
    ("names", "found", "presets"),
    [
        (("package-lock.json", "yarn.lock"), "`package-lock.json`, `yarn.lock`", "`npm`, `yarn`"),
        (("uv.lock", "poetry.lock"), "`poetry.lock`, `uv.lock`", "`poetry`, `uv`"),
        (("pom.xml", "build.gradle.kts"), "`pom.xml`, `build.gradle.kts`", "`maven`, `gradle`"),
    ],
)
def test_several_package_managers_of_one_ecosystem_are_an_error_that_names_them(
    tmp_path: Path, names: tuple[str, ...], found: str, presets: str
) -> None:
    with pytest.raises(InvalidPreset) as undecided:
        detect(project_with(tmp_path, "go.mod", *names))

    assert str(undecided.value) == (
        f"several package managers could be meant by {found} in `{tmp_path}`"
    )
    assert undecided.value.hint is not None
    assert presets in undecided.value.hint


def test_two_files_of_one_package_manager_are_not_several(tmp_path: Path) -> None:
    project = project_with(tmp_path, "package-lock.json", "npm-shrinkwrap.json", "gems.locked")

    assert detect(project) == ("npm", "bundler")


@pytest.mark.parametrize(
    ("package", "preset"),
    [
        ({"packageManager": "pnpm@10.1.0+sha512.abc"}, "pnpm"),
        ({"packageManager": "npm"}, "npm"),
        ({"devEngines": {"packageManager": {"name": "npm"}}}, "npm"),
        ({"devEngines": {"packageManager": [{"name": "bun"}, {"name": "pnpm"}]}}, "pnpm"),
        ({"devEngines": {"packageManager": {"name": "npm"}}, "packageManager": "pnpm@9"}, "npm"),
        ({"packageManager": "bun@1.2.0"}, "yarn"),
        ({"packageManager": "uv@1.2.0"}, "yarn"),
        ({"packageManager": 4, "devEngines": {"packageManager": [{"name": []}, 1]}}, "yarn"),
        ({"devEngines": None}, "yarn"),
        ([], "yarn"),
    ],
)
def test_package_json_names_the_package_manager_before_lock_files(
    tmp_path: Path, package: object, preset: str
) -> None:
    project = project_with(tmp_path, "yarn.lock", package_json=json.dumps(package))

    assert detect(project) == (preset,)


def test_a_package_json_that_cannot_be_read_names_nothing(tmp_path: Path) -> None:
    for content in ("{", "[" * 100_000):
        assert detect(project_with(tmp_path, "yarn.lock", package_json=content)) == ("yarn",)


def test_package_json_decides_between_lock_files(tmp_path: Path) -> None:
    package = json.dumps({"packageManager": "yarn@4.9.2"})
    project = project_with(tmp_path, "yarn.lock", "package-lock.json", package_json=package)

    assert detect(project) == ("yarn",)


@pytest.mark.parametrize("lock", ["uv.lock", "poetry.lock", "Pipfile.lock"])
def test_requirements_and_a_project_file_do_not_speak_against_a_lock_file(
    tmp_path: Path, lock: str
) -> None:
    project = project_with(tmp_path, lock, "requirements.txt", pyproject_toml=PROJECT)

    assert detect(project) == tuple(
        name for name, preset in PRESETS.items() if lock in preset.marks
    )


def test_a_project_of_python_without_a_lock_file_is_installed_by_pip(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()

    assert detect(project_with(tmp_path / "a", pyproject_toml=PROJECT)) == ("pip",)
    assert detect(project_with(tmp_path / "b", "requirements.txt")) == ("pip",)


@pytest.mark.parametrize("content", [SETTINGS, "[project", ""])
def test_a_pyproject_that_only_sets_up_tools_is_no_project(tmp_path: Path, content: str) -> None:
    project = project_with(tmp_path, "go.mod", pyproject_toml=content)

    assert detect(project) == ("go",)


def test_without_any_mark_the_error_says_what_was_looked_for(tmp_path: Path) -> None:
    (tmp_path / "below").mkdir()
    project_with(tmp_path / "below", "package-lock.json")

    with pytest.raises(InvalidPreset) as nothing:
        detect(tmp_path)

    assert str(nothing.value).startswith(f"`{tmp_path}` has none of the files that tell which")
    for preset in PRESETS.values():
        assert all(f"`{mark}`" in str(nothing.value) for mark in preset.marks)


def test_a_folder_that_is_not_there_has_no_files(tmp_path: Path) -> None:
    with pytest.raises(InvalidPreset):
        detect(tmp_path / "missing")


def test_a_folder_that_cannot_be_listed_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "loop").symlink_to(tmp_path / "loop")

    with pytest.raises(FileUnreadable):
        detect(tmp_path / "loop")


def test_each_ecosystem_has_its_presets_together() -> None:
    ecosystems = [preset.ecosystem for preset in PRESETS.values()]

    assert list(dict.fromkeys(ecosystems)) == list(Ecosystem)
    assert sorted(ecosystems, key=list(Ecosystem).index) == ecosystems
