from pathlib import Path

import pytest

from tests.insight.lint.workflows import CHECKOUT, found_rules, job


def setup(action: str, inputs: str) -> str:
    return job(f"{CHECKOUT}- uses: {action}\n  with: {{{inputs}}}\n")


def hashed(patterns: str) -> str:
    return job(
        f"{CHECKOUT}- uses: actions/cache@v4\n"
        f'  with: {{path: x, key: "x-${{{{ hashFiles({patterns}) }}}}", restore-keys: x}}\n'
    )


@pytest.mark.parametrize(
    ("action", "inputs", "present", "absent"),
    [
        ("actions/setup-node@v4", "cache: npm", "package-lock.json", "web/package-lock.json"),
        ("actions/setup-node@v4", "cache: npm", "yarn.lock", "pnpm-lock.yaml"),
        ("actions/setup-node@v4", "cache: pnpm", "pnpm-lock.yaml", "package-lock.json"),
        ("actions/setup-python@v5", "cache: pip", "a/pyproject.toml", "setup.py"),
        ("actions/setup-python@v5", "cache: poetry", "a/poetry.lock", "pyproject.toml"),
        ("actions/setup-java@v4", "cache: maven", "a/pom.xml", "build.gradle"),
        ("actions/setup-java@v4", "cache: gradle", "a/build.gradle.kts", "pom.xml"),
        ("actions/setup-go@v5", "go-version: stable", "go.mod", "a/go.mod"),
        ("actions/setup-dotnet@v4", "cache: true", "packages.lock.json", "a.csproj"),
        ("astral-sh/setup-uv@v6", "enable-cache: true", "uv.lock", "lock"),
    ],
)
def test_an_action_needs_the_files_that_it_looks_for(
    tmp_path: Path, action: str, inputs: str, present: str, absent: str
) -> None:
    text = setup(action, inputs)

    assert found_rules(tmp_path / "without", text, **{absent: ""}) == {"missing-lock-file"}
    assert found_rules(tmp_path / "with", text, **{present: ""}) == set()


@pytest.mark.parametrize(
    "inputs",
    [
        "cache: '${{ inputs.cache }}'",
        "cache: other",
        "cache: npm, cache-dependency-path: '${{ inputs.path }}'",
    ],
)
def test_an_action_whose_files_are_not_known_is_left_alone(tmp_path: Path, inputs: str) -> None:
    assert found_rules(tmp_path, setup("actions/setup-node@v4", inputs)) == set()


def test_files_that_are_named_and_not_there_are_found_once(tmp_path: Path) -> None:
    text = setup("actions/setup-node@v4", "cache: npm, cache-dependency-path: x.lock")

    assert found_rules(tmp_path, text) == {"hash-of-nothing"}
    assert found_rules(tmp_path, text, **{"x.lock": ""}) == set()


@pytest.mark.parametrize(
    ("patterns", "files", "is_fault"),
    [
        ("'package.json'", ["package.json"], True),
        ("'package.json'", ["package.json", "package-lock.json"], True),
        ("'web/package.json'", ["web/package.json", "yarn.lock"], True),
        ("'Gemfile'", ["Gemfile"], True),
        ("'**/Cargo.toml'", ["a/Cargo.toml"], True),
        ("'pyproject.toml', 'setup.py'", ["pyproject.toml", "uv.lock"], True),
        ("'pyproject.toml'", ["pyproject.toml"], False),
        ("'pyproject.toml'", ["pyproject.toml", "other/uv.lock"], False),
        ("'package.json', 'package-lock.json'", ["package.json", "package-lock.json"], False),
        ("'package*.json'", ["package.json"], False),
        ("'go.mod'", ["go.mod", "go.sum"], False),
        ("'Makefile'", ["Makefile", "package-lock.json"], False),
    ],
)
def test_the_hash_has_to_be_of_what_pins_the_dependencies(
    tmp_path: Path, patterns: str, files: list[str], *, is_fault: bool
) -> None:
    found = found_rules(tmp_path, hashed(patterns), **dict.fromkeys(files, ""))

    assert found == ({"unlocked-hash"} if is_fault else set())


@pytest.mark.parametrize(
    ("text", "is_fault"),
    [
        ("requests\n", True),
        ("requests>=2\n", True),
        ("requests==2.*\n", True),
        ("# pinned\nrequests==2.32.3\nflask[async] >= 3 ; python_version > '3'\n", True),
        ("requests==2.32.3 # why\n", False),
        ("requests===2.32.3; sys_platform == 'linux'\n", False),
        ("requests @ https://example.com/requests.whl\n", False),
        ("git+https://example.com/requests\n", False),
        ("-r base.txt\n--index-url x\n-e .\n./local\n\n  # nothing\n", False),
        ("-c constraints.txt\nrequests\n", False),
        ("requests>=2 \\\n  --hash=sha256:0\n", False),
        ("", False),
    ],
)
def test_requirements_have_to_name_a_release(tmp_path: Path, text: str, *, is_fault: bool) -> None:
    files = {"requirements-dev.txt": text}

    found = found_rules(tmp_path, hashed("'requirements*.txt'"), **files)

    assert found == ({"unpinned-dependencies"} if is_fault else set())


def test_requirements_beside_a_lock_file_need_not_be_pinned(tmp_path: Path) -> None:
    files = {"requirements.txt": "requests\n", "poetry.lock": ""}

    assert found_rules(tmp_path, hashed("'requirements.txt', 'poetry.lock'"), **files) == set()


def test_of_what_an_action_finds_by_itself_only_the_project_s_own_requirements_count(
    tmp_path: Path,
) -> None:
    files = {"docs/requirements.txt": "sphinx\n"}
    own, chosen = "cache: pip", "cache: pip, cache-dependency-path: docs/requirements.txt"

    assert found_rules(tmp_path, setup("actions/setup-python@v5", own), **files) == set()
    assert found_rules(tmp_path, setup("actions/setup-python@v5", chosen), **files) == {
        "unpinned-dependencies"
    }


def test_a_path_that_github_refuses_is_for_another_rule(tmp_path: Path) -> None:
    inputs = "cache: pip, cache-dependency-path: ../requirements.txt"

    assert found_rules(tmp_path, setup("actions/setup-python@v5", inputs)) == {"hash-of-nothing"}


def test_requirements_that_are_no_text_are_left_alone(tmp_path: Path) -> None:
    (tmp_path / "requirements.txt").write_bytes(b"\xff\xfe\n")

    assert found_rules(tmp_path, hashed("'requirements.txt'")) == set()
