"""Which part of all bytes a check reads: a group of blobs that is always the same, or a sample."""

import hashlib
import random
import re
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from typing import Final, TypeAlias

from runcache.quantities import parse_size

Chooser: TypeAlias = Callable[[str], bool]

_GROUP: Final = re.compile(r"([0-9]{1,9})/([0-9]{1,9})", re.ASCII)
_PERCENTAGE: Final = re.compile(r"([0-9]{1,3}(?:\.[0-9]{1,6})?) ?%", re.ASCII)
_EXAMPLES: Final = "`1/10`, `5%` or `2GB`"
_WHOLE: Final = Fraction(1)


@dataclass(frozen=True, slots=True)
class Group:
    """Group `number` of `count`, from 1 on. Whoever checks each of them has read every blob."""

    number: int
    count: int

    def chooser(self, blob_count: int, size_bytes: int) -> Chooser:  # noqa: ARG002  -- as below
        """Return what says which blobs are of it, whatever else there is."""
        return lambda name: _spread(name) % self.count == self.number - 1


@dataclass(frozen=True, slots=True)
class Percentage:
    """So many of a hundred blobs, at random, and at least one."""

    percent: Fraction

    def chooser(self, blob_count: int, size_bytes: int) -> Chooser:  # noqa: ARG002  -- as below
        """Return what says, asked once for each of `blob_count` blobs, which are chosen."""
        return _Sample(blob_count, self.percent / 100).takes


@dataclass(frozen=True, slots=True)
class Amount:
    """As many blobs, at random, as have about so many bytes together, and at least one."""

    size_bytes: int

    def chooser(self, blob_count: int, size_bytes: int) -> Chooser:
        """Return what says, asked once for each blob, which are chosen of `size_bytes` in all."""
        share = min(_WHOLE, Fraction(self.size_bytes, size_bytes)) if size_bytes else _WHOLE
        return _Sample(blob_count, share).takes


Subset: TypeAlias = Group | Percentage | Amount

EVERYTHING: Final = Group(1, 1)


def parse_subset(text: str) -> Subset:
    """Read a subset as restic has them: `n/t`, a percentage or a size.

    Raises:
        ValueError: it is none of these, or nothing, or more than all.
    """
    text = text.strip()
    if found := _GROUP.fullmatch(text):
        group = Group(int(found[1]), int(found[2]))
        if not 1 <= group.number <= group.count:
            raise ValueError(f"`{text}` is no group from `1/{group.count}` on")
        return group
    if found := _PERCENTAGE.fullmatch(text):
        percent = Fraction(found[1])
        if not 0 < percent <= 100:  # noqa: PLR2004  -- of a hundred
            raise ValueError(f"`{text}` is not above `0%` and up to `100%`")
        return Percentage(percent)
    try:
        size_bytes = parse_size(text)
    except ValueError:
        raise ValueError(f"`{text}` is not such as {_EXAMPLES}") from None
    if size_bytes == 0:
        raise ValueError(f"`{text}` is nothing to read")
    return Amount(size_bytes)


class _Sample:
    """A random sample of exactly the wanted size, chosen while all pass by once (Knuth's S)."""

    def __init__(self, blob_count: int, share: Fraction) -> None:
        self._left = blob_count
        self._wanted = min(blob_count, max(1, round(blob_count * share)))
        self._random = random.Random()  # noqa: S311  -- nobody gains by foreseeing it

    def takes(self, _name: str) -> bool:
        takes = self._random.random() * self._left < self._wanted
        self._left -= 1
        self._wanted -= takes
        return takes


def _spread(name: str) -> int:
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big")
