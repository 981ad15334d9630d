"""What the rules look at beside a step: the repository's files, and its other cache steps."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Final

from runcache.errors import FileUnreadable
from runcache.globs.hashing import matching_files
from runcache.insight.lint.cache_steps import CacheStep
from runcache.insight.lint.templates import Text
from runcache.insight.lint.values import Pieces

MAX_FILES: Final = 20  # that are looked at for one list of patterns
MAX_STEPS: Final = 50  # that are compared with one

# Folders that a developer's checkout has, and that of a job has not.
_NOT_IN_A_JOB: Final = ("node_modules", ".venv", ".git")


class Project:
    """A repository, as far as it is at hand, and the cache steps of all files that are checked.

    Args:
        root: the folder that a job's workspace is a copy of, or `None` if it is not known.
        steps: the steps of its files.
    """

    def __init__(self, root: Path | None, steps: Iterable[CacheStep] = ()) -> None:
        self._root = root.resolve() if root else None
        self._steps = tuple(steps)
        self._found: dict[tuple[str, ...], tuple[Path, ...] | None] = {}

    def files(self, patterns: Sequence[str]) -> tuple[Path, ...] | None:
        """Return the first files that patterns match as in `hashFiles`; `None` is not known.

        Raises:
            InvalidPattern: GitHub would refuse one of the patterns.
        """
        asked = tuple(patterns)
        if asked not in self._found:
            self._found[asked] = self._matches(asked)
        return self._found[asked]

    def nearest(self, names: Sequence[str], file: Path) -> Path | None:
        """Return the first file of these names beside `file`, or in a folder around it."""
        folders = [folder for folder in file.parents if folder.is_relative_to(self._root or "/")]
        candidates = (folder / name for folder in folders for name in names)
        return next((candidate for candidate in candidates if candidate.is_file()), None)

    def shown(self, file: Path) -> str:
        """Return the name of a file as it is written in a workflow."""
        return str(file.relative_to(self._root) if self._root else file)

    def _matches(self, patterns: tuple[str, ...]) -> tuple[Path, ...] | None:
        if self._root is None:
            return None
        left_out = [
            f"!**/{name}/**"
            for name in _NOT_IN_A_JOB
            if not any(name in pattern for pattern in patterns)
        ]
        try:
            found = matching_files((*patterns, *left_out), root=self._root)
            return tuple(map(Path, islice(found, MAX_FILES)))
        except FileUnreadable:
            return None

    def steps_with(self, key: Pieces) -> Sequence[CacheStep]:
        """Return the steps whose key becomes this."""
        return self._by_key.get(key, ())[:MAX_STEPS]

    def steps_at(self, paths: Iterable[Text]) -> Sequence[CacheStep]:
        """Return the steps with a key whose paths are written like these."""
        return self._by_paths.get(tuple(path.value for path in paths), ())[:MAX_STEPS]

    @cached_property
    def _by_key(self) -> Mapping[Pieces, Sequence[CacheStep]]:
        found: dict[Pieces, list[CacheStep]] = defaultdict(list)
        for step in self._steps:
            for key in dict.fromkeys(step.keys):
                found[key].append(step)
        return dict(found)

    @cached_property
    def _by_paths(self) -> Mapping[tuple[str, ...], Sequence[CacheStep]]:
        found: dict[tuple[str, ...], list[CacheStep]] = defaultdict(list)
        for step in self._steps:
            if step.key and step.paths:
                found[tuple(path.value for path in step.paths)].append(step)
        return dict(found)
