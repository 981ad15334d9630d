"""The presets, a row each: what the matching action caches, and under which key.

The keys are those of setup-node 7.0.0, setup-python 7.0.0, setup-java 6.0.0, setup-go 7.0.0,
setup-dotnet 6.0.0, setup-ruby 1.315.0 and setup-uv 10.0.1 with their default inputs, and of the
recipe of `actions/cache` for Cargo (management §4). `venv` has no action.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Final

from runcache.presets import dependencies, folders, yarn
from runcache.presets.dependencies import Dependencies, Patterns
from runcache.presets.surroundings import Surroundings


class Ecosystem(Enum):
    """What packages are made for. A project is expected to have one package manager for each."""

    NODE = "Node"
    PYTHON = "Python"
    JVM = "the JVM"
    RUBY = "Ruby"
    GO = "Go"
    DOTNET = ".NET"
    RUST = "Rust"


@dataclass(frozen=True, slots=True, kw_only=True)
class Cache:
    """One entry of the cache, for any project.

    `files` are groups of patterns: the first group that matches a file is hashed, in the way of
    `hashing`. `key` and `restore_keys` hold words of `segments.py` in braces. The restore keys
    count if `restores` says so.
    """

    name: str
    files: tuple[Patterns, ...]
    hashing: Callable[[Surroundings, Sequence[Patterns]], Dependencies] = dependencies.hashed
    paths: Callable[[Surroundings, Dependencies], tuple[str, ...]]
    key: str
    restore_keys: tuple[str, ...] = ()
    restores: Callable[[Surroundings, Dependencies], bool] = lambda _, __: True


@dataclass(frozen=True, slots=True, kw_only=True)
class Preset(Cache):
    """A row of the table: the main cache, and what else there is to know.

    `action` has the same keys. `marks` are the files in the folder of a project that tell `auto` of
    the preset. A user may name other files if `takes_files`; `backup_files` count also then,
    where these match nothing. `extras` are made for projects that have their files.
    """

    action: str | None
    ecosystem: Ecosystem
    marks: tuple[str, ...] = ()
    backup_files: tuple[Patterns, ...] = ()
    takes_files: bool = True
    extras: tuple[Cache, ...] = ()


_NODE: Final = "node-cache-{os}-{arch}-"
_PYTHON: Final = "setup-python-{os}-{arch}{linux}-python-{python}-"
_JAVA: Final = "setup-java-{os}-{arch}-"
_RUBY: Final = (
    "setup-ruby-bundler-cache-v6-{ruby_system}-{arch}-{ruby}-wd-{project}"
    "-with-{BUNDLE_WITH}-without-{BUNDLE_WITHOUT}-only-{BUNDLE_ONLY}{ruby_abi}-{lock}-"
)

_ROWS: Final = (
    Preset(
        name="npm",
        action="actions/setup-node",
        ecosystem=Ecosystem.NODE,
        marks=("package-lock.json", "npm-shrinkwrap.json"),
        files=(("package-lock.json",), ("npm-shrinkwrap.json",), ("yarn.lock",)),
        paths=folders.npm,
        key=_NODE + "npm-{hash}",
    ),
    Preset(
        name="yarn",
        action="actions/setup-node",
        ecosystem=Ecosystem.NODE,
        marks=("yarn.lock",),
        files=(("yarn.lock",),),
        paths=yarn.folders,
        key=_NODE + "yarn-{hash}",
        restore_keys=(_NODE + "yarn",),
        restores=yarn.keeps_caches_in_projects,
    ),
    Preset(
        name="pnpm",
        action="actions/setup-node",
        ecosystem=Ecosystem.NODE,
        marks=("pnpm-lock.yaml",),
        files=(("pnpm-lock.yaml",),),
        paths=folders.pnpm,
        key=_NODE + "pnpm-{hash}",
    ),
    Preset(
        name="pip",
        action="actions/setup-python",
        ecosystem=Ecosystem.PYTHON,
        marks=("requirements.txt", "pyproject.toml"),
        files=(("**/requirements.txt",),),
        backup_files=(("**/pyproject.toml",),),
        paths=folders.pip,
        key=_PYTHON + "pip-{hash}",
        restore_keys=(_PYTHON + "pip",),
    ),
    Preset(
        name="pipenv",
        action="actions/setup-python",
        ecosystem=Ecosystem.PYTHON,
        marks=("Pipfile.lock",),
        files=(("**/Pipfile.lock",),),
        paths=folders.pipenv,
        key=_PYTHON + "pipenv-{hash}",
    ),
    Preset(
        name="poetry",
        action="actions/setup-python",
        ecosystem=Ecosystem.PYTHON,
        marks=("poetry.lock",),
        files=(("**/poetry.lock",),),
        paths=folders.poetry,
        key=_PYTHON + "poetry-v2-{hash}",
    ),
    Preset(
        name="uv",
        action="astral-sh/setup-uv",
        ecosystem=Ecosystem.PYTHON,
        marks=("uv.lock",),
        files=(
            (
                "**/*requirements*.txt",
                "**/*requirements*.in",
                "**/*constraints*.txt",
                "**/*constraints*.in",
                "**/pyproject.toml",
                "**/uv.lock",
                "**/*.py.lock",
            ),
        ),
        hashing=dependencies.hashed_if_any,
        paths=folders.uv,
        key="setup-uv-2-{cpu}-{platform}-{system}-{uv_python}-{hash}",
    ),
    Preset(
        name="venv",
        action=None,
        ecosystem=Ecosystem.PYTHON,
        files=(
            (
                "pyproject.toml",
                "setup.py",
                "setup.cfg",
                "uv.lock",
                "poetry.lock",
                "pdm.lock",
                "Pipfile.lock",
                "pylock*.toml",
                "requirements*.txt",
                "requirements/**/*.txt",
                "constraints*.txt",
                ".python-version",
            ),
        ),
        paths=folders.venv,
        # No restore keys: what the lock files no longer name would stay in the environment.
        key="venv-{os}-{arch}{linux}-{environment}-{hash}",
    ),
    Preset(
        name="maven",
        action="actions/setup-java",
        ecosystem=Ecosystem.JVM,
        marks=("pom.xml",),
        files=(
            (
                "**/pom.xml",
                "**/.mvn/wrapper/maven-wrapper.properties",
                "**/.mvn/extensions.xml",
            ),
        ),
        paths=folders.maven,
        key=_JAVA + "maven-{hash}",
        extras=(
            Cache(
                name="maven-wrapper",
                files=(("**/.mvn/wrapper/maven-wrapper.properties",),),
                paths=folders.maven_wrapper,
                key=_JAVA + "maven-wrapper-{hash}",
            ),
        ),
    ),
    Preset(
        name="gradle",
        action="actions/setup-java",
        ecosystem=Ecosystem.JVM,
        marks=("build.gradle", "build.gradle.kts", "settings.gradle", "settings.gradle.kts"),
        files=(
            (
                "**/*.gradle*",
                "**/gradle.properties",
                "**/gradle-wrapper.properties",
                "buildSrc/**/Versions.kt",
                "buildSrc/**/Dependencies.kt",
                "gradle/*.versions.toml",
                "**/versions.properties",
            ),
        ),
        paths=folders.gradle,
        key=_JAVA + "gradle-{hash}",
        extras=(
            Cache(
                name="gradle-wrapper",
                files=(("**/gradle-wrapper.properties",),),
                paths=folders.gradle_wrapper,
                key=_JAVA + "gradle-wrapper-{hash}",
            ),
        ),
    ),
    Preset(
        name="sbt",
        action="actions/setup-java",
        ecosystem=Ecosystem.JVM,
        marks=("build.sbt",),
        files=(
            (
                "**/*.sbt",
                "**/project/build.properties",
                "**/project/**.scala",
                "**/project/**.sbt",
            ),
        ),
        paths=folders.sbt,
        key=_JAVA + "sbt-{hash}",
    ),
    Preset(
        name="bundler",
        action="ruby/setup-ruby",
        ecosystem=Ecosystem.RUBY,
        marks=("Gemfile.lock", "gems.locked"),
        files=(("Gemfile.lock",), ("gems.locked",)),
        hashing=dependencies.lock_of_gems,
        takes_files=False,
        paths=folders.bundler,
        key=_RUBY + "{hash}",
        restore_keys=(_RUBY,),
    ),
    Preset(
        name="go",
        action="actions/setup-go",
        ecosystem=Ecosystem.GO,
        marks=("go.mod",),
        files=(("go.mod",),),
        paths=folders.go,
        key="setup-go-{os}-{arch}-{image}go-{go}-{hash}",
    ),
    Preset(
        name="nuget",
        action="actions/setup-dotnet",
        ecosystem=Ecosystem.DOTNET,
        marks=("packages.lock.json",),
        files=(("packages.lock.json",),),
        paths=folders.nuget,
        key="dotnet-cache-{os}-{hash}",
    ),
    Preset(
        name="cargo",
        action="actions/cache",
        ecosystem=Ecosystem.RUST,
        marks=("Cargo.lock",),
        files=(("**/Cargo.lock",),),
        hashing=dependencies.hashed_as_in_expressions,
        paths=folders.cargo,
        key="{os}-cargo-{hash}",
        restore_keys=("{os}-cargo-",),
    ),
)
PRESETS: Final[Mapping[str, Preset]] = {preset.name: preset for preset in _ROWS}
