"""Where each character of a YAML scalar was written.

What a scalar means and what was written differ by quotation marks, escapes, indentation and folded
line ends. The characters that are not blank are the same ones in the same order, so the two are
walked together; blanks between them only have to be skipped.
"""

from enum import Enum
from functools import lru_cache
from typing import Final

BLANKS: Final = frozenset(" \t\r\n\x85\u2028\u2029")  # to YAML: no other space is one

_DIGITS_OF_ESCAPE: Final = {"x": 2, "u": 4, "U": 8}


class Style(Enum):
    """How a scalar is written."""

    PLAIN = ""
    SINGLE_QUOTED = "'"
    DOUBLE_QUOTED = '"'
    LITERAL = "|"
    FOLDED = ">"

    @property
    def is_block(self) -> bool:
        """Whether it has a header line, and its text on the lines below."""
        return self in {Style.LITERAL, Style.FOLDED}


@lru_cache(maxsize=256)
def offsets(written: str, text: str, style: Style) -> tuple[int, ...]:
    """Return for each character of `text`, and for its end, the offset in `written`."""
    at = _start_of(written, style)
    found = []
    for char in text:
        at = _after_what_means_nothing(written, at, char, style)
        found.append(at)
        at += _width(written, at, char, style)
    found.append(at)
    return tuple(min(offset, len(written)) for offset in found)


def _start_of(written: str, style: Style) -> int:
    if style.is_block:
        return written.find("\n") + 1 or len(written)
    return 0 if style is Style.PLAIN else 1


def _after_what_means_nothing(written: str, at: int, char: str, style: Style) -> int:
    """Skip escaped line ends, and blanks that do not stand for the blank `char`."""
    while at < len(written):
        if style is Style.DOUBLE_QUOTED and _is_escaped_line_end(written, at):
            at += 2
            while at < len(written) and written[at] in BLANKS:
                at += 1
        elif written[at] in BLANKS and char not in BLANKS:
            at += 1
        else:
            break
    return at


def _is_escaped_line_end(written: str, at: int) -> bool:
    return written[at] == "\\" and written[at + 1 : at + 2] in {"\n", "\r"}


def _width(written: str, at: int, char: str, style: Style) -> int:
    """Return how many characters stand for `char`."""
    first = written[at : at + 1]
    if style is Style.DOUBLE_QUOTED and first == "\\":
        return 2 + _DIGITS_OF_ESCAPE.get(written[at + 1 : at + 2], 0)
    if style is Style.SINGLE_QUOTED and char == "'":
        return 2
    # A folded line end stands for a blank; a line end that was folded away stands for nothing.
    return 0 if char in BLANKS and first not in BLANKS else 1
