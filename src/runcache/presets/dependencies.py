"""The files that a key depends on: which there are, and their hash."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from runcache.errors import DependenciesMissing
from runcache.globs.hashing import hash_files, matching_files
from runcache.presets.surroundings import Surroundings

Patterns = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Dependencies:
    """Patterns in the manner of `@actions/glob` that match files, and the hash of these files."""

    patterns: Patterns
    hash: str


def hashed(around: Surroundings, groups: Sequence[Patterns]) -> Dependencies:
    """Return the first group that matches a file, hashed as the toolkit does: links are followed.

    Raises:
        DependenciesMissing: no group matches any.
    """
    return _first(around, groups, follow_symbolic_links=True)


def hashed_as_in_expressions(around: Surroundings, groups: Sequence[Patterns]) -> Dependencies:
    """Return the first group that matches a file, hashed as `hashFiles` does: no link is followed.

    Raises:
        DependenciesMissing: no group matches any.
    """
    return _first(around, groups, follow_symbolic_links=False)


def hashed_if_any(around: Surroundings, groups: Sequence[Patterns]) -> Dependencies:
    """Return what `hashed` does, or where no group matches what `setup-uv` has for the hash."""
    try:
        return hashed(around, groups)
    except DependenciesMissing:
        return Dependencies((), "no-dependency-glob")


def lock_of_gems(around: Surroundings, groups: Sequence[Patterns]) -> Dependencies:
    """Return the lock file of Bundler and the SHA-256 of its content, as `setup-ruby` does.

    `BUNDLE_GEMFILE` and `BUNDLE_LOCKFILE` may name the files; otherwise they are `Gemfile`, or else
    `gems.rb`, with their locks: the groups.

    Raises:
        DependenciesMissing: there is no lock file.
    """
    environment = around.machine.environment
    candidates = [pattern for group in groups for pattern in group]
    if lock := environment.get("BUNDLE_LOCKFILE"):
        candidates = [lock]
    elif gemfile := environment.get("BUNDLE_GEMFILE"):
        candidates = [f"{gemfile}.lock"]
    elif (around.project / "Gemfile").exists():
        candidates = ["Gemfile.lock"]
    for candidate in candidates:
        try:
            content = (around.project / candidate).read_bytes()
        except OSError:
            continue
        return Dependencies((candidate,), hashlib.sha256(content).hexdigest())
    raise DependenciesMissing(candidates, folder=str(around.project))


def _first(
    around: Surroundings, groups: Sequence[Patterns], *, follow_symbolic_links: bool
) -> Dependencies:
    for patterns in groups:
        digest = hash_files(
            patterns,
            root=around.project,
            follow_symbolic_links=follow_symbolic_links,
            home=around.machine.home,
        )
        if digest:
            return Dependencies(patterns, digest)
    looked_for = [pattern for group in groups for pattern in group]
    raise DependenciesMissing(looked_for, folder=str(around.project))


def projects_of(around: Surroundings, dependencies: Dependencies) -> tuple[Path, ...]:
    """Return the folders of all files that match, each once, in the order of `@actions/glob`."""
    files = matching_files(
        dependencies.patterns,
        root=around.project,
        follow_symbolic_links=True,
        home=around.machine.home,
    )
    return tuple(dict.fromkeys(Path(file).parent for file in files))
