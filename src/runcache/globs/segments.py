"""One segment of a pattern: what stands between two slashes (management §5.2).

GitHub's library compares UTF-16 units: `?` is half of an emoji. So segments, and the names they are
compared with, come as text in which each half of a surrogate pair is a character of its own.
"""

import re
from collections.abc import Callable, Iterator
from typing import Final, NamedTuple

Accepts = Callable[[str], object]


class _Piece(NamedTuple):
    """A regular expression, and the character that it is for if there is only one."""

    expression: str
    char: str = ""


_ONE: Final = _Piece(".")
_ANY: Final = _Piece(".*")
# Such as `[z-a]`: a range that ends before it begins is dropped.
_NONE: Final = _Piece("(?!)")


def literal_of(segment: str) -> str:
    """Return the one name that `segment` is for, or an empty text if it may be for several.

    It decides where a search begins. As in GitHub's library it differs from `matcher_of` in what it
    takes for a set: `[!]` is an escaped `!` here, and a bracket that is never closed there.
    """
    literal: list[str] = []
    position, may_close = 0, True
    while position < len(segment):
        char, width = segment[position], 1
        if char in "*?":
            return ""
        if char == "\\" and position + 1 < len(segment):
            char, width = segment[position + 1], 2
        elif char == "[" and may_close:
            content, end = _bracketed(segment, position + 1)
            if len(content) > 1:
                return ""
            if content:
                char, width = content, end - position
            # Behind a bracket that is never closed none is: looking again would take long.
            may_close = end > 0
        literal.append(char)
        position += width
    return "".join(literal)


def _bracketed(segment: str, position: int) -> tuple[str, int]:
    """Return what stands before the next `]`, without escapes, and its end: or nothing and 0."""
    content: list[str] = []
    while position < len(segment):
        char = segment[position]
        if char == "]":
            return "".join(content), position + 1
        if char == "\\" and position + 1 < len(segment):
            position += 1
            char = segment[position]
        content.append(char)
        position += 1
    return "", 0


def matcher_of(segment: str) -> str | Accepts:
    """Return the one name that `segment` is for, or a function that says whether a name is.

    No name may be empty. The time that the function takes grows with the product of both lengths
    at most: no segment makes it slow.
    """
    pieces = list(_pieces(segment))
    if all(piece.char for piece in pieces):
        return "".join(piece.char for piece in pieces)
    chunks = [""]
    for piece in pieces:
        if piece is not _ANY:
            chunks[-1] += piece.expression
        elif chunks[-1] or len(chunks) == 1:
            chunks.append("")
    if len(chunks) == 1:
        return re.compile(chunks[0], re.DOTALL).fullmatch
    # What stands between two stars is taken where it comes first, for good: what does not fit
    # behind that place fits behind no later one, and to try them all takes exponential time.
    first, *others, last = chunks
    taken = "".join(f"(?>.*?{chunk})" for chunk in others)
    return re.compile(f"{first}{taken}.*{last}", re.DOTALL).fullmatch


def _pieces(segment: str) -> Iterator[_Piece]:
    position, may_close = 0, True
    while position < len(segment):
        char, width = segment[position], 1
        piece = {"*": _ANY, "?": _ONE}.get(char)
        if char == "\\" and position + 1 < len(segment):
            char, width = segment[position + 1], 2
        elif char == "[" and may_close:
            piece, end = _set(segment, position + 1)
            may_close = end > 0
            width = max(end - position, 1)
        yield piece or _Piece(re.escape(char), char)
        position += width


def _set(segment: str, position: int) -> tuple[_Piece | None, int]:
    """Return the set whose bracket is before `position`, and its end: nothing and 0 if it has none.

    Classes such as `[:lower:]` are characters like others, as they are to GitHub's runner.
    """
    negation = "^" if segment[position : position + 1] in {"!", "^"} else ""
    ranges, end = _ranges(segment, position + len(negation))
    if end == 0:
        return None, 0
    if not ranges:
        return _NONE, end
    if len(ranges) == 1 and ranges[0][0] == ranges[0][1] and not negation:
        char = ranges[0][0]
        return _Piece(re.escape(char), char), end
    inside = "".join(f"{re.escape(low)}-{re.escape(high)}" for low, high in ranges)
    return _Piece(f"[{negation}{inside}]"), end


def _ranges(segment: str, position: int) -> tuple[list[tuple[str, str]], int]:
    """Return the first and last character of each range in a set, and where the set ends."""
    begin, is_escaped, low = position, False, ""
    ranges: list[tuple[str, str]] = []
    while position < len(segment):
        char = segment[position]
        if char == "]" and position > begin and not is_escaped:
            return ranges, position + 1
        position += 1
        if char == "\\" and not is_escaped:
            is_escaped = True
            continue
        is_escaped = False
        if low:
            if low <= char:
                ranges.append((low, char))
            low = ""
        elif segment.startswith("-]", position):
            ranges += [(char, char), ("-", "-")]
            position += 1
        elif segment.startswith("-", position):
            low = char
            position += 1
        else:
            ranges.append((char, char))
    return [], 0
