"""A plan is carried out: folders, then files as they come, then links; permissions and times last.

If anything fails, whatever was not there before is removed again.
"""

from collections.abc import Iterable, Sequence
from contextlib import closing, nullcontext, suppress
from stat import S_ISDIR
from threading import Lock
from typing import Final

import msgspec

from runcache.errors import FileUnwritable, PartlyRestored
from runcache.progress import Progress
from runcache.snapshot.comparison import Comparison
from runcache.snapshot.crew import Crew
from runcache.snapshot.fetching import Fetcher, Opener, Range, Use
from runcache.snapshot.ledger import Ledger
from runcache.snapshot.limits import KIB
from runcache.snapshot.manifest import Manifest
from runcache.snapshot.packs import PackSource
from runcache.snapshot.plan import Plan
from runcache.snapshot.scan import shown
from runcache.snapshot.targets import opened
from runcache.snapshot.writing import Writer

# The pieces of large files are longer, but for the last one.
_SMALL_BYTES: Final = 64 * KIB
# So many more threads fetch than write: they wait for the network, while the others work.
_WAITING_THREADS: Final = 2


def materialize(
    todo: Plan,
    manifest: Manifest,
    roots: Sequence[bytes],
    found: Comparison,
    source: PackSource,
    progress: Progress,
    threads: int,
) -> Ledger:
    """Do what is to be done; return what was done.

    Raises:
        BrokenEntry: a pack does not hold what was saved.
        FileUnwritable: the disk refuses something.
        PartlyRestored: one of these came, or an error of the source, when files were replaced.
        and whatever `source` raises.
    """
    size_bytes = sum(manifest.sizes[record] for record in todo.fetched)
    progress.phase(
        "restore", total_files=len(todo.hollow) + len(todo.fetched), total_bytes=size_bytes
    )
    with opened(manifest, roots, found) as targets:
        ledger = Ledger(manifest, found, targets, missing=dict(todo.fetched))
        # The hidden folder that comes and goes in it changes the time of a root.
        ledger.touched |= {
            (root, b"")
            for root, target in enumerate(targets)
            if target is not None and target.staging is not None
        }
        try:
            _write_all(todo, ledger, source, progress, threads)
            _finish(todo, ledger)
        except BaseException as exc:
            _undo(ledger, exc)
            raise
    return ledger


def _write_all(
    todo: Plan, ledger: Ledger, source: PackSource, progress: Progress, threads: int
) -> None:
    """Make everything but permissions and times of folders, and what is written appears."""
    with closing(Writer(ledger)) as writer:
        for root, name, mode in todo.folders:
            writer.make_folder(root, name, mode)
        for record in todo.hollow:
            writer.write_file(record, b"")
        progress.advance(files=len(todo.hollow))
        if todo.ranges:
            _fetch_all(todo.ranges, ledger, source, progress, threads)
        for record in todo.links:
            writer.write_link(record)
        for record in todo.untidy:
            writer.tidy(record)
        for root, name in todo.extras:
            if writer.remove(root, name):
                ledger.removed.append(ledger.path_of(root, name))


def _fetch_all(
    ranges: Sequence[Range], ledger: Ledger, source: PackSource, progress: Progress, threads: int
) -> None:
    """Fetch and write all ranges; in the end nothing is written any more, come what may."""
    shared = _Shared(ledger, source, progress)
    count = min(len(ranges), threads + _WAITING_THREADS)
    crew: Crew[Range] = Crew("restore", count, lambda: _Fetching(shared, crew))
    try:
        with crew:
            for wanted in ranges:
                crew.give(wanted)
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

    def __init__(self, shared: _Shared, crew: Crew[Range]) -> None:
        self._shared = shared
        self._crew = crew
        self._fetcher = Fetcher(shared.source)
        self._opener = Opener(shared.ledger.manifest)
        self._writer = Writer(shared.ledger)
        self._is_writing = Lock()
        shared.writers.append((self._is_writing, self._writer))

    def __call__(self, wanted: Range) -> None:
        """Fetch and write a range."""
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


def _finish(todo: Plan, ledger: Ledger) -> None:
    """Give folders their permissions and times, and let fresh roots appear."""
    targets = [target for target in ledger.targets if target is not None]
    done: set[tuple[int, bytes]] = set()
    with closing(Writer(ledger)) as writer:
        _tidy_folders(todo, ledger, writer, done, below_roots=True)
    for target in targets:
        target.appear()
        if target.replaces:
            ledger.replaced.append(target.path)
        target.end_staging()
    # A root could not be moved without the permission to write to it, and its time changes with it.
    with closing(Writer(ledger)) as writer:
        _tidy_folders(todo, ledger, writer, done, below_roots=False)


def _tidy_folders(
    todo: Plan, ledger: Ledger, writer: Writer, done: set[tuple[int, bytes]], *, below_roots: bool
) -> None:
    manifest = ledger.manifest
    records = {
        (root, manifest.names[record]): record
        for root, numbers in manifest.roots()
        for record in numbers
        if S_ISDIR(manifest.modes[record])
    }
    wanted = {(ledger.root_of(record), manifest.names[record]) for record in todo.untidy_folders}
    while pending := (wanted | ledger.touched | ledger.with_changed_modes()) - done:
        if below_roots:
            pending = {(root, name) for root, name in pending if name}
        if not pending:
            return
        # What is in a folder comes before the folder, which may not be open to us afterwards.
        for root, name in sorted(pending, reverse=True):
            record = records.get((root, name))
            if record is not None:
                writer.tidy_folder(record)
            else:
                writer.reset_folder(root, name)
        done |= pending


def _undo(ledger: Ledger, error: BaseException) -> None:
    """Remove what was not there before.

    Raises:
        PartlyRestored: `error` came when something had been replaced.
    """
    with closing(Writer(ledger)) as writer:
        for root, name in reversed(ledger.created):
            with suppress(FileUnwritable):
                writer.remove(root, name)
        for root, name in ledger.with_changed_modes():
            with suppress(FileUnwritable):
                writer.reset_folder(root, name)
    for target in ledger.targets:
        if target is not None:
            with suppress(OSError):
                target.vanish()
    lost = ledger.replaced + ledger.removed
    if lost and isinstance(error, Exception):
        raise PartlyRestored(sorted(map(shown, lost)), str(error)) from error
