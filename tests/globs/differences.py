"""Runs searches here and in GitHub's library, and knows where the two may differ.

What the runner does is right: the library that it ships is older than `@actions/glob` 0.7, and has
none of the flaws in this table (management §5.2). What is no row of it is a mistake, here or there.
"""

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, Final, Literal

from runcache.errors import FileUnreadable, InvalidPattern
from runcache.globs.hashing import hash_files
from runcache.globs.patterns import read_patterns
from runcache.globs.walk import search
from tests.globs.trees import Search
from tests.node_batches import answers


@dataclass(frozen=True, slots=True)
class Outcome:
    """What was found in which order, and its digest if it is one of `hashFiles`; or what failed."""

    files: tuple[str, ...] = ()
    digest: str | None = None
    failed: Literal["pattern", "file"] | None = None
    message: str = field(default="", compare=False)


@dataclass(frozen=True, slots=True)
class Compared:
    """A search and its two outcomes."""

    search: Search
    ours: Outcome
    theirs: Outcome

    def agrees(self) -> bool:
        """Say whether both found the same, or failed for the same kind of reason."""
        return self.ours == self.theirs

    def reason(self) -> str | None:
        """Return why the two differ, or None if nothing in the table explains it."""
        return next((row.reason for row in DIFFERENCES if row.applies(self)), None)

    def __str__(self) -> str:
        return f"{self.search}\n    here:  {self.ours}\n    there: {self.theirs}"


def compared(searches: Iterable[Search], *, library: str = "glob") -> Iterator[Compared]:
    """Search on both sides; there in one process of Node. The library `older` hashes nothing."""
    kept = list(searches)
    hashes = library == "glob"
    questions = [_question(one, library, hashes=hashes) for one in kept]
    for one, answer in zip(kept, answers("globs.mjs", questions), strict=True):
        yield Compared(one, outcome_of(one, hashes=hashes), _outcome(answer))


def outcome_of(one: Search, *, hashes: bool = True) -> Outcome:
    """Search here."""
    try:
        patterns = read_patterns(
            one.patterns,
            root=str(one.folder),
            home=str(one.home),
            implicit_descendants=one.implicit_descendants,
        )
        found = search(patterns, follow_links=one.follow_links)
        files = tuple(item.path for item in found)
        return Outcome(files, _digest(one) if hashes and one.implicit_descendants else None)
    except InvalidPattern as exc:
        return Outcome(failed="pattern", message=str(exc))
    except FileUnreadable as exc:
        return Outcome(failed="file", message=str(exc))


def _digest(one: Search) -> str:
    return hash_files(
        one.patterns, root=one.folder, home=one.home, follow_symbolic_links=one.follow_links
    )


def _question(one: Search, library: str, *, hashes: bool) -> dict[str, Any]:
    return {
        "library": library,
        "folder": str(one.folder),
        "home": str(one.home),
        "patterns": one.patterns,
        "options": {
            "followSymbolicLinks": one.follow_links,
            "implicitDescendants": one.implicit_descendants,
        },
        **({"workspace": str(one.folder)} if hashes and one.implicit_descendants else {}),
    }


def _outcome(answer: dict[str, Any]) -> Outcome:
    if "error" in answer:
        failed: Literal["pattern", "file"] = (
            "pattern" if answer["error"]["code"] == "ERR_ASSERTION" else "file"
        )
        return Outcome(failed=failed, message=answer["error"]["message"])
    return Outcome(tuple(answer["files"]), answer.get("digest"))


def segments_of(one: Search) -> Iterator[list[str]]:
    """Yield the segments of each pattern of a search."""
    for line in "\n".join(one.patterns).split("\n"):
        pattern = line.strip().lstrip("! \t")
        if pattern and not pattern.startswith("#"):
            yield [segment for segment in pattern.split("/") if segment]


def _has_segment(expression: str) -> Callable[[Compared], bool]:
    compiled = re.compile(expression)
    return lambda case: any(
        compiled.search(segment) for segments in segments_of(case.search) for segment in segments
    )


def _has_uneven_sections(case: Compared) -> bool:
    """Say whether a pattern has different numbers of segments between its `**`."""
    for segments in segments_of(case.search):
        stars = [number for number, segment in enumerate([*segments, "**"]) if segment == "**"]
        lengths = {after - before - 1 for before, after in pairwise(stars)}
        if len(lengths - {0}) > 1:
            return True
    return False


def _is_excluded_in_vain(case: Compared) -> bool:
    return (
        case.ours.failed is None
        and case.theirs.failed == "file"
        and any("!" in pattern for pattern in case.search.patterns)
    )


@dataclass(frozen=True, slots=True)
class Difference:
    """A place where `@actions/glob` 0.7 differs from what is done here.

    `applies` says whether the difference of a search may be due to it. `patterns` and `path` are an
    example: a file that they match on one side only, or a link to itself. Release 0.1 of the
    library, which has an older `minimatch`, does as we do unless `older_differs_too`.
    """

    reason: str
    patterns: tuple[str, ...]
    path: str
    applies: Callable[[Compared], bool]
    is_loop: bool = False
    older_differs_too: bool = False


DIFFERENCES: Final = (
    Difference(
        "a class such as `[:lower:]` is one to `minimatch` 10, and characters to the runner",
        ("[[:lower:]]",),
        "l]",
        _has_segment(r"\[.*\[:[a-z]+:\]"),
    ),
    Difference(
        "a backslash is itself where only stars or question marks come before it",
        ("*\\.js",),
        "a.js",
        _has_segment(r"^(\*+|\?+)[^+@!?*\[(]*\\"),
    ),
    Difference(
        "an escaped `|` beside a wildcard is an alternative",
        ("a\\|b*",),
        "abc",
        _has_segment(r"\\\|"),
    ),
    Difference(
        "names between several `**` are missed if their numbers differ",
        ("**/a/b/**/c/**/d",),
        "a/b/c/d",
        _has_uneven_sections,
        older_differs_too=True,
    ),
    Difference(
        "what is taken out again is looked at, though it cannot be read",
        ("**", "!loop"),
        "loop",
        _is_excluded_in_vain,
        is_loop=True,
        older_differs_too=True,
    ),
)
