"""A plan is carried out: folders, then files as they come, then links; permissions and times last.

If anything fails, whatever was not there before is removed again.
"""

from collections.abc import Sequence
from contextlib import closing, suppress
from stat import S_ISDIR

from runcache.errors import FileUnwritable, PartlyRestored
from runcache.progress import Progress
from runcache.snapshot.filling import Hands, fill
from runcache.snapshot.ledger import Ledger
from runcache.snapshot.looking import Comparison
from runcache.snapshot.manifest import Manifest
from runcache.snapshot.packs import PackSource
from runcache.snapshot.plan import Plan
from runcache.snapshot.scan import shown
from runcache.snapshot.targets import opened
from runcache.snapshot.writing import Writer


def materialize(
    todo: Plan,
    manifest: Manifest,
    roots: Sequence[bytes],
    found: Comparison,
    source: PackSource,
    progress: Progress,
    hands: Hands,
) -> Ledger:
    """Do what is to be done; return what was done.

    Raises:
        BrokenEntry: a pack does not hold what was saved.
        FileUnwritable: the disk refuses something.
        TwinLost: a second process was killed.
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
            _write_all(todo, ledger, source, progress, hands)
            _finish(todo, ledger)
        except BaseException as exc:
            _undo(ledger, exc)
            raise
    return ledger


def _write_all(
    todo: Plan, ledger: Ledger, source: PackSource, progress: Progress, hands: Hands
) -> None:
    """Make everything but permissions and times of folders, and what is written appears."""
    with closing(Writer(ledger)) as writer:
        for root, name, mode in todo.folders:
            writer.make_folder(root, name, mode)
        for record in todo.hollow:
            writer.write_file(record, b"")
        if todo.ranges:
            fill(todo.ranges, ledger, source, progress, hands)
        progress.advance(files=len(todo.hollow))
        for record in todo.links:
            writer.write_link(record)
        for record in todo.untidy:
            writer.tidy(record)
        for root, name in todo.extras:
            if writer.remove(root, name):
                ledger.removed.append(ledger.path_of(root, name))


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
