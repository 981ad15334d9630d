"""The folders that package managers use, as the actions name them.

A tool that can be asked is asked; where there is none, its documented default counts. The version
of an entry is made of these texts, so they are the actions' to the letter: `~/` where a recipe has
it, and a slash at the end where a tool says one.
"""

import contextlib
import json
import re
from collections.abc import Iterable, Iterator
from typing import Final

from runcache.presets.dependencies import Dependencies, projects_of
from runcache.presets.interpreter import ENVIRONMENT
from runcache.presets.surroundings import Surroundings, unreadable

Paths = tuple[str, ...]

_POETRY: Final = ("poetry", "config", "--list")
_NUGET: Final = ("dotnet", "nuget", "locals", "all", "--list", "--force-english-output")


def npm(around: Surroundings, _: Dependencies) -> Paths:
    """Return the cache of npm."""
    default = f"{around.machine.home}/.npm"
    return (around.ask_folder("npm", "config", "get", "cache", default=default),)


def pnpm(around: Surroundings, _: Dependencies) -> Paths:
    """Return the store of pnpm, which lies on the file system of the project."""
    data = around.user_folder("XDG_DATA_HOME", linux=".local/share", macos="Library")
    default = f"{data}/pnpm/store"
    return (around.ask_folder("pnpm", "store", "path", "--silent", default=default),)


def pip(around: Surroundings, _: Dependencies) -> Paths:
    """Return the cache of pip."""
    caches = around.user_folder("XDG_CACHE_HOME", linux=".cache", macos="Library/Caches")
    return (around.ask_folder("pip", "cache", "dir", default=f"{caches}/pip"),)


def pipenv(around: Surroundings, _: Dependencies) -> Paths:
    """Return where pipenv puts environments, by its variables: it tells of existing ones only."""
    environment = around.machine.environment
    if environment.get("PIPENV_VENV_IN_PROJECT", "").lower() in {"1", "true", "yes", "on"}:
        return (f"{around.project}/{ENVIRONMENT}",)
    data = around.user_folder("XDG_DATA_HOME", linux=".local/share", macos=".local/share")
    return (environment.get("WORKON_HOME") or f"{data}/virtualenvs",)


def poetry(around: Surroundings, dependencies: Dependencies) -> Paths:
    """Return where Poetry puts environments: for each lock file, those of its project."""
    caches = around.user_folder("XDG_CACHE_HOME", linux=".cache", macos="Library/Caches")
    paths: dict[str, None] = {}
    for project in projects_of(around, dependencies):
        lines = around.lines(*_POETRY, folder=project)
        if lines is None:
            return (f"{caches}/pypoetry/virtualenvs",)
        settings = dict(_settings(lines))
        match settings:
            case {"virtualenvs.path": str(path), "cache-dir": str(cache)}:
                paths[path.replace("{cache-dir}", cache)] = None
            case _:
                raise unreadable(_POETRY, lines, "its settings")
        if settings.get("virtualenvs.in-project"):
            paths[f"{project}/{ENVIRONMENT}"] = None
    return tuple(paths)


def uv(around: Surroundings, _: Dependencies) -> Paths:
    """Return the cache of uv."""
    caches = around.user_folder("XDG_CACHE_HOME", linux=".cache", macos=".cache")
    return (around.ask_folder("uv", "cache", "dir", default=f"{caches}/uv"),)


def venv(around: Surroundings, _: Dependencies) -> Paths:
    """Return the environment of the project. As it cannot be moved, its path is absolute."""
    return (f"{around.project}/{ENVIRONMENT}",)


def maven(around: Surroundings, _: Dependencies) -> Paths:
    """Return the local repository of Maven."""
    return (f"{around.machine.home}/.m2/repository",)


def maven_wrapper(around: Surroundings, _: Dependencies) -> Paths:
    """Return the folder of the releases that `mvnw` has fetched."""
    return (f"{around.machine.home}/.m2/wrapper/dists",)


def gradle(around: Surroundings, _: Dependencies) -> Paths:
    """Return the caches of Gradle."""
    return (f"{_gradle_home(around)}/caches",)


def gradle_wrapper(around: Surroundings, _: Dependencies) -> Paths:
    """Return the folder of the releases that `gradlew` has fetched."""
    return (f"{_gradle_home(around)}/wrapper",)


def sbt(around: Surroundings, _: Dependencies) -> Paths:
    """Return the folders of sbt, Ivy and Coursier, without what must not be shared."""
    home = around.machine.home
    coursier = "Library/Caches/Coursier" if around.machine.os == "macOS" else ".cache/coursier"
    return (
        f"{home}/.ivy2/cache",
        f"{home}/.sbt",
        around.machine.environment.get("COURSIER_CACHE") or f"{home}/{coursier}",
        f"!{home}/.sbt/*.lock",
        f"!{home}/**/ivydata-*.properties",
    )


def bundler(_: Surroundings, __: Dependencies) -> Paths:
    """Return the folder that `setup-ruby` lets Bundler install to."""
    return ("vendor/bundle",)


def go(around: Surroundings, _: Dependencies) -> Paths:
    """Return the caches of Go for modules and for what it has built, if both are on."""
    command = ("go", "env", "GOMODCACHE", "GOCACHE")
    lines = around.lines(*command) or []
    paths = [line for line in lines if line.startswith("/")]
    if not paths:
        raise unreadable(command, lines, "a folder")
    return tuple(paths)


def nuget(around: Surroundings, _: Dependencies) -> Paths:
    """Return the folder of NuGet's packages."""
    lines = around.lines(*_NUGET)
    if lines is None:
        return (f"{around.machine.home}/.nuget/packages/",)
    for line in lines:
        if found := re.search(r"(?:^|\s)global-packages: (.+/.+)", line):
            return (found[1],)
    raise unreadable(_NUGET, lines, "the folder `global-packages`")


def cargo(around: Surroundings, _: Dependencies) -> Paths:
    """Return the folders of Cargo, and that of what it builds."""
    home = around.machine.environment.get("CARGO_HOME") or "~/.cargo"
    return (
        f"{home}/bin/",
        f"{home}/registry/index/",
        f"{home}/registry/cache/",
        f"{home}/git/db/",
        "target/",
    )


def _gradle_home(around: Surroundings) -> str:
    return around.machine.environment.get("GRADLE_USER_HOME") or f"{around.machine.home}/.gradle"


def _settings(lines: Iterable[str]) -> Iterator[tuple[str, object]]:
    """Read `name = value  # comment`, where the value is JSON."""
    for line in lines:
        name, _, text = line.partition(" = ")
        with contextlib.suppress(ValueError):
            yield name, json.JSONDecoder().raw_decode(text)[0]
