"""Patterns as `@actions/glob` reads them (management §5.2)."""

import os
from collections.abc import Iterable, Iterator, Sequence
from itertools import takewhile
from pathlib import Path
from typing import Final

import msgspec

from runcache.errors import InvalidPattern
from runcache.globs.segments import Accepts, literal_of, matcher_of
from runcache.javascript import BLANKS, text_of, units_of

# What a path is matched as, in bits, for a later pattern may take back one of them.
NOTHING: Final = 0
FOLDER: Final = 1
FILE: Final = 2
ANYTHING: Final = FOLDER | FILE

MAX_CHARACTERS: Final = 64 * 1024

_GLOBSTAR: Final = "**"


class Pattern(msgspec.Struct, frozen=True):
    """One pattern, from the top of the file system on.

    Attributes:
        segments: what the names of a path must be, in UTF-16 units: one name, or what a function
            accepts, or for `None` any number of names. No `None` follows another.
        search_path: the folder or file where a search begins.
        is_negated: whether it takes back what patterns before it match.
        matches: what the path that it describes is matched as.
        matches_below: what paths below that are matched as, if the last segment is `None`.
    """

    segments: tuple[str | Accepts | None, ...]
    search_path: str
    is_negated: bool
    matches: int
    matches_below: int


def read_patterns(
    texts: Iterable[str], *, root: str, home: str | None = None, implicit_descendants: bool = True
) -> list[Pattern]:
    """Return the patterns in `texts`, each of which may have several lines, in order.

    Args:
        texts: as they are given to `hashFiles`; empty lines and comments are left out.
        root: the absolute path that relative patterns begin at.
        home: what `~` stands for; by default the home folder of the user.
        implicit_descendants: whether a pattern matches all that is below what it describes, too.

    Raises:
        InvalidPattern: GitHub's library does not accept one, or no file name is like it.
    """
    lines = (line.strip(BLANKS) for text in texts for line in text.split("\n"))
    return [
        _read(line, root=root, home=home, implicit_descendants=implicit_descendants)
        for line in lines
        if line and not line.startswith("#")
    ]


def _read(line: str, *, root: str, home: str | None, implicit_descendants: bool) -> Pattern:
    _check(line)
    text = line.lstrip("!" + BLANKS)
    negations = line[: len(line) - len(text)].count("!")
    segments = [segment for segment in units_of(text).split("/") if segment]
    is_absolute = text.startswith("/")
    folder = "/" if is_absolute else _home(line, home) if segments[0] == "~" else root
    if not is_absolute and segments[0] in {".", "~"}:
        del segments[0]
    literals = [literal_of(segment) for segment in segments]
    if "." in literals or ".." in literals:
        raise InvalidPattern(line, "`..` is not allowed, and `.` only at its beginning")
    base = [name for name in units_of(os.path.normpath(folder)).split("/") if name]
    matchers = [*base, *_matchers(segments)]
    if implicit_descendants and matchers[-1:] != [None]:
        matchers.append(None)
    matches = FOLDER if text.endswith("/") else ANYTHING
    return Pattern(
        tuple(matchers),
        search_path=text_of("/" + "/".join([*base, *takewhile(bool, literals)])),
        is_negated=negations % 2 == 1,
        matches=matches,
        # What is in the folder that `x/` describes may be a file again.
        matches_below=ANYTHING if implicit_descendants else matches,
    )


def _check(line: str) -> None:
    if not line.strip("!" + BLANKS):
        raise InvalidPattern(line, "there is nothing behind `!`")
    if len(line) > MAX_CHARACTERS:
        raise InvalidPattern(line, f"it has more than {MAX_CHARACTERS} characters")
    if "\0" in line:
        raise InvalidPattern(line, "it holds a NUL")
    try:
        os.fsencode(line)
    except UnicodeEncodeError:
        raise InvalidPattern(line, "it holds half of a surrogate pair") from None


def _home(line: str, home: str | None) -> str:
    folder = str(Path.home()) if home is None else home
    if not folder.startswith("/"):
        raise InvalidPattern(line, f"the home folder `{folder}` is not an absolute path")
    return folder


def _matchers(segments: Sequence[str]) -> Iterator[str | Accepts | None]:
    """Yield what each segment stands for, equal ones as the same object, repeated `**` once."""
    matchers = {segment: matcher_of(segment) for segment in {*segments} - {_GLOBSTAR}}
    for before, segment in zip(["", *segments], segments, strict=False):
        if segment != _GLOBSTAR:
            yield matchers[segment]
        elif before != _GLOBSTAR:
            yield None
