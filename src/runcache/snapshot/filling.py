"""Ranges are fetched, uncompressed, verified and written, by several threads of one process or two.

The second one does the second half of a large restore, of which nothing is visible yet.
"""

from collections.abc import Iterable, Sequence
from contextlib import closing, nullcontext
from threading import Lock
from typing import Final

import msgspec

from runcache.progress import Progress
from runcache.snapshot.crew import Crew
from runcache.snapshot.fetching import Fetcher, Opener, Range, Use
from runcache.snapshot.forking import may_fork_now
from runcache.snapshot.ledger import Ledger
from runcache.snapshot.limits import KIB, MIB
from runcache.snapshot.packs import PackSource
from runcache.snapshot.scan import Stamp
from runcache.snapshot.twin import Twin
from runcache.snapshot.writing import Writer

# The pieces of large files are longer, but for the last one.
_SMALL_BYTES: Final = 64 * KIB
# So many more threads fetch than write: they wait for the network, while the others work.
_WAITING_THREADS: Final = 2
# A piece costs as much as so many bytes, and below so much in all a twin costs more than it saves.
_PIECE_COST: Final = 16 * KIB
_TWIN_COST: Final = 96 * MIB


class Hands(msgspec.Struct, frozen=True, kw_only=True):
    """Who does the work of a restore.

    `threads` of each process write. With `may_fork`, and where no other thread runs, a second
    process does half of what is large.
    """

    threads: int = 2
    may_fork: bool = False


TWO_THREADS: Final = Hands()


def fill(
    ranges: Sequence[Range], ledger: Ledger, source: PackSource, progress: Progress, hands: Hands
) -> None:
    """Fetch and write all ranges; in the end nothing is written any more, come what may.

    Raises:
        TwinLost: the second process was killed.
        and whatever fetching and writing raise, in whichever process.
    """
    first, second = _halves(ranges) if hands.may_fork and _suits(ledger) else (ranges, ())

    def do_second(telling: Progress) -> bytes:
        before = dict(ledger.missing)
        _fill(second, ledger, source, telling, hands.threads)
        return msgspec.msgpack.encode(_Share.of(ledger, before))

    twin = Twin.forked(do_second) if second else None
    if twin is None:
        _fill(ranges, ledger, source, progress, hands.threads)
        return
    with twin:
        _fill(first, ledger, source, progress, hands.threads, twin)
    msgspec.msgpack.decode(twin.result, type=_Share).add_to(ledger)


def _suits(ledger: Ledger) -> bool:
    """Say whether two processes can fill the targets, and nothing but them changes."""
    targets = [target for target in ledger.targets if target is not None]
    return may_fork_now() and all(target.is_fresh for target in targets)


def _halves(ranges: Sequence[Range]) -> tuple[Sequence[Range], Sequence[Range]]:
    """Return two parts that take equally long; the second is empty if it does not pay."""
    costs = [
        wanted.end - wanted.start + _PIECE_COST * sum(len(pieces) for _, pieces in wanted.frames)
        for wanted in ranges
    ]
    whole, count, cost = sum(costs), 0, 0
    if whole < _TWIN_COST:
        return ranges, ()
    while 2 * cost < whole:
        cost += costs[count]
        count += 1
    return ranges[:count], ranges[count:]


class _Share(msgspec.Struct, frozen=True):
    """What the second process did: `written` are chunks of files that others belong to as well."""

    stamps: dict[int, Stamp]
    written: dict[int, int]
    changed_modes: list[dict[bytes, int]]

    @classmethod
    def of(cls, ledger: Ledger, before: dict[int, int]) -> "_Share":
        """Return what a process has done that found this many chunks `missing` before."""
        lacking = ledger.missing.items()
        written = {record: before[record] - left for record, left in lacking if left}
        modes = [target.changed_modes if target else {} for target in ledger.targets]
        return cls(ledger.stamps, {k: count for k, count in written.items() if count}, modes)

    def add_to(self, ledger: Ledger) -> None:
        """Add it to what this process did, and complete the files of both."""
        ledger.stamps.update(self.stamps)
        for target, modes in zip(ledger.targets, self.changed_modes, strict=True):
            if target is not None:
                target.changed_modes.update(modes | target.changed_modes)
        with closing(Writer(ledger)) as writer:
            for record, count in self.written.items():
                ledger.missing[record] -= count
                writer.complete(record)


def _fill(
    ranges: Sequence[Range],
    ledger: Ledger,
    source: PackSource,
    progress: Progress,
    threads: int,
    twin: Twin | None = None,
) -> None:
    shared = _Shared(ledger, source, progress)
    count = min(len(ranges), threads + _WAITING_THREADS)
    tasks: list[Range | Twin] = [*ranges]
    if twin is not None:
        tasks.insert(0, twin)
        count += 1
    # Whoever shows how far it is may have a thread from now on.
    progress.advance()
    crew: Crew[Range | Twin] = Crew("restore", count, lambda: _Fetching(shared, crew))
    try:
        with crew:
            for task in tasks:
                crew.give(task)
    finally:
        shared.end()


class _Shared(msgspec.Struct, frozen=True):
    """What the threads that fetch have in common, and what each of them has.

    Of small files one thread writes at a time: of two that do, each would wait for the interpreter
    after every call to the disk, and both together would take longer. The others uncompress.
    """

    ledger: Ledger
    source: PackSource
    progress: Progress
    small_files: Lock = msgspec.field(default_factory=Lock)
    writers: list[tuple[Lock, Writer]] = msgspec.field(default_factory=list)

    def end(self) -> None:
        """Wait until nobody writes. Who waits for the network, finds later that it is too late."""
        for is_writing, writer in self.writers:
            with is_writing:
                writer.close()


class _Fetching:
    """One of the threads that fetch, uncompress, verify and write."""

    def __init__(self, shared: _Shared, crew: "Crew[Range | Twin]") -> None:
        self._shared = shared
        self._crew = crew
        self._fetcher = Fetcher(shared.source)
        self._opener = Opener(shared.ledger.manifest)
        self._writer = Writer(shared.ledger)
        self._is_writing = Lock()
        shared.writers.append((self._is_writing, self._writer))

    def __call__(self, task: Range | Twin) -> None:
        """Fetch and write a range, or hear what a twin does."""
        if isinstance(task, Twin):
            task.listen(self._shared.progress)
        else:
            self._fetch(task)

    def _fetch(self, wanted: Range) -> None:
        data = self._fetcher.fetch(wanted)
        for frame, pieces in wanted.frames:
            contents = self._opener.contents_of(frame, wanted, data)
            are_small = len(contents) < _SMALL_BYTES * len(pieces)
            with self._is_writing, self._shared.small_files if are_small else nullcontext():
                # Who verified meanwhile would take the interpreter from who writes, at each piece.
                self._write(self._opener.verified(frame, pieces, wanted, contents))

    def _write(self, pieces: Iterable[tuple[memoryview, Sequence[Use]]]) -> None:
        files = size_bytes = 0
        for piece, uses in pieces:
            if self._crew.has_ended:
                return
            self._writer.write(piece, uses)
            size_bytes += len(piece) * len(uses)
            files += sum(not offset for _, offset in uses)
        self._shared.progress.advance(files=files, size_bytes=size_bytes)
