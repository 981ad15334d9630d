"""The `setup-*` actions that cache dependencies by themselves (management §4.1, §4.2)."""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import chain
from typing import Final

from runcache.insight.lint.ecosystems import Interpreter
from runcache.presets.table import PRESETS


@dataclass(frozen=True, slots=True)
class SetupAction:
    """An action, the input that turns its cache on, and the dependency files it looks for.

    `files` has a list of patterns for each value of the input; an empty one means that no file is
    needed. `paths_input` names the input that replaces them. `default` is the value of an input
    that is not there. `interpreter` says what else the action sets up.
    """

    input: str
    files: Mapping[str, tuple[str, ...]]
    paths_input: str = "cache-dependency-path"
    default: str = ""
    interpreter: Interpreter | None = None


def _files_of(preset: str) -> tuple[str, ...]:
    row = PRESETS[preset]
    return tuple(chain.from_iterable(row.files + row.backup_files))


def _files_of_each(*presets: str) -> dict[str, tuple[str, ...]]:
    return {preset: _files_of(preset) for preset in presets}


SETUP_ACTIONS: Final[Mapping[str, SetupAction]] = {
    "actions/setup-node": SetupAction(
        "cache", _files_of_each("npm", "pnpm", "yarn"), interpreter=Interpreter.NODE
    ),
    "actions/setup-python": SetupAction(
        "cache", _files_of_each("pip", "pipenv", "poetry"), interpreter=Interpreter.PYTHON
    ),
    "actions/setup-java": SetupAction("cache", _files_of_each("maven", "gradle", "sbt")),
    # Older releases look for go.sum.
    "actions/setup-go": SetupAction(
        "cache", {"true": (*_files_of("go"), "go.sum")}, default="true"
    ),
    "actions/setup-dotnet": SetupAction("cache", {"true": _files_of("nuget")}),
    # It makes a lock file that is missing, and without a Gemfile it caches nothing.
    "ruby/setup-ruby": SetupAction("bundler-cache", {"true": ()}),
    # Without any file its key is the same for all dependencies, and it warns.
    "astral-sh/setup-uv": SetupAction(
        "enable-cache",
        {"true": _files_of("uv")},
        paths_input="cache-dependency-glob",
        interpreter=Interpreter.PYTHON,
    ),
}
