from pathlib import Path

import pytest

from tests.insight.lint.workflows import found_rules

WORKFLOW = """\
on: push
jobs:
  build:
    runs-on: {runs_on}
    strategy:
      matrix:
        os: [ubuntu-latest, macos-latest]
        python: ['3.12', '3.13']
        arch: [x64, arm64]
    env:
      SYSTEM: ${{{{ runner.os }}}}
    steps:
      - uses: actions/setup-python@v5
        id: python
        with: {{{setup}}}
      - uses: actions/cache@v4
        with:
          path: {path}
          key: {key}
          restore-keys: x
          {more}
"""


def rules(
    folder: Path,
    key: str,
    *,
    path: str = ".venv",
    runs_on: str = "ubuntu-latest",
    setup: str = "check-latest: true",
    more: str = "",
) -> set[str]:
    text = WORKFLOW.format(key=key, path=path, runs_on=runs_on, setup=setup, more=more)
    return found_rules(folder, text)


@pytest.mark.parametrize(
    ("key", "is_fault"),
    [
        ("x-${{ hashFiles('a') }}", True),
        ("x-${{ matrix.arch }}-${{ runner.arch }}-${{ hashFiles('a') }}", True),
        ("x-${{ github.ref }}-${{ github.sha }}", True),
        ("x-${{ runner.os }}", False),
        ("x-${{ env.SYSTEM }}", False),
        ("x-${{ runner.os == 'Linux' && 'a' || 'b' }}", False),
        ("x-${{ matrix.os }}", False),
        ("x-darwin", False),
        ("x-${{ env.NOWHERE }}", False),
        ("x-${{ steps.system.outputs.name }}", False),
        ("x-${{ inputs.key }}", False),
    ],
)
def test_a_key_of_files_for_one_system_has_to_name_it(
    tmp_path: Path, key: str, *, is_fault: bool
) -> None:
    assert ("key-without-os" in rules(tmp_path, key)) is is_fault
    assert "key-without-os" not in rules(tmp_path, key, path="~/.npm")
    assert "key-without-os" not in rules(tmp_path, key, path="build")


@pytest.mark.parametrize(
    ("key", "is_fault"),
    [
        ("x-${{ hashFiles('a') }}", True),
        ("x-${{ matrix.python }}-${{ github.sha }}", True),
        ("x-linux-${{ hashFiles('a') }}", True),
        ("x-${{ matrix.os }}", False),
        ("x-${{ startsWith(matrix.os, 'ubuntu') && 'l' || 'm' }}", False),
        ("x-${{ runner.arch }}", False),
        ("x-${{ env.SYSTEM }}", False),
        ("x-${{ env.NOWHERE }}", False),
    ],
)
@pytest.mark.parametrize("path", [".venv", "~/.npm", "build"])
def test_jobs_on_several_systems_have_to_have_several_keys(
    tmp_path: Path, key: str, path: str, *, is_fault: bool
) -> None:
    runs_on = "${{ matrix.os }}"

    assert ("key-without-os" in rules(tmp_path, key, path=path, runs_on=runs_on)) is is_fault
    assert "key-without-os" not in rules(
        tmp_path, key, path=path, runs_on=runs_on, more="enableCrossOsArchive: true"
    )


@pytest.mark.parametrize(
    ("key", "is_fault"),
    [
        ("x", True),
        ("x-${{ runner.os }}-${{ matrix.python }}-3", True),
        ("x-${{ github.ref }}-${{ github.job }}", True),
        ("x-${{ hashFiles('a') }}", False),
        ("x-${{ hashFiles('a') || 'none' }}", False),
        ("x-${{ github.sha }}", False),
        ("x-${{ github.run_id }}", False),
        ("x-${{ github.event.number }}", False),
        ("x-${{ steps.hash.outputs.value }}", False),
        ("x-${{ env.NOWHERE }}", False),
        ("x-${{ vars.GENERATION }}", False),
        ("x-3fa9b1c", False),
        ("x-${{ broken", False),
    ],
)
def test_a_key_of_dependencies_has_to_change_with_them(
    tmp_path: Path, key: str, *, is_fault: bool
) -> None:
    assert ("key-without-hash" in rules(tmp_path, f'"{key}"')) is is_fault
    assert "key-without-hash" not in rules(tmp_path, f'"{key}"', path="build")


@pytest.mark.parametrize(
    ("setup", "key", "is_fault"),
    [
        ("python-version: '3.13'", "x-${{ hashFiles('a') }}", True),
        ("python-version: '${{ matrix.python }}'", "x-${{ github.sha }}", True),
        ("python-version: '${{ inputs.python }}'", "x-${{ github.sha }}", True),
        ("python-version-file: .python-version", "x-${{ hashFiles('a') }}", True),
        ("python-version: '3.13'", "x-3.13-${{ hashFiles('a') }}", False),
        ("python-version: '3.13'", "x-py313-${{ hashFiles('a') }}", False),
        ("python-version: '${{ matrix.python }}'", "x-${{ matrix.python }}", False),
        ("python-version: '${{ matrix.python }}'", "x-${{ format('p{0}', matrix.python) }}", False),
        ("python-version: '3.13'", "x-${{ steps.python.outputs.python-version }}", False),
        ("python-version: '3.13'", "x-${{ env.pythonLocation }}", False),
        ("python-version: '${{ inputs.python }}'", "x-${{ inputs.python }}", False),
        ("python-version-file: .python-version", "x-${{ hashFiles('.python-version') }}", False),
        ("python-version-file: .python-version", "x-${{ hashFiles('**') }}", False),
        ("python-version-file: pyproject.toml", "x-${{ hashFiles('*/pyproject.toml') }}", False),
        ("python-version-file: x", "x-${{ hashFiles(github.event.name) }}", False),
        ('python-version: "3.12\\n3.13"', "x-${{ hashFiles('a') }}", False),
    ],
)
def test_installed_packages_are_for_the_version_that_the_job_chooses(
    tmp_path: Path, setup: str, key: str, *, is_fault: bool
) -> None:
    assert ("key-without-version" in rules(tmp_path, key, setup=setup)) is is_fault
    assert "key-without-version" not in rules(tmp_path, key, setup=setup, path="~/.cache/pip")


@pytest.mark.parametrize(
    ("key", "is_fault"),
    [
        ("x-${{ hashFiles('a') }}", True),
        ("x-${{ matrix.os }}", True),
        ("x-${{ matrix.python }}", False),
        ("x-${{ matrix.python == '3.13' && 'new' || 'old' }}", False),
        ("x-${{ env.NOWHERE }}", False),
    ],
)
def test_without_a_step_that_chooses_it_the_version_may_be_a_value_of_the_matrix(
    tmp_path: Path, key: str, *, is_fault: bool
) -> None:
    assert ("key-without-version" in rules(tmp_path, key)) is is_fault


def test_without_any_of_these_the_version_is_that_of_the_machine(
    tmp_path: Path,
) -> None:
    text = """\
on: push
jobs:
  build:
    runs-on: ubuntu-latest
    steps:
      - uses: actions/cache@v4
        with: {path: .venv, key: "x-${{ runner.os }}-${{ hashFiles('a') }}", restore-keys: x}
"""

    assert found_rules(tmp_path, text) == set()


def test_a_version_of_another_interpreter_does_not_matter(tmp_path: Path) -> None:
    key = "x-${{ runner.os }}-${{ matrix.python }}-${{ hashFiles('a') }}"

    assert "key-without-version" not in rules(
        tmp_path, key, path="node_modules", setup="python-version: 3.x"
    )
