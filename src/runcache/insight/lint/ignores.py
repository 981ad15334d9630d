"""Comments that silence rules: `# runcache: ignore[rule, rule]`.

A comment holds for its own line and the next one. What is written on several lines, such as the
block of a `path`, can be silenced where it begins.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from runcache.insight.lint.source import Place, Source

_COMMENT: Final = re.compile(r"(?:^|(?<=[ \t]))#\s*runcache:\s*ignore\[([^\]\n]*)\]", re.MULTILINE)
_RULE: Final = re.compile(r"[^\s,]+")


@dataclass(frozen=True, slots=True)
class Ignore:
    """A rule that is silenced on the line `line` and the next one, and where that is said."""

    rule: str
    line: int
    place: Place


def ignores_of(source: Source) -> Iterator[Ignore]:
    """Yield the rules that the comments of a file silence.

    What looks like such a comment within a script is one, too.
    """
    for found in _COMMENT.finditer(source.text):
        line = source.position(found.start()).line
        for rule in _RULE.finditer(found[1]):
            start = found.start(1) + rule.start()
            yield Ignore(rule[0], line, Place(start, start + len(rule[0])))


def silenced_lines(ignores: Iterable[Ignore]) -> Mapping[str, set[int]]:
    """Return the lines on which each rule is silenced."""
    lines: dict[str, set[int]] = {}
    for ignore in ignores:
        lines.setdefault(ignore.rule, set()).update((ignore.line, ignore.line + 1))
    return lines


def lines_of(place: Place, source: Source) -> set[int]:
    """Return where a rule can be silenced for a place: the lines where it and its value begin."""
    begins = place.start if place.within is None else place.within
    return {source.position(place.start).line, source.position(begins).line}
