"""What a restore has done so far: for the index, for a report, and to be undone."""

from bisect import bisect_right
from collections.abc import Sequence
from threading import Lock

import msgspec

from runcache.snapshot.looking import Comparison
from runcache.snapshot.manifest import Manifest
from runcache.snapshot.scan import Stamp
from runcache.snapshot.targets import Target


class Ledger(msgspec.Struct):
    """What all threads of a restore share.

    `created` appeared, in this order, below roots that were there before, and `touched` are folders
    in which something changed: by root and name. `replaced` and `removed` are paths. `missing` says
    how many chunks a file lacks, and changes under the lock.
    """

    manifest: Manifest
    found: Comparison
    targets: Sequence[Target | None]
    stamps: dict[int, Stamp] = msgspec.field(default_factory=dict)
    created: list[tuple[int, bytes]] = msgspec.field(default_factory=list)
    replaced: list[bytes] = msgspec.field(default_factory=list)
    removed: list[bytes] = msgspec.field(default_factory=list)
    touched: set[tuple[int, bytes]] = msgspec.field(default_factory=set)
    missing: dict[int, int] = msgspec.field(default_factory=dict)
    lock: Lock = msgspec.field(default_factory=Lock)

    def root_of(self, record: int) -> int:
        """Return the root of a record."""
        return bisect_right(self.manifest.root_starts, record) - 1

    def path_of(self, root: int, name: bytes) -> bytes:
        """Return where something belongs."""
        path = self.target(root).path
        return path + b"/" + name if name else path

    def with_changed_modes(self) -> set[tuple[int, bytes]]:
        """Return the folders that had to be made writable."""
        return {
            (root, name)
            for root, target in enumerate(self.targets)
            if target is not None
            for name in target.changed_modes
        }

    def target(self, root: int) -> Target:
        """Return the target of a root that has one."""
        target = self.targets[root]
        if target is None:
            raise LookupError(root)
        return target
