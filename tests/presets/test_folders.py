"""Where package managers keep things: what they say, and what counts where they are missing."""

from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from runcache.errors import ToolFailed
from runcache.presets import folders
from runcache.presets.dependencies import Dependencies
from runcache.presets.surroundings import Surroundings
from tests.presets.machines import HOME, Answer, around, machine, macos

Find = Callable[[Surroundings, Dependencies], tuple[str, ...]]

NOTHING = Dependencies((), "")
LOCKS = Dependencies(("**/poetry.lock",), "…")


def find(
    finder: Find,
    answers: Mapping[str, Answer] | None = None,
    *,
    project: Path = Path("/project"),
    dependencies: Dependencies = NOTHING,
    environment: Mapping[str, str] | None = None,
) -> list[str]:
    here = Surroundings(project, machine(answers, environment=environment))
    return list(finder(here, dependencies))


@pytest.mark.parametrize(
    ("finder", "linux", "apple"),
    [
        (folders.npm, ".npm", ".npm"),
        (folders.pnpm, ".local/share/pnpm/store", "Library/pnpm/store"),
        (folders.pip, ".cache/pip", "Library/Caches/pip"),
        (folders.pipenv, ".local/share/virtualenvs", ".local/share/virtualenvs"),
        (folders.uv, ".cache/uv", ".cache/uv"),
        (folders.maven, ".m2/repository", ".m2/repository"),
        (folders.maven_wrapper, ".m2/wrapper/dists", ".m2/wrapper/dists"),
        (folders.gradle, ".gradle/caches", ".gradle/caches"),
        (folders.gradle_wrapper, ".gradle/wrapper", ".gradle/wrapper"),
        (folders.nuget, ".nuget/packages/", ".nuget/packages/"),
    ],
)
def test_the_documented_folder_counts_where_no_tool_says_another(
    finder: Find, linux: str, apple: str
) -> None:
    on_macos = Surroundings(Path("/project"), macos())

    assert find(finder) == [f"{HOME}/{linux}"]
    assert list(finder(on_macos, NOTHING)) == [f"{HOME}/{apple}"]


@pytest.mark.parametrize(
    ("finder", "command"),
    [
        (folders.npm, "npm config get cache"),
        (folders.pnpm, "pnpm store path --silent"),
        (folders.pip, "pip cache dir"),
        (folders.uv, "uv cache dir"),
    ],
)
def test_what_a_tool_says_counts_before_its_default(finder: Find, command: str) -> None:
    assert find(finder, {command: "/caches/of its own\n"}) == ["/caches/of its own"]
    with pytest.raises(ToolFailed, match=f"`{command}` answered `undefined`"):
        find(finder, {command: "undefined\n"})


@pytest.mark.parametrize(
    ("finder", "environment", "paths"),
    [
        (folders.pipenv, {"WORKON_HOME": "/envs", "XDG_DATA_HOME": "/data"}, ["/envs"]),
        (folders.pipenv, {"XDG_DATA_HOME": "/data"}, ["/data/virtualenvs"]),
        (folders.pipenv, {"PIPENV_VENV_IN_PROJECT": "1"}, ["/project/.venv"]),
        (folders.pipenv, {"PIPENV_VENV_IN_PROJECT": "0"}, [f"{HOME}/.local/share/virtualenvs"]),
        (folders.gradle, {"GRADLE_USER_HOME": "/gradle"}, ["/gradle/caches"]),
        (folders.gradle_wrapper, {"GRADLE_USER_HOME": "/gradle"}, ["/gradle/wrapper"]),
        (
            folders.cargo,
            {"CARGO_HOME": "/c"},
            ["/c/bin/", "/c/registry/index/", "/c/registry/cache/", "/c/git/db/", "target/"],
        ),
        (
            folders.sbt,
            {"COURSIER_CACHE": "/coursier"},
            [
                f"{HOME}/.ivy2/cache",
                f"{HOME}/.sbt",
                "/coursier",
                f"!{HOME}/.sbt/*.lock",
                f"!{HOME}/**/ivydata-*.properties",
            ],
        ),
    ],
)
def test_tools_that_cannot_be_asked_are_believed_to_follow_their_variables(
    finder: Find, environment: Mapping[str, str], paths: list[str]
) -> None:
    assert find(finder, environment=environment) == paths


def test_each_project_of_poetry_is_asked_and_each_folder_counts_once(tmp_path: Path) -> None:
    for name in ("a", "b", "c"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "poetry.lock").touch()

    def settings(folder: Path) -> str:
        in_project = "true" if folder.name == "b" else "null"
        path = "/elsewhere # not a comment" if folder.name == "c" else "{cache-dir}/virtualenvs"
        return (
            "\x1b[33ma warning\x1b[39m\n"
            'cache-dir = "/caches/pypoetry"\n'
            f"virtualenvs.in-project = {in_project}\n"
            f'virtualenvs.path = "{path}"  # /caches/pypoetry/virtualenvs\n'
        )

    found = find(
        folders.poetry,
        {"poetry config --list": settings},
        project=tmp_path,
        dependencies=LOCKS,
    )

    assert found == [
        "/caches/pypoetry/virtualenvs",
        f"{tmp_path}/b/.venv",
        "/elsewhere # not a comment",
    ]


def test_the_default_of_poetry_counts_where_it_is_missing(tmp_path: Path) -> None:
    (tmp_path / "poetry.lock").touch()

    assert find(folders.poetry, project=tmp_path, dependencies=LOCKS) == [
        f"{HOME}/.cache/pypoetry/virtualenvs"
    ]


@pytest.mark.parametrize("answer", ["", 'cache-dir = "/x"\n', "virtualenvs.path = null\n"])
def test_settings_of_poetry_that_name_no_folder_are_an_error(tmp_path: Path, answer: str) -> None:
    (tmp_path / "poetry.lock").touch()

    with pytest.raises(ToolFailed, match=r"`poetry config --list` answered .* its settings"):
        find(folders.poetry, {"poetry": answer}, project=tmp_path, dependencies=LOCKS)


def test_a_cache_that_go_has_turned_off_is_left_out() -> None:
    assert find(folders.go, {"go env GOMODCACHE GOCACHE": "/mod\noff\n"}) == ["/mod"]


def test_go_without_any_cache_is_an_error() -> None:
    with pytest.raises(ToolFailed, match="`go env GOMODCACHE GOCACHE` answered nothing"):
        find(folders.go, {"go env": "\n"})


def test_the_folder_of_nuget_is_found_among_others() -> None:
    answer = "info : http-cache: /caches/http\ninfo : global-packages: /my packages/nuget/\n"

    assert find(folders.nuget, {"dotnet nuget locals all --list": answer}) == [
        "/my packages/nuget/"
    ]
    with pytest.raises(ToolFailed, match="instead of the folder `global-packages`"):
        find(folders.nuget, {"dotnet": "http-cache: /caches/http\n"})


def test_folders_in_the_project_are_relative_but_for_the_environment(tmp_path: Path) -> None:
    here = around(tmp_path)

    assert folders.bundler(here, NOTHING) == ("vendor/bundle",)
    assert folders.venv(here, NOTHING) == (f"{tmp_path}/.venv",)
    assert folders.cargo(here, NOTHING)[-1] == "target/"
