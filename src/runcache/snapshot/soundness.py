"""What a manifest must be before anything is believed of it, since it may come from anybody.

Each check takes columns and raises; together they make sure that whoever uses a manifest later need
not look twice: no name leads out of its root, no number points nowhere, no size is insane.
"""

import re
from collections.abc import Iterable, Sequence
from itertools import compress
from operator import add, gt, lt, ne
from stat import S_IFDIR, S_IFLNK, S_IFREG, S_ISDIR, S_ISREG
from typing import Final

from runcache.errors import BrokenEntry, UnsafeEntry
from runcache.snapshot.limits import (
    MAX_CHUNK_BYTES,
    MAX_DEPTH,
    MAX_FRAME_BYTES,
    MAX_PACK_BYTES,
    MAX_PACKS,
    MAX_PART_BYTES,
    MAX_PATH_BYTES,
    PERMISSIONS,
    Limits,
)

_PACK_NAME: Final = re.compile(rb"[0-9A-Za-z][0-9A-Za-z._-]{0,127}", re.ASCII)
_TYPES: Final = frozenset({S_IFDIR, S_IFREG, S_IFLNK})
_NO_PARTS: Final = (b"//", b"/./", b"/../")


def check_counts(
    counts: Sequence[int], total: int, what: str, *, may_be_empty: bool = False
) -> None:
    """Check that `counts` of `what` say how `total` of them are divided."""
    if sum(counts) != total or (0 in counts and not may_be_empty):
        raise BrokenEntry(f"the manifest divides its {what} wrongly")


def check_lengths(columns: Iterable[Sequence[object]], what: str) -> None:
    """Check that columns of `what` are of the same length."""
    if len({len(column) for column in columns}) > 1:
        raise BrokenEntry(f"the manifest has columns of {what} that differ in length")


def check_modes(modes: Sequence[int]) -> None:
    """Check that there are only files, folders and links, with nothing special about them."""
    for mode in set(modes):
        if mode & ~PERMISSIONS not in _TYPES or (mode >= S_IFLNK and mode != S_IFLNK | PERMISSIONS):
            raise UnsafeEntry(f"the manifest has a file of mode {mode:o}")


def check_names(names: Sequence[bytes], modes: Sequence[int]) -> None:
    """Check the names of the records below one root, and that they can be there together."""
    if not all(map(lt, names, names[1:])):
        raise BrokenEntry("the names in the manifest are not in order, or one is there twice")
    below_root = names if names and names[0] else names[1:]
    folders = _check_parts(below_root)
    recorded = compress(names, map(S_ISDIR, modes))
    if below := folders.difference(recorded).intersection(names):
        shown = _shown(min(below))
        raise UnsafeEntry(f"the manifest has something below {shown}, which is no folder")


def check_targets(targets: Sequence[bytes]) -> None:
    """Check where links lead: to anywhere, as links do, but they must be able to."""
    if any(not 0 < len(target) < MAX_PATH_BYTES for target in targets):
        raise BrokenEntry("the manifest has a link whose target is empty or too long")


def check_contents(starts: Sequence[int], contents: Sequence[int], chunk_count: int) -> None:
    """Check that contents consist of chunks of which none is left over.

    Of `contents` those from `starts[n]` to `starts[n + 1]` belong to the n-th record.
    """
    if starts[-1] != len(contents) or set(contents) != set(range(chunk_count)):
        raise BrokenEntry("the manifest has a chunk without a file, or a file without its chunk")


def check_owners(modes: Sequence[int], starts: Sequence[int]) -> None:
    """Check that only files have contents, which `check_contents` explains."""
    if not all(map(S_ISREG, set(compress(modes, map(ne, starts, starts[1:]))))):
        raise BrokenEntry("the manifest has contents for something that is no file")


def check_chunks(
    digests: Sequence[bytes], lengths: Sequence[int], starts: Sequence[int], rooms: Sequence[int]
) -> None:
    """Check the chunks: `starts` says where each is in its frame, `rooms` how long that is."""
    if len(set(digests)) != len(digests):
        raise BrokenEntry("the manifest has a chunk twice")
    if lengths and not 0 < min(lengths) <= max(lengths) <= MAX_CHUNK_BYTES:
        raise BrokenEntry("the manifest has a chunk that is empty or too long")
    if any(map(gt, map(add, starts, lengths), rooms)):
        raise BrokenEntry("the manifest has a chunk that exceeds its frame")


def check_frames(
    sizes: Sequence[int], lengths: Sequence[int], starts: Sequence[int], rooms: Sequence[int]
) -> None:
    """Check the frames: `starts` says where each is in its pack, `rooms` how long that is."""
    if lengths and not 0 < min(sizes) <= max(lengths) <= MAX_FRAME_BYTES:
        raise BrokenEntry("the manifest has a frame that is empty or too long")
    if any(map(gt, sizes, lengths)):
        raise BrokenEntry("the manifest has a frame that is longer than its contents")
    if any(map(gt, map(add, starts, sizes), rooms)):
        raise BrokenEntry("the manifest has a frame that exceeds its pack")


def check_packs(names: Sequence[bytes], sizes: Sequence[int]) -> None:
    """Check names and sizes of the packs."""
    if len(names) > MAX_PACKS or max(sizes, default=0) > MAX_PACK_BYTES:
        raise UnsafeEntry("the manifest has too many packs, or one that is too long")
    if len(set(names)) != len(names) or not all(map(_PACK_NAME.fullmatch, names)):
        raise BrokenEntry("the manifest has a pack without a proper name, or one twice")


def check_counts_of(records: int, references: int, limits: Limits) -> None:
    """Check that it is sane how many records there are, and how often they refer to chunks."""
    if records > limits.records or references > limits.references:
        raise UnsafeEntry("the manifest has too many files")


def check_sizes(sizes: Sequence[int], stored_bytes: int, limits: Limits) -> None:
    """Check that it is sane what a restore would write, where it would read `stored_bytes`."""
    total_bytes = sum(sizes)
    bomb_bytes = max(limits.expansion_above_bytes, limits.expansion * stored_bytes)
    if total_bytes > min(limits.size_bytes, bomb_bytes):
        raise UnsafeEntry(f"{stored_bytes} bytes of the manifest's packs become {total_bytes}")


def _check_parts(names: Sequence[bytes]) -> set[bytes]:
    """Check each part of each name; return all folders that must be, the root being `b""`."""
    # Searched as one text, which takes a fraction of the time that a look at each part does.
    parts = b"/".join([b"", *names, b""])
    if names and any(part in parts for part in _NO_PARTS):
        raise UnsafeEntry("the manifest has a name that leads elsewhere")
    longest = max(map(len, names), default=0)
    if longest >= MAX_PATH_BYTES or (
        longest > MAX_PART_BYTES and max(map(len, parts.split(b"/"))) > MAX_PART_BYTES
    ):
        raise UnsafeEntry("the manifest has a name that is too long")
    folders = {b""} if names else set()
    for folder in {name.rpartition(b"/")[0] for name in names}:
        ancestor = folder
        while ancestor not in folders:
            folders.add(ancestor)
            ancestor = ancestor.rpartition(b"/")[0]
    if max((folder.count(b"/") for folder in folders), default=0) >= MAX_DEPTH - 1:
        raise UnsafeEntry("the manifest has folders that are nested too deep")
    return folders


def _shown(name: bytes) -> str:
    return f"`{name[:100].decode('utf-8', 'backslashreplace')}`"
