"""What the paths that people cache hold: whose dependencies, and what they work with.

Only what is certain is in the tables: a path that could be anything is unknown.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum
from fnmatch import fnmatchcase
from typing import Final


class Interpreter(Enum):
    """What installed packages are made for, and work with no other version of."""

    NODE = "Node"
    PYTHON = "Python"


@dataclass(frozen=True, slots=True)
class Ecosystem:
    """A kind of dependencies: the files that pin all of them, and those that only ask for some."""

    name: str
    lock_files: tuple[str, ...]
    manifests: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Content:
    """What is at a path.

    `is_portable`: it is the same on every operating system. `interpreter` is set for packages that
    are installed, and not only downloaded.
    """

    ecosystem: Ecosystem
    is_portable: bool = False
    interpreter: Interpreter | None = None


NODE: Final = Ecosystem(
    "Node",
    (
        "package-lock.json",
        "npm-shrinkwrap.json",
        "yarn.lock",
        "pnpm-lock.yaml",
        "bun.lock",
        "bun.lockb",
    ),
    ("package.json",),
)
PYTHON: Final = Ecosystem(
    "Python",
    ("poetry.lock", "uv.lock", "Pipfile.lock", "pdm.lock", "pylock.toml"),
    ("pyproject.toml", "Pipfile", "setup.py", "setup.cfg"),
)
MAVEN: Final = Ecosystem("Maven", ("pom.xml",))
GRADLE: Final = Ecosystem("Gradle", ("*.gradle", "*.gradle.kts", "gradle.lockfile"))
SBT: Final = Ecosystem("sbt", ("build.sbt",))
RUBY: Final = Ecosystem("Ruby", ("Gemfile.lock", "gems.locked"), ("Gemfile", "gems.rb"))
GO: Final = Ecosystem("Go", ("go.sum", "go.mod"))  # go.mod names a release of each module
DOTNET: Final = Ecosystem("NuGet", ("packages.lock.json",))
RUST: Final = Ecosystem("Rust", ("Cargo.lock",), ("Cargo.toml",))
COMPOSER: Final = Ecosystem("Composer", ("composer.lock",), ("composer.json",))
COCOAPODS: Final = Ecosystem("CocoaPods", ("Podfile.lock",), ("Podfile",))
CARTHAGE: Final = Ecosystem("Carthage", ("Cartfile.resolved",), ("Cartfile",))
ECOSYSTEMS: Final = (
    *(NODE, PYTHON, MAVEN, GRADLE, SBT, RUBY, GO, DOTNET, RUST, COMPOSER, COCOAPODS, CARTHAGE),
)

_NODE_PACKAGES: Final = Content(NODE, interpreter=Interpreter.NODE)
_PYTHON_PACKAGES: Final = Content(PYTHON, interpreter=Interpreter.PYTHON)

# The first row that matches the whole path, or its last parts if it begins with `**/`. Folders of
# tools, such as `~/.cargo/bin`, are not here: their versions are a good key as well.
_CONTENTS: Final[tuple[tuple[str, Content], ...]] = (
    ("**/node_modules", _NODE_PACKAGES),
    ("~/.npm", Content(NODE, is_portable=True)),
    ("~/.npm/_cacache", Content(NODE, is_portable=True)),
    ("~/.cache/yarn", Content(NODE, is_portable=True)),
    ("~/.yarn/berry/cache", Content(NODE, is_portable=True)),
    ("**/.yarn/cache", Content(NODE, is_portable=True)),
    ("~/.local/share/pnpm/store", Content(NODE, is_portable=True)),
    ("~/.pnpm-store", Content(NODE, is_portable=True)),
    ("~/.bun/install/cache", Content(NODE, is_portable=True)),
    ("**/.venv", _PYTHON_PACKAGES),
    ("**/venv", _PYTHON_PACKAGES),
    ("**/.tox", _PYTHON_PACKAGES),
    ("**/.nox", _PYTHON_PACKAGES),
    ("~/.virtualenvs", _PYTHON_PACKAGES),
    ("~/.local/share/virtualenvs", _PYTHON_PACKAGES),
    ("~/.cache/pypoetry/virtualenvs", _PYTHON_PACKAGES),
    ("~/.cache/pypoetry", _PYTHON_PACKAGES),
    ("~/.cache/pip", Content(PYTHON)),
    ("~/Library/Caches/pip", Content(PYTHON)),
    ("~/AppData/Local/pip/Cache", Content(PYTHON)),
    ("~/.cache/uv", Content(PYTHON)),
    ("~/.m2", Content(MAVEN, is_portable=True)),
    ("~/.m2/repository", Content(MAVEN, is_portable=True)),
    ("~/.gradle", Content(GRADLE, is_portable=True)),
    ("~/.gradle/caches", Content(GRADLE, is_portable=True)),
    ("~/.ivy2/cache", Content(SBT, is_portable=True)),
    ("~/.sbt", Content(SBT, is_portable=True)),
    ("~/.cache/coursier", Content(SBT, is_portable=True)),
    ("**/vendor/bundle", Content(RUBY)),
    ("~/go/pkg/mod", Content(GO, is_portable=True)),
    ("~/.cache/go-build", Content(GO)),
    ("~/.nuget/packages", Content(DOTNET, is_portable=True)),
    ("~/.cargo", Content(RUST)),
    ("~/.cargo/registry", Content(RUST, is_portable=True)),
    ("~/.cargo/registry/index", Content(RUST, is_portable=True)),
    ("~/.cargo/registry/cache", Content(RUST, is_portable=True)),
    ("~/.cargo/git", Content(RUST, is_portable=True)),
    ("~/.cargo/git/db", Content(RUST, is_portable=True)),
    ("~/.composer/cache", Content(COMPOSER, is_portable=True)),
    ("~/.cache/composer", Content(COMPOSER, is_portable=True)),
    ("**/Pods", Content(COCOAPODS)),
    ("**/Carthage", Content(CARTHAGE)),
)
_HOME: Final = re.compile(r"(?:/home/runner|/Users/runner|/root)(?=/|$)")
_WORKSPACE: Final = re.compile(r"\$\{\{\s*github\.workspace\s*\}\}/?|\./", re.IGNORECASE)
_BELOW: Final = re.compile(r"(?:/\*\*?)+$|/+$")


def in_one_spelling(path: str) -> str:
    """Return a path that begins with `~` for the home, and with nothing for the workspace."""
    spelled = path.strip()
    if _HOME.match(spelled):
        spelled = _HOME.sub("~", spelled, count=1)
    found = _WORKSPACE.match(spelled)
    return spelled[found.end() :] if found else spelled


def content_of(path: str) -> Content | None:
    """Return what is at a path, and `None` if that is not known."""
    spelled = _BELOW.sub("", in_one_spelling(path.replace("\\", "/")))
    for pattern, content in _CONTENTS:
        tail = pattern.removeprefix("**/")
        if spelled == tail or (tail != pattern and spelled.endswith(f"/{tail}")):
            return content
    return None


def ecosystems_of_files(patterns: Iterable[str]) -> set[Ecosystem]:
    """Return whose dependencies the files are about that these patterns name."""
    names = [pattern.rsplit("/", 1)[-1] for pattern in patterns if not pattern.startswith("!")]
    return {
        ecosystem
        for ecosystem in ECOSYSTEMS
        for name in names
        if any(fnmatchcase(name, known) for known in (*ecosystem.lock_files, *ecosystem.manifests))
    }
