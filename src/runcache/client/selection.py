"""What the paths of a save or restore name: for snapshots, and for archives as GitHub has them."""

import os
from collections.abc import Sequence
from pathlib import Path

from runcache.errors import NothingToSave
from runcache.globs.patterns import FILE, FOLDER, Pattern, read_patterns
from runcache.globs.places import Standing, at_the_top, judge, may_match_below
from runcache.globs.walk import search, search_roots
from runcache.javascript import units_of
from runcache.snapshot.scan import Choice


class SnapshotPaths:
    """The paths of a snapshot: patterns that match all below what they describe.

    Attributes:
        roots: where a search begins, absolute, in the order of the patterns; none is in another.
            An entry names its files by the number of a root, so that they may be elsewhere here.
    """

    def __init__(self, texts: Sequence[str], *, folder: Path, home: Path) -> None:
        patterns = _patterns(texts, folder=folder, home=home, implicit_descendants=True)
        self.roots = [os.fsencode(root) for root in search_roots(patterns)]
        self._patterns = patterns
        self._has_exclusions = any(pattern.is_negated for pattern in patterns)
        # How the patterns stand at each folder that was chosen or passed; `None`: they match all.
        self._standings: dict[tuple[int, bytes], Standing | None] = {}

    def takes_all(self, root: int) -> bool:
        """Say whether all that is below a root is named, if it is a folder."""
        return not self._has_exclusions and self.choose(root, b"", is_folder=True) is Choice.TAKE

    def choose(self, root: int, name: bytes, is_folder: bool) -> Choice:  # noqa: FBT001  -- see below
        """Say whether a file or folder is named (`snapshot.scan.Selection` is the contract)."""
        if not name:
            kinds, standing = _standing_at(os.fsdecode(self.roots[root]), self._patterns)
        else:
            parent, _, last = name.rpartition(b"/")
            above = self._standings[root, parent]
            if above is None:
                if is_folder:
                    self._standings[root, name] = None
                return Choice.TAKE
            kinds, standing = judge(above, units_of(os.fsdecode(last)))
        is_named = bool(kinds & (FOLDER if is_folder else FILE))
        if is_folder:
            # Whatever is below a folder that is matched is matched, too, if nothing is taken back.
            is_all = is_named and not self._has_exclusions
            self._standings[root, name] = None if is_all else standing
            if not is_named and may_match_below(standing):
                return Choice.PASS
        return Choice.TAKE if is_named else Choice.SKIP


class ArchivePaths:
    """The paths of an archive: a member is at what a pattern matches, or anywhere below it.

    Exclusions take back what patterns match, but nothing that is below it: so packs `tar`.

    Attributes:
        roots: where a search begins, absolute; none is in another.
    """

    def __init__(self, texts: Sequence[str], *, folder: Path, home: Path) -> None:
        patterns = _patterns(texts, folder=folder, home=home, implicit_descendants=False)
        self.roots = frozenset(search_roots(patterns))
        self._patterns = patterns
        self._top = at_the_top(patterns)

    def matches(self) -> list[str]:
        """Return what the patterns match on this disk, a folder before what is in it."""
        return [found.path for found in search(self._patterns, follow_links=False)]

    def boundary(self, path: str) -> str | None:
        """Return the topmost folder or file on the way to `path`, or that itself, that is named.

        `path` is absolute and has no `.`, `..` or empty part. `None` means that it is not named.
        """
        kinds, standing = self._top
        end = 0
        while True:
            is_last = end == len(path)
            if kinds & (FILE | FOLDER if is_last else FOLDER):
                return path[:end] or "/"
            if is_last or not standing:
                return None
            start, end = end + 1, path.find("/", end + 1)
            end = len(path) if end < 0 else end
            kinds, standing = judge(standing, units_of(path[start:end]))


def _patterns(
    texts: Sequence[str], *, folder: Path, home: Path, implicit_descendants: bool
) -> list[Pattern]:
    patterns = read_patterns(
        texts,
        root=os.path.realpath(folder),
        home=str(home),
        implicit_descendants=implicit_descendants,
    )
    if all(pattern.is_negated for pattern in patterns):
        raise NothingToSave(texts)
    return patterns


def _standing_at(path: str, patterns: Sequence[Pattern]) -> tuple[int, Standing]:
    kinds, standing = at_the_top(patterns)
    for name in filter(None, units_of(path).split("/")):
        kinds, standing = judge(standing, name)
    return kinds, standing
