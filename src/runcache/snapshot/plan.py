"""What a restore has to do, decided from what is on the disk. Nothing is done here."""

from collections.abc import Collection, Iterable, Sequence
from stat import S_IRWXU, S_ISDIR, S_ISLNK, S_ISREG
from typing import Final

import msgspec

from runcache.snapshot.fetching import Range, ranges_of, zeros_in
from runcache.snapshot.limits import PERMISSIONS
from runcache.snapshot.looking import Comparison, State
from runcache.snapshot.manifest import Manifest

# What a folder gets that no record names, as far as the umask allows.
_ORDINARY: Final = 0o777


class Plan(msgspec.Struct, frozen=True):
    """What has to be done, by the numbers of records.

    `folders` are to be made in this order, each with its root, name, and permissions with which it
    can be filled.
    `hollow` files consist of nothing but zeros, if anything. `fetched` has all other files to be
    written, with the number of chunks that come for each. `untidy` are files and links of which
    only permissions or time are wrong, `untidy_folders` likewise. `extras` are to be removed in
    this order.
    """

    folders: Sequence[tuple[int, bytes, int]]
    hollow: Sequence[int]
    fetched: dict[int, int]
    ranges: Sequence[Range]
    links: Sequence[int]
    untidy: Sequence[int]
    untidy_folders: Sequence[int]
    extras: Sequence[tuple[int, bytes]]

    def __bool__(self) -> bool:
        return any(msgspec.structs.astuple(self))


def plan(manifest: Manifest, found: Comparison, there: Collection[tuple[int, bytes]]) -> Plan:
    """Return what has to be done; `there` is what would be saved now, if the rest has to go."""
    states, modes, right = found.states, manifest.modes, State.RIGHT
    others = [record for record, state in enumerate(states) if state is not right]
    untidy = [record for record in others if states[record] is State.UNTIDY]
    to_write = [record for record in others if states[record] is not State.UNTIDY]
    files = [record for record in to_write if S_ISREG(modes[record])]
    fetched = _chunk_counts(manifest, files)
    return Plan(
        folders=_folders(manifest, to_write),
        hollow=[record for record in files if record not in fetched],
        fetched=fetched,
        ranges=ranges_of(manifest, fetched),
        links=[record for record in to_write if S_ISLNK(modes[record])],
        untidy=[record for record in untidy if not S_ISDIR(modes[record])],
        untidy_folders=[record for record in untidy if S_ISDIR(modes[record])],
        extras=_extras(manifest, there),
    )


def _chunk_counts(manifest: Manifest, files: Iterable[int]) -> dict[int, int]:
    """Return how many chunks come for each file, for those of which any does."""
    starts = manifest.content_starts
    counts = {record: starts[record + 1] - starts[record] for record in files}
    zeros = zeros_in(manifest) if counts else None
    if zeros is not None:
        for record in counts:
            counts[record] -= list(manifest.chunks_of(record)).count(zeros)
    return {record: count for record, count in counts.items() if count}


def _folders(manifest: Manifest, to_write: Collection[int]) -> list[tuple[int, bytes, int]]:
    """Return all folders that may have to be made; one that is not recorded may be there."""
    folders: list[tuple[int, bytes, int]] = []
    if not to_write:
        return folders
    wanted = set(to_write)
    for root, records in manifest.roots():
        names = [manifest.names[record] for record in records if record in wanted]
        folder_records = [record for record in records if S_ISDIR(manifest.modes[record])]
        modes = {
            manifest.names[record]: manifest.modes[record] & PERMISSIONS | S_IRWXU
            for record in folder_records
            if record in wanted
        }
        recorded = {manifest.names[record] for record in folder_records}
        modes |= dict.fromkeys(parents_of(names) - recorded, _ORDINARY)
        folders += [(root, name, modes[name]) for name in sorted(modes)]
    return folders


def parents_of(names: Iterable[bytes]) -> set[bytes]:
    """Return all folders in which something of these names is, directly or not."""
    parents: set[bytes] = set()
    for name in names:
        parent = name
        while parent:
            parent = parent.rpartition(b"/")[0]
            if parent in parents:
                break
            parents.add(parent)
    return parents


def _extras(manifest: Manifest, there: Collection[tuple[int, bytes]]) -> list[tuple[int, bytes]]:
    if not there:
        return []
    needed, replacing = [], []
    for _, records in manifest.roots():
        names = {manifest.names[record] for record in records}
        needed.append(names | parents_of(names))
        # What was in a folder goes with it when something else takes its place.
        replacing.append(
            {manifest.names[record] for record in records if not S_ISDIR(manifest.modes[record])}
        )
    extras = [
        (root, name)
        for root, name in there
        if name not in needed[root] and replacing[root].isdisjoint(parents_of((name,)))
    ]
    # What is in a folder comes before the folder.
    return sorted(extras, reverse=True)
