"""What is on the disk already, beside what a manifest says: nothing is changed here.

A file is right if the index knows it with the same contents, else it is read: equal sizes and times
prove nothing, since reproducible builds make both equal.
"""

import os
from collections.abc import Sequence
from typing import Final

from runcache.progress import Progress
from runcache.snapshot.chunking import digest_of
from runcache.snapshot.crew import Crew
from runcache.snapshot.limits import MAX_CHUNK_BYTES
from runcache.snapshot.looking import Comparison, Look, State, Unsure, lstat, tidiness
from runcache.snapshot.manifest import Manifest
from runcache.snapshot.scan import OPEN_FLAGS, fill, stamp_in
from runcache.snapshot.sightings import Sightings

_TASK_FILES: Final = 64


def compare(
    manifest: Manifest,
    roots: Sequence[bytes],
    sightings: Sightings,
    *,
    progress: Progress,
    threads: int,
) -> Comparison:
    """Look at everything that the manifest names, and read what was not sighted as it should be."""
    found = Comparison([State.ABSENT] * len(manifest.names), known=sightings.known)
    with Crew("compare", threads, lambda: _Reader(manifest, found, progress)) as crew:

        def look_at(look: Look, records: Sequence[int]) -> None:
            unsure = look.at(records)
            found.files_read += len(unsure)
            for start in range(0, len(unsure), _TASK_FILES):
                crew.give(unsure[start : start + _TASK_FILES])

        looks = []
        for root, records in manifest.roots():
            if lstat(roots[root]) is not None:
                look = Look(manifest, found, roots[root], sightings.known[root])
                unknown, known = look.divided(records)
                looks.append((root, look, known))
                look_at(look, unknown)
        # At what is known somebody else may have looked meanwhile.
        modes = sightings.modes()
        for root, look, known in looks:
            look_at(look, look.recognise(known, modes[root]))
    return found


class _Reader:
    """One of the threads that read files to see whether they are right."""

    def __init__(self, manifest: Manifest, found: Comparison, progress: Progress) -> None:
        self._manifest = manifest
        self._found = found
        self._progress = progress
        self._buffer = memoryview(bytearray(MAX_CHUNK_BYTES))

    def __call__(self, unsure: Sequence[Unsure]) -> None:
        for record, path, stat in unsure:
            self._found.states[record] = State.WRONG
            if self._is_right(record, path, stat):
                self._found.states[record] = tidiness(self._manifest, record, stat)
                self._found.stamps[record] = stamp_in(stat)
            self._progress.advance(files=1, size_bytes=stat.st_size)

    def _is_right(self, record: int, path: bytes, stat: os.stat_result) -> bool:
        chunks = self._manifest.chunks
        try:
            descriptor = os.open(path, OPEN_FLAGS)
        except OSError:
            return False
        try:
            for chunk in self._manifest.chunks_of(record):
                wanted = self._buffer[: chunks.lengths[chunk]]
                if fill(descriptor, wanted) < len(wanted):
                    return False
                if digest_of(wanted) != chunks.digests[chunk]:
                    return False
            return stamp_in(os.fstat(descriptor)) == stamp_in(stat)
        finally:
            os.close(descriptor)
