"""How much an evaluation holds and does, so that a short expression cannot take all of a machine.

The runner counts the results that are held at a time, and so does this (management §5.4). It does
not count what was dropped again, which lets an expression run for minutes; this does, too.
"""

from typing import Final

from runcache.expressions.values import Value

MAX_HELD_BYTES: Final = 2**20
MAX_SPENT_BYTES: Final = 2**22

STRING_BYTES: Final = 26
CHAR_BYTES: Final = 2
OBJECT_BYTES: Final = 24
POINTER_BYTES: Final = 8


class Memory:
    """What the evaluation of one expression holds, by the level of the nodes in its tree.

    Raises:
        ValueError: a limit is exceeded.
    """

    def __init__(self) -> None:
        self._by_level: list[int] = []
        self._held_bytes = 0
        self._spent_bytes = 0

    def hold(self, level: int, value: Value, *, new_bytes: int = 0) -> None:
        """Count the result of a node, and drop those below it, unless it may refer to them.

        `new_bytes` is what was made for it, which counts if it is an array or object: the size of
        all others is known.
        """
        while len(self._by_level) <= level:
            self._by_level.append(0)
        taken = size_of(value)
        if isinstance(value, list | dict):
            taken += new_bytes
        else:
            self._held_bytes -= sum(self._by_level[level + 1 :])
            del self._by_level[level + 1 :]
        self._by_level[level] += taken
        self._held_bytes += taken
        self.spend(taken)
        if self._held_bytes > MAX_HELD_BYTES:
            raise _exceeded(MAX_HELD_BYTES, "at a time")

    def spend(self, size_bytes: int) -> None:
        """Count what is made or looked at."""
        self._spent_bytes += size_bytes
        if self._spent_bytes > MAX_SPENT_BYTES:
            raise _exceeded(MAX_SPENT_BYTES, "altogether")


class Counter:
    """Counts what one result takes while it grows.

    Raises:
        ValueError: a limit is exceeded.
    """

    def __init__(self, memory: Memory) -> None:
        self._memory = memory
        self.taken_bytes = 0

    def add(self, size_bytes: int) -> None:
        """Count more."""
        self.taken_bytes += size_bytes
        self._memory.spend(size_bytes)
        if self.taken_bytes > MAX_HELD_BYTES:
            raise _exceeded(MAX_HELD_BYTES, "at a time")


class Text:
    """A string that is put together piece by piece, and counted."""

    def __init__(self, counter: Counter) -> None:
        self._counter = counter
        self._pieces: list[str] = []

    def add(self, piece: str) -> None:
        """Append a piece.

        Raises:
            ValueError: a limit is exceeded.
        """
        self._counter.add(size_of(piece))
        self._pieces.append(piece)

    def __str__(self) -> str:
        return "".join(self._pieces)


def size_of(value: Value) -> int:
    """Return the bytes that a value counts for by itself, without what it refers to."""
    return STRING_BYTES + CHAR_BYTES * len(value) if isinstance(value, str) else OBJECT_BYTES


def _exceeded(limit: int, when: str) -> ValueError:
    return ValueError(f"the evaluation takes more than {limit // 2**20} MiB {when}")
