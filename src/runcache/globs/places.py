"""What a list of patterns matches, and where it may match more (management §5.2).

Patterns are compared with a path one name at a time, from the top of the file system down. What is
known at a folder is a set of places: the segments that may come next, a bit each, in all patterns
at once. So no list of patterns is slow, however many `**` it has, and each folder shows whether
anything below it can match.
"""

from collections.abc import Iterable, Sequence
from itertools import groupby
from operator import attrgetter
from typing import TYPE_CHECKING

from runcache.globs.patterns import ANYTHING, FOLDER, NOTHING, Pattern

if TYPE_CHECKING:
    from runcache.globs.segments import Accepts


class Run:
    """Patterns that follow each other and are all negated or all not: their order says nothing.

    Attributes:
        is_negated: whether they take back what patterns before them match.
        first: the places at the top of the file system.
    """

    def __init__(self, patterns: Iterable[Pattern], *, is_negated: bool) -> None:
        self.is_negated = is_negated
        self.first = 0
        # The places that each name leads on from, and those that each function decides about.
        self._names: dict[str, int] = {}
        self._functions: dict[Accepts, int] = {}
        # The places of `**`, and those of them that have something behind them.
        self._repeated = self._optional = 0
        # The places where patterns are fulfilled, and those of them that nothing leads on from.
        self._goals = self._ends = 0
        # The goals that files are matched at, and those that they are matched below.
        self._for_files = self._for_files_below = 0
        bit = 1
        for pattern in patterns:
            bit = self._add(pattern, bit)

    def _add(self, pattern: Pattern, bit: int) -> int:
        """Give a pattern its places from `bit` on, and return the bit behind them."""
        last = len(pattern.segments) - 1
        self.first |= bit
        if pattern.segments[:1] == (None,) and last > 0:
            self.first |= bit << 1
        for number, segment in enumerate(pattern.segments):
            if segment is None:
                self._repeated |= bit
                self._optional |= bit if number < last else 0
            elif isinstance(segment, str):
                self._names[segment] = self._names.get(segment, 0) | bit
            else:
                self._functions[segment] = self._functions.get(segment, 0) | bit
            bit <<= 1
        is_endless = pattern.segments[-1:] == (None,)
        goal = bit >> 1 if is_endless else bit
        self._goals |= goal
        self._ends |= 0 if is_endless else goal
        self._for_files |= goal if pattern.matches == ANYTHING else 0
        self._for_files_below |= goal if is_endless and pattern.matches_below == ANYTHING else 0
        return goal << 1

    def places_behind(self, places: int, name: str) -> int:
        """Return the places that `name` leads to, in UTF-16 units: none if nothing can match."""
        passed = places & self._names.get(name, 0)
        for accepts, decided in self._functions.items():
            if places & decided and accepts(name):
                passed |= places & decided
        reached = places & self._repeated | passed << 1
        return reached | (reached & self._optional) << 1

    def kinds(self, before: int, places: int) -> int:
        """Return what a path with `places` is matched as, in a folder with the places `before`."""
        goals = places & self._goals
        if not goals:
            return NOTHING
        is_for_files = goals & self._for_files or goals & before & self._for_files_below
        return ANYTHING if is_for_files else FOLDER

    def may_match_below(self, places: int) -> bool:
        """Say whether anything below a folder with `places` can match."""
        return places & ~self._ends != 0

    def matches_all_below(self, places: int) -> bool:
        """Say whether everything below a folder with `places` matches, whatever it is."""
        return places & self._for_files_below != 0


# The patterns that may match at a path or below it, in their order, each run with its places.
Standing = Sequence[tuple[Run, int]]


def at_the_top(patterns: Iterable[Pattern]) -> tuple[int, Standing]:
    """Return what `/` is matched as, and how the patterns stand there."""
    runs = [
        Run(group, is_negated=is_negated)
        for is_negated, group in groupby(patterns, key=attrgetter("is_negated"))
    ]
    return _judged((run, 0, run.first) for run in runs)


def judge(standing: Standing, name: str) -> tuple[int, Standing]:
    """Return what `name` in a folder is matched as, and how the patterns stand there then."""
    return _judged((run, places, run.places_behind(places, name)) for run, places in standing)


def _judged(steps: Iterable[tuple[Run, int, int]]) -> tuple[int, Standing]:
    kinds = NOTHING
    standing = []
    for run, before, places in steps:
        if places:
            standing.append((run, places))
            found = run.kinds(before, places)
            kinds = kinds & ~found if run.is_negated else kinds | found
    return kinds, standing


def may_match_below(standing: Standing) -> bool:
    """Say whether a search has to look into a folder.

    It has if a pattern may match there, and no negated one behind it takes back all that is there.
    GitHub's library looks there all the same, and finds nothing.
    """
    is_hopeful = False
    for run, places in standing:
        if not run.is_negated:
            is_hopeful = is_hopeful or run.may_match_below(places)
        elif run.matches_all_below(places):
            is_hopeful = False
    return is_hopeful
