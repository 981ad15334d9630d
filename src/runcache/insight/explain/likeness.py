"""How a key is like the ones that were asked for, and what is odd about those."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Final

from runcache.insight.explain.values import Cause
from runcache.javascript import BLANKS
from runcache.model import MatchKind
from runcache.records import family_of

_JOINING: Final = "-_./:|+"
_SEPARATORS: Final = f"{_JOINING} "
_PARTS: Final = re.compile(rf"([{re.escape(_SEPARATORS)}]+)")
_DOUBLED: Final = re.compile(r"--|__|\.\.|//|::|\|\|")
_BLANKS: Final = re.compile(f"[{BLANKS}]+")
_SAME: Final[Sequence[tuple[Cause | None, Callable[[str, str], bool]]]] = (
    (None, lambda key, wanted: key == wanted),
    (Cause.OTHER_BLANKS, lambda key, wanted: _without_blanks(key) == _without_blanks(wanted)),
    (Cause.OTHER_CASE, lambda key, wanted: key.casefold() == wanted.casefold()),
)
_BEGINNINGS: Final[Sequence[tuple[Cause | None, Callable[[str, str], bool]]]] = (
    (None, str.startswith),
    (Cause.OTHER_CASE, lambda key, wanted: key.casefold().startswith(wanted.casefold())),
)
OTHER_HASH: Final = len(_SAME) + len(_BEGINNINGS)
SIMILAR: Final = OTHER_HASH + 1
# Below these keys have little more in common than the name of a system.
_FROM: Final = 0.75
_FROM_WITH_SAME_BEGINNING: Final = 0.5
_MAX_SPELT: Final = 64
_MAX_PARTS: Final = 32


@dataclass(frozen=True, slots=True)
class Alike:
    """How a key is like one that was asked for.

    Attributes:
        rank: 0 for the key itself; the higher, the less alike.
        kind: how an entry with this key would have answered, were it not for `cause`.
        cause: what is different about the key, `None` if it does answer.
        asked: the key that it is like.
        similarity: from 0 to 1; of keys that are merely alike it is below 1.
    """

    rank: int
    kind: MatchKind | None
    cause: Cause | None
    asked: str
    similarity: float = 1


def alike(keys: Sequence[str], key: str) -> Alike | None:
    """Return how `key` is like one of `keys`, which begin with the key itself, or `None`."""
    wanted = keys[0]
    for rank, (cause, is_same) in enumerate(_SAME):
        if is_same(key, wanted):
            return Alike(rank, MatchKind.EXACT, cause, wanted)
    for rank, (cause, begins) in enumerate(_BEGINNINGS, start=len(_SAME)):
        for position, prefix in enumerate(keys):
            if begins(key, prefix):
                kind = MatchKind.RESTORE_KEY if position else MatchKind.PREFIX
                return Alike(rank, kind, cause, prefix)
    return None


def merely_alike(wanted: str, key: str) -> Alike | None:
    """Return how `key` is like `wanted` if it is neither the same nor a beginning, or `None`.

    That takes up to a millisecond.
    """
    similarity = _similarity(key, wanted)
    if family_of(key) == family_of(wanted):
        return Alike(OTHER_HASH, None, Cause.OTHER_HASH, wanted, similarity)
    return Alike(SIMILAR, None, Cause.SIMILAR_KEY, wanted, similarity) if similarity else None


def spellings(key: str) -> tuple[str, ...]:
    """Return other ways to write `key` that happen by mistake."""
    ways = (key.strip(BLANKS), key.lower(), key.upper(), key[:1].swapcase() + key[1:])
    return tuple(way for way in dict.fromkeys(ways) if way and way != key)


def has_empty_part(key: str) -> bool:
    """Say whether `key` looks as if something in it had no value, `hashFiles` for example."""
    return key[-1] in _JOINING or key[0] in _JOINING or bool(_DOUBLED.search(key))


def shared_prefix(one: str, other: str) -> str | None:
    """Return the restore key that finds both keys: how they begin, up to a separator."""
    length = next(
        (i for i, (a, b) in enumerate(zip(one, other, strict=False)) if a != b),
        min(len(one), len(other)),
    )
    end = max(one.rfind(separator, 0, length) for separator in _SEPARATORS)
    return one[: end + 1] if end > 0 else None


def _similarity(one: str, other: str) -> float:
    """Return how alike two keys are, 0 if they are not.

    They are compared part by part, since hashes that begin alike have nothing in common, and letter
    by letter for the sake of what is misspelt.
    """
    parts, others = ([*_PARTS.split(text.casefold())][:_MAX_PARTS] for text in (one, other))
    by_parts = SequenceMatcher(None, parts, others, autojunk=False).ratio()
    if by_parts >= (_FROM_WITH_SAME_BEGINNING if parts[0] == others[0] else _FROM):
        return by_parts
    if max(len(one), len(other)) > _MAX_SPELT:
        return 0
    letters = SequenceMatcher(None, one, other, autojunk=False)
    # A bound that is quick comes first.
    similarity = letters.ratio() if letters.quick_ratio() >= _FROM else 0
    return similarity if similarity >= _FROM else 0


def _without_blanks(text: str) -> str:
    return _BLANKS.sub("", text)
