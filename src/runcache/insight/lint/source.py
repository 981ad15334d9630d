"""The text of a file, and places in it: lines and columns as people and GitHub count them."""

from bisect import bisect_right
from dataclasses import dataclass, field, replace
from typing import Final
from unicodedata import east_asian_width

REACH: Final = 120  # how much of a line is shown on each side of a place


@dataclass(frozen=True, slots=True)
class Position:
    """A line and a column, both counted from 1; a column is a character."""

    line: int
    column: int


@dataclass(frozen=True, slots=True)
class Place:
    """The characters `start` to `end`, which is not included, of a source.

    `within` is where the value begins that they are a part of, if they are.
    """

    start: int
    end: int
    within: int | None = None


@dataclass(frozen=True, slots=True)
class Source:
    """A file by the name that it is shown with, and its text.

    Lines end with LF or CRLF.
    """

    name: str
    text: str
    _starts: tuple[int, ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        starts = [0, *(at + 1 for at, char in enumerate(self.text) if char == "\n")]
        object.__setattr__(self, "_starts", tuple(starts))

    def position(self, offset: int) -> Position:
        """Return where the character at `offset` is; the end of the text is a position too."""
        line = bisect_right(self._starts, offset)
        return Position(line, offset - self._starts[line - 1] + 1)

    def line(self, number: int) -> str:
        """Return a line without its end."""
        start = self._starts[number - 1]
        end = self._starts[number] if number < len(self._starts) else len(self.text)
        return self.text[start:end].rstrip("\r\n")

    def first_line_of(self, place: Place) -> Place:
        """Return what of `place` is on its first line, without blanks at its end."""
        start = self.position(place.start)
        line = self.line(start.line)
        taken = line[start.column - 1 : start.column - 1 + place.end - place.start].rstrip()
        return replace(place, end=place.start + len(taken))

    def excerpt(self, place: Place) -> str:
        """Return the line where `place` begins, and below it carets under what is meant.

        Of a long line only what is near is shown.
        """
        position = self.position(place.start)
        line, at = self.line(position.line), position.column - 1
        first, last = max(0, at - REACH), at + REACH
        before = ("…" if first else "") + line[first:at]
        behind = line[at:last] + ("…" if last < len(line) else "")
        meant = line[at : min(place.end - place.start + at, last)]
        # A tab is as wide in both lines; East Asian characters take two columns.
        indent = "".join("\t" if char == "\t" else " " * _width(char) for char in before)
        return f"{before}{behind}\n{indent}{'^' * max(1, sum(map(_width, meant)))}"


def _width(char: str) -> int:
    return 2 if east_asian_width(char) in "WF" else 1
