"""How parts become one object of S3, where each piece but the last has 5 MiB or more (pure)."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from runcache.model import Part

LEAST_BYTES: Final = 5 * 1024**2
"""The least that S3 takes as a piece, unless it is the last one."""

MOST_PIECES: Final = 10_000
# What is copied at once: it must take less time than a request may be silent.
_COPIED_BYTES: Final = 256 * 1024**2
# What joining may take of the memory.
_JOINED_AT_MOST_BYTES: Final = 64 * 1024**2


@dataclass(frozen=True, slots=True)
class Slice:
    """`count` bytes of a part, from `offset`."""

    part: str
    offset: int
    count: int


@dataclass(frozen=True, slots=True)
class Copied:
    """A piece that the store copies by itself."""

    source: Slice


@dataclass(frozen=True, slots=True)
class Joined:
    """A piece that is read and written again, since what it is made of is too small."""

    sources: tuple[Slice, ...]

    @property
    def size_bytes(self) -> int:
        """How long it is."""
        return sum(source.count for source in self.sources)


Piece = Copied | Joined


def least_bytes(total_bytes: int) -> int | None:
    """Return how large pieces of a blob must be to be few enough; `None`: it cannot be composed."""
    least = max(LEAST_BYTES, 2 * total_bytes // MOST_PIECES)
    return least if least <= _JOINED_AT_MOST_BYTES else None


def pieces_of(parts: Sequence[Part], least: int = LEAST_BYTES) -> Iterator[Piece]:
    """Yield the pieces that `parts` make in their order.

    Each has `least` bytes or more, but for the last one, and a joined one has less than twice as
    many.
    """
    waiting: list[Slice] = []
    waiting_bytes = 0
    for part in parts:
        offset = 0
        while offset < part.size_bytes:
            left_bytes = part.size_bytes - offset
            if not waiting and left_bytes >= least:
                count = _copied_bytes(left_bytes, least)
                yield Copied(Slice(part.name, offset, count))
            else:
                count = min(left_bytes, least - waiting_bytes)
                if left_bytes - count < least and waiting_bytes + left_bytes < 2 * least:
                    # The rest would be too small to be copied.
                    count = left_bytes
                waiting.append(Slice(part.name, offset, count))
                waiting_bytes += count
            offset += count
            if waiting_bytes >= least:
                yield Joined(tuple(waiting))
                waiting, waiting_bytes = [], 0
    if waiting:
        yield Joined(tuple(waiting))


def _copied_bytes(left_bytes: int, least: int) -> int:
    """Return how much of the rest of a part is copied at once; what is left is none or enough."""
    if left_bytes <= _COPIED_BYTES:
        return left_bytes
    return _COPIED_BYTES if left_bytes - _COPIED_BYTES >= least else left_bytes - least
