"""The search for what patterns match, in the order of GitHub's library (management §5.2)."""

import os
import stat
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from runcache.errors import FileUnreadable
from runcache.globs.links import Chain
from runcache.globs.patterns import FILE, FOLDER, Pattern
from runcache.globs.places import Standing, at_the_top, judge, may_match_below
from runcache.javascript import units_of


class Found(NamedTuple):
    """A path that was matched. A link that is not followed is no folder, whatever it leads to."""

    path: str
    is_folder: bool
    is_link: bool


class _Candidate(NamedTuple):
    path: str
    is_folder: bool
    is_link: bool
    kinds: int
    standing: Standing


def search(
    patterns: Sequence[Pattern], *, follow_links: bool, within: str = "/"
) -> Iterator[Found]:
    """Find what `patterns` match, each path once.

    The order is depth first from each root, a folder before what is in it, names by their bytes.
    With `follow_links` a link is what it leads to; those that lead nowhere are left out then, and
    so are those to a folder that the search has come through.

    `within` is an absolute path: only what is below it, or on the way to it, is looked at.

    Raises:
        FileUnreadable: a folder that may hold a match cannot be listed, or a link cannot be
            followed.
    """
    walk = _Walk(patterns, follow_links=follow_links, within=within)
    for root in search_roots(patterns):
        yield from walk.from_root(root)


def search_roots(patterns: Sequence[Pattern]) -> list[str]:
    """Return where a search begins, in the order of the patterns: no path that is below another."""
    paths = dict.fromkeys(pattern.search_path for pattern in patterns if not pattern.is_negated)
    return [path for path in paths if not any(parent in paths for parent in _parents(path))]


def _parents(path: str) -> Iterator[str]:
    while path != "/":
        path = path.rpartition("/")[0] or "/"
        yield path


class _Walk:
    def __init__(self, patterns: Sequence[Pattern], *, follow_links: bool, within: str) -> None:
        self._top = at_the_top(patterns)
        self._chain = Chain() if follow_links else None
        self._within = _as_prefix(within)

    def from_root(self, root: str) -> Iterator[Found]:
        # A stack of its own, since a tree may be deeper than the interpreter's.
        levels = [iter(self._root(root))]
        while levels:
            for path, is_folder, is_link, kinds, standing in levels[-1]:
                if self._chain is not None and (is_folder or is_link):
                    entered = self._chain.enter(path, level=len(levels), is_link=is_link)
                    if entered is None:
                        continue
                    is_folder, is_link = entered, False  # noqa: PLW2901  -- seen through the link
                if kinds & (FOLDER if is_folder else FILE):
                    yield Found(path, is_folder, is_link)
                if is_folder and may_match_below(standing):
                    levels.append(iter(self._listed(path, standing)))
                    break
            else:
                levels.pop()

    def _root(self, path: str) -> list[_Candidate]:
        """Return the root of a search, unless there is none or it has nothing to do with us."""
        prefix = _as_prefix(path)
        if not prefix.startswith(self._within) and not self._within.startswith(prefix):
            return []
        try:
            mode = os.lstat(path).st_mode
        except FileNotFoundError:
            return []
        except OSError as exc:
            raise FileUnreadable.because_of(exc, path) from exc
        kinds, standing = self._top
        for name in filter(None, units_of(path).split("/")):
            kinds, standing = judge(standing, name)
        return [_Candidate(path, stat.S_ISDIR(mode), stat.S_ISLNK(mode), kinds, standing)]

    def _listed(self, folder: str, standing: Standing) -> list[_Candidate]:
        """Return what matches in a folder, or may hold matches, in order."""
        prefix = _as_prefix(folder)
        is_on_the_way = len(prefix) < len(self._within)
        candidates = []
        try:
            with os.scandir(folder) as entries:
                for entry in entries:
                    name = entry.name
                    kinds, reached = judge(standing, name if name.isascii() else units_of(name))
                    if not reached:
                        continue
                    path = prefix + name
                    if is_on_the_way and not self._within.startswith(f"{path}/"):
                        continue
                    is_folder = entry.is_dir(follow_symlinks=False)
                    is_link = entry.is_symlink()
                    may_be_entered = is_folder or (is_link and self._chain is not None)
                    if kinds or (may_be_entered and may_match_below(reached)):
                        candidates.append(_Candidate(path, is_folder, is_link, kinds, reached))
        except OSError as exc:
            raise FileUnreadable.because_of(exc, folder) from exc
        candidates.sort(key=_bytes_of_path)
        return candidates


def _bytes_of_path(candidate: _Candidate) -> bytes:
    return os.fsencode(candidate.path)


def _as_prefix(path: str) -> str:
    return path if path.endswith("/") else f"{path}/"
