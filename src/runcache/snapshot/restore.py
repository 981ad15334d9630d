"""Restoring: what is not there yet is fetched and written, what is right stays as it is.

Fetching, uncompressing and writing go on at the same time.
"""

import os
import time
from collections.abc import Iterator, Sequence
from stat import S_ISREG

import msgspec

from runcache.progress import Progress, Silence
from runcache.snapshot.comparison import compare
from runcache.snapshot.filling import TWO_THREADS, Hands
from runcache.snapshot.index import FileIndex
from runcache.snapshot.looking import Comparison, State, content_of
from runcache.snapshot.manifest import Manifest
from runcache.snapshot.materialize import materialize
from runcache.snapshot.packs import PackSource
from runcache.snapshot.plan import plan
from runcache.snapshot.scan import Selection, Stamp, scan
from runcache.snapshot.sightings import Sightings
from runcache.snapshot.staging import remove_left_over


class Restored(msgspec.Struct, frozen=True):
    """What a restore did. Links and folders are no files, but count where things were removed."""

    files_written: int
    files_unchanged: int
    fetched_bytes: int
    size_bytes: int
    removed: int


def restore(
    manifest: Manifest,
    roots: Sequence[bytes],
    *,
    source: PackSource,
    index: FileIndex | None = None,
    sightings: Sightings | None = None,
    exact: Selection | None = None,
    progress: Progress | None = None,
    hands: Hands = TWO_THREADS,
) -> Restored:
    """Make everything below `roots` that `manifest` names be as it says.

    What it does not name stays, unless `exact` would save it: then it is removed. `sightings` are
    those of files that `index` knows, and may have begun already; a file without one is read. If
    this ends by an exception, what was not there before is gone again, and what was there and is
    replaced by now is named.

    Raises:
        BrokenEntry: a pack does not hold what was saved.
        FileUnreadable, FileUnwritable: the disk refuses something.
        TwinLost: the second process was killed.
        PartlyRestored: one of these errors, or of the source's, came when files were replaced.
        and whatever `source` raises.
    """
    if len(roots) != len(manifest.root_starts) - 1:
        raise ValueError(f"{len(roots)} roots for a snapshot of {len(manifest.root_starts) - 1}")
    progress = progress or Silence()
    started_ns = time.time_ns()
    for folder in {*roots, *map(os.path.dirname, roots)}:
        remove_left_over(folder)
    files = sum(map(S_ISREG, manifest.modes))
    progress.phase("compare", total_files=files, total_bytes=manifest.size_bytes)
    sightings = sightings or Sightings(roots, index)
    found = compare(manifest, roots, sightings, progress=progress, threads=hands.threads)
    there = () if exact is None else scan(roots, exact, lambda _: None)
    todo = plan(manifest, found, [(item.root, item.name) for item in there])
    removed = 0
    if todo:
        done = materialize(todo, manifest, roots, found, source, progress, hands)
        found.stamps.update(done.stamps)
        removed = len(done.removed)
    if index is not None and (todo or found.files_read):
        _remember(manifest, roots, found, index, started_ns)
    return Restored(
        files_written=len(todo.hollow) + len(todo.fetched),
        files_unchanged=files - len(todo.hollow) - len(todo.fetched),
        fetched_bytes=sum(wanted.end - wanted.start for wanted in todo.ranges),
        size_bytes=manifest.size_bytes,
        removed=removed,
    )


def _remember(
    manifest: Manifest,
    roots: Sequence[bytes],
    found: Comparison,
    index: FileIndex,
    looked_at_ns: int,
) -> None:
    for root, records in manifest.roots():
        rows = _rows_of(manifest, root, records, found)
        index.replace(roots[root], rows, looked_at_ns=looked_at_ns)


def _rows_of(
    manifest: Manifest, root: int, records: range, found: Comparison
) -> Iterator[tuple[bytes, Stamp, bytes]]:
    """Yield what is known by now of the files below a root, as `FileIndex.replace` takes it."""
    for record in records:
        if not manifest.sizes[record]:
            continue
        name, stamp = manifest.names[record], found.stamps.get(record)
        if stamp is None and found.states[record] is State.RIGHT:
            stamp = found.known[root].stamp_of(name)
        if stamp is not None:
            yield name, stamp, content_of(manifest, record)
