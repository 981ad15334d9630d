"""Which exclusions among the paths of a cache have an effect (protocol §7.1, §7.2).

`actions/cache` lists what its patterns match, takes off what exclusions match, and gives the list
to tar, which packs listed folders with all that is in them. Where it cannot be known whether an
exclusion has an effect, it is taken to have one.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from runcache.globs.segments import matcher_of
from runcache.insight.lint.ecosystems import in_one_spelling

MAX_SEGMENTS: Final = 20

_ANYTHING_BELOW: Final = "**"


@dataclass(frozen=True, slots=True)
class Pattern:
    """A path by its names. `base` is where they begin: `~`, `/`, or nothing for the workspace."""

    base: str
    names: tuple[str, ...]

    @property
    def listed(self) -> "Pattern":
        """The pattern of the topmost paths that it lists: `x/**` lists `x` itself, too."""
        names = self.names
        while names and names[-1] == _ANYTHING_BELOW:
            names = names[:-1]
        return Pattern(self.base, names)

    @property
    def is_literal(self) -> bool:
        """Whether it has no wildcards."""
        return all(isinstance(matcher_of(name), str) for name in self.names)


@dataclass(frozen=True, slots=True)
class Exclusion:
    """An exclusion without effect: the index of its path, and of a path that packs it all."""

    index: int
    packed_by: int | None


def pattern_of(path: str) -> Pattern | None:
    """Read a path without its `!`; `None` if only the run can tell what it is."""
    # Windows does not tell cases apart, so what may be equal there counts as equal.
    text = in_one_spelling(path).lower()
    if "${{" in text or "\\" in text:  # a backslash means another thing on each system
        return None
    base = text[0] if text[:1] in {"~", "/"} else ""
    names = tuple(name for name in text.removeprefix("~").split("/") if name not in {"", "."})
    return Pattern(base, names) if len(names) <= MAX_SEGMENTS else None


@lru_cache(maxsize=256)
def idle_exclusions(paths: tuple[str, ...], *, packs_whole_folders: bool) -> tuple[Exclusion, ...]:
    """Return the exclusions that change nothing.

    With `packs_whole_folders` they only take off what the paths before them list; otherwise they
    hold for all that is below any of the paths.
    """
    return tuple(_idle(paths, packs_whole_folders=packs_whole_folders))


def _idle(paths: Sequence[str], *, packs_whole_folders: bool) -> Iterator[Exclusion]:
    read = [_read(path) for path in paths]
    for index, (pattern, is_excluded) in enumerate(read):
        if pattern is None or not is_excluded:
            continue
        included = [
            (number, other)
            for number, (other, is_out) in enumerate(read)
            if not is_out and (number < index or not packs_whole_folders)
        ]
        if packs_whole_folders:
            packed_by = _packed_by(pattern, included)
            may_match = any(
                other is None or _may_meet(other.listed, pattern) for _, other in included
            )
            if packed_by is not None or not may_match:
                yield Exclusion(index, packed_by)
        elif not any(other is None or _may_be_below(other, pattern) for _, other in included):
            yield Exclusion(index, None)


def _read(path: str) -> tuple[Pattern | None, bool]:
    text = path.lstrip("! \t")
    return pattern_of(text), path[: len(path) - len(text)].count("!") % 2 == 1


def _packed_by(exclusion: Pattern, included: Iterable[tuple[int, Pattern | None]]) -> int | None:
    """Return the index of a folder that is listed, and that all excluded paths are below."""
    for number, include in included:
        folder = include.listed if include else None
        if folder and folder.is_literal and folder.base == exclusion.base:
            start = exclusion.names[: len(folder.names)]
            is_below = len(exclusion.names) > len(folder.names) and start == folder.names
            if is_below and not _may_meet(folder, exclusion):
                return number
    return None


def _may_be_below(folder: Pattern, exclusion: Pattern) -> bool:
    """Say whether an exclusion may match a path, or what is below it."""
    return _may_meet(Pattern(folder.base, (*folder.listed.names, _ANYTHING_BELOW)), exclusion)


def _may_meet(one: Pattern, other: Pattern) -> bool:
    """Say whether there may be a path that both match."""
    if one.base != other.base:
        return not _are_apart(one, other)
    return _names_may_meet(one.names, other.names)


def _are_apart(one: Pattern, other: Pattern) -> bool:
    """Say whether patterns begin at the home and in the workspace, and never meet.

    A workspace may lie below the home, but in none of its hidden folders.
    """
    home = one if one.base == "~" else other
    is_hidden = bool(home.names) and home.names[0].startswith(".")
    return {one.base, other.base} == {"~", ""} and is_hidden


def _names_may_meet(one: tuple[str, ...], other: tuple[str, ...]) -> bool:
    # Which beginnings of `other` may match the names of `one` so far: `**` is any number of names.
    reached = _skipped({0}, other)
    for name in one:
        if name == _ANYTHING_BELOW:
            reached = set(range(min(reached, default=len(other) + 1), len(other) + 1))
        else:
            steps = {
                at if other[at] == _ANYTHING_BELOW else at + 1
                for at in reached
                if at < len(other) and (other[at] == _ANYTHING_BELOW or _may_equal(name, other[at]))
            }
            reached = _skipped(steps, other)
    return len(other) in reached


def _skipped(reached: Iterable[int], names: tuple[str, ...]) -> set[int]:
    """Add what is reached where `**` is for no name."""
    found = set(reached)
    for at, name in enumerate(names):
        if at in found and name == _ANYTHING_BELOW:
            found.add(at + 1)
    return found


def _may_equal(one: str, other: str) -> bool:
    """Say whether there may be a name that both segments match."""
    mine, theirs = matcher_of(one), matcher_of(other)
    if isinstance(mine, str):
        return mine == theirs if isinstance(theirs, str) else bool(theirs(mine))
    return bool(mine(theirs)) if isinstance(theirs, str) else True
