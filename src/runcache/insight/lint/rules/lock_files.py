"""Lock files: whether there is one, whether it is what is hashed, and whether it pins anything."""

import re
from collections.abc import Iterator, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Final

from runcache.errors import InvalidPattern
from runcache.insight.lint.actions import input_of
from runcache.insight.lint.cache_steps import CacheStep
from runcache.insight.lint.ecosystems import (
    COMPOSER,
    NODE,
    RUBY,
    RUST,
    Ecosystem,
    ecosystems_of_files,
)
from runcache.insight.lint.findings import Fault
from runcache.insight.lint.hash_calls import hash_calls_of, hashed_patterns
from runcache.insight.lint.project import Project
from runcache.insight.lint.source import Place
from runcache.insight.lint.templates import written_in
from runcache.insight.lint.wording import quoted
from runcache.insight.lint.workspace import workspace_is_repository

MAX_CHARACTERS: Final = 1024 * 1024  # of a file
MAX_LINE: Final = 1000

# Without their lock file nothing says which releases these install.
_ALWAYS_LOCKED: Final = (NODE, RUBY, RUST, COMPOSER)

_REQUIREMENTS: Final = "*requirements*.txt"
_PINNED: Final = re.compile(r"===?[^,*]+$|@|://")
_NOT_A_REQUIREMENT: Final = re.compile(r"-|\.|/|$")
_HAS_CONSTRAINTS: Final = re.compile(r"^\s*(?:-c|--constraint)\b|--hash=", re.MULTILINE)


def missing_lock_file(step: CacheStep, project: Project) -> Iterator[Fault]:
    """Find actions whose dependency files are not there."""
    # Where the workflow names the files, another rule says that they are not there.
    if step.setup is None or input_of(step.at.step, step.setup.paths_input):
        return
    asked = _dependency_files(step)
    if asked and _files(project, asked) == () and workspace_is_repository(step, asked):
        message = f"the action looks for {quoted(asked, 'or')}, and the repository has no such file"
        yield Fault(_place_of(step), message)


def unlocked_hash(step: CacheStep, project: Project) -> Iterator[Fault]:
    """Find hashes of files that ask for dependencies, and do not say which releases these are."""
    asked = _dependency_files(step)
    for ecosystem in ecosystems_of_files(asked) if step.setup is None else ():
        if all(_name(pattern) in ecosystem.manifests for pattern in asked):
            reason = _why_unlocked(ecosystem, asked, project)
            if reason:
                yield Fault(_place_of(step), reason)


def unpinned_dependencies(step: CacheStep, project: Project) -> Iterator[Fault]:
    """Find requirements that say what to install, and not which release of it."""
    asked = _dependency_files(step)
    pins_elsewhere = any(
        _name(pattern) in ecosystem.lock_files
        for ecosystem in ecosystems_of_files(asked)
        for pattern in asked
    )
    patterns = [pattern for pattern in asked if fnmatchcase(_name(pattern), _REQUIREMENTS)]
    if pins_elsewhere or not patterns:
        return
    # An action's own patterns find requirements of anything, such as those of the documentation.
    is_chosen = step.setup is None or input_of(step.at.step, step.setup.paths_input) is not None
    asked_for = patterns if is_chosen else [_name(pattern) for pattern in patterns]
    for file in _files(project, asked_for) or ():
        requirement = _first_unpinned(file)
        if requirement is not None:
            name = project.shown(file)
            yield Fault(_place_of(step), f"`{requirement}` in `{name}` names no release")
            return


def _dependency_files(step: CacheStep) -> tuple[str, ...]:
    """Return the patterns that the key's hash is made of, none if they are not known."""
    if step.setup is None:
        return hashed_patterns(step) or ()
    paths = input_of(step.at.step, step.setup.paths_input)
    if paths is not None:
        lines = tuple(line.value for line in written_in(paths).lines())
        return () if "${{" in paths.text else lines
    switch = input_of(step.at.step, step.setup.input)
    return step.setup.files.get(switch.text.strip().lower() if switch else step.setup.default, ())


def _place_of(step: CacheStep) -> Place:
    """Return where a step says which files its key depends on."""
    if step.setup is not None:
        for name in (step.setup.paths_input, step.setup.input):
            if found := input_of(step.at.step, name):
                return written_in(found).place()
    return next((call.place() for call in hash_calls_of(step)), step.name.place())


def _files(project: Project, patterns: Sequence[str]) -> tuple[Path, ...] | None:
    try:
        return project.files(patterns)
    except InvalidPattern:
        return None


def _name(pattern: str) -> str:
    return pattern.rsplit("/", 1)[-1]


def _why_unlocked(ecosystem: Ecosystem, asked: Sequence[str], project: Project) -> str | None:
    """Return what is wrong with hashing these files, which pin nothing; `None` if unknown."""
    manifests = _files(project, asked)
    if not manifests:
        return None
    for manifest in manifests:
        if lock_file := project.nearest(ecosystem.lock_files, manifest):
            return f"`{project.shown(lock_file)}` says what is installed, and is not hashed"
    if ecosystem not in _ALWAYS_LOCKED:
        return None
    manifest_name = project.shown(manifests[0])
    return f"there is no `{ecosystem.lock_files[0]}` that pins what `{manifest_name}` asks for"


def _first_unpinned(file: Path) -> str | None:
    """Return the first requirement of a file without a release; `None` if that is not known."""
    try:
        with file.open(encoding="utf-8") as opened:
            text = opened.read(MAX_CHARACTERS)
    except (OSError, UnicodeDecodeError):
        return None
    if _HAS_CONSTRAINTS.search(text):
        return None
    for line in text.splitlines():
        requirement = re.sub(r"(?:^|\s)#.*", "", line[:MAX_LINE]).split(";")[0].strip()
        if not _NOT_A_REQUIREMENT.match(requirement) and not _PINNED.search(requirement):
            return requirement
    return None
