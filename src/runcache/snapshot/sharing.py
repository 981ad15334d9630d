"""What a save shares with its bases: which chunks they have, and which packs are worth keeping."""

from collections.abc import Iterable, Mapping
from itertools import pairwise
from typing import Final

import msgspec

from runcache.snapshot.chunking import content_id
from runcache.snapshot.limits import MIB
from runcache.snapshot.manifest import Manifest, Pack, Stored

SMALL_PACK_BYTES: Final = 4 * MIB
MAX_SMALL_PACKS: Final = 8
# When there are more, so many stay: the others become one, which does not happen each time.
KEPT_SMALL_PACKS: Final = 4
# Above so many packs, those are rewritten too that are less than half as long as a new one.
MANY_PACKS: Final = 64
HALF_PACK_BYTES: Final = 16 * MIB

Base = Manifest | Stored
"""What is saved already, and can be shared."""


class Frame(msgspec.Struct):
    """A frame in a pack of a base, or, by its number, in a pack of this save."""

    pack: Pack | int
    start: int
    size_bytes: int
    length: int


class Spot(msgspec.Struct, frozen=True):
    """Where a chunk is: in which frame, from which byte of its contents on, and how long."""

    frame: Frame
    start: int
    length: int


UsedFrame = tuple[Frame, list[tuple[int, int, bytes]]]
"""A frame, and those of its chunks that are used: start, length, digest of each."""


def spots_in(bases: Iterable[Base]) -> dict[bytes, Spot]:
    """Return where the bases have chunks, by digest. The first base that has one counts."""
    known: dict[tuple[Pack, int], Frame] = {}
    spots: dict[bytes, Spot] = {}
    for base in bases:
        frames = []
        for number, start, size_bytes, length in zip(
            base.frames.packs,
            base.frames.starts,
            base.frames.sizes,
            base.frames.lengths,
            strict=True,
        ):
            pack = base.packs[number]
            frame = Frame(pack, start, size_bytes, length)
            frames.append(known.setdefault((pack, start), frame))
        chunks = base.chunks
        places = map(frames.__getitem__, chunks.frames)
        found = map(Spot, places, chunks.starts, chunks.lengths)
        spots = dict(zip(chunks.digests, found, strict=True)) | spots
    return spots


def contents_in(bases: Iterable[Base]) -> dict[bytes, tuple[bytes, ...]]:
    """Return the chunks of all files of the bases that have more than one, by content id."""
    contents = {}
    for base in bases:
        for start, end in pairwise(base.content_starts):
            if end - start > 1:
                digests = tuple(base.chunks.digests[chunk] for chunk in base.contents[start:end])
                contents[content_id(digests)] = digests
    return contents


def used_frames(digests: Iterable[bytes], spots: Mapping[bytes, Spot]) -> list[UsedFrame]:
    """Return where these chunks are, each of which is there once."""
    used: dict[int, UsedFrame] = {}
    for digest in digests:
        spot = spots[digest]
        frame = spot.frame
        known = used.get(id(frame))
        if known is None:
            known = used[id(frame)] = (frame, [])
        known[1].append((spot.start, spot.length, digest))
    return list(used.values())


def packs_to_leave(used: Iterable[UsedFrame], *, is_one_base: bool = False) -> set[Pack]:
    """Return the packs of bases that are not to be shared, if these chunks are all that is used.

    `is_one_base` says that all are of the same base, which cannot contradict itself.

    * Of a pack at least half must be used.
    * Of small packs there may be a few, since each save adds one: the smallest become one.
    * So it is with packs at all, but a large snapshot needs many that are full.
    * Two bases must agree on what is where in a pack.
    """
    packs: dict[Pack, list[UsedFrame]] = {}
    for frame, chunks in used:
        if isinstance(frame.pack, Pack):
            packs.setdefault(frame.pack, []).append((frame, chunks))
    worth = [
        pack
        for pack, frames in packs.items()
        if 2 * sum(map(_used_bytes, frames)) >= pack.size_bytes
        and (is_one_base or _is_possible(frames))
    ]
    worth.sort(key=lambda pack: pack.size_bytes)
    small = sum(pack.size_bytes < SMALL_PACK_BYTES for pack in worth)
    if small > MAX_SMALL_PACKS:
        worth = worth[small - KEPT_SMALL_PACKS :]
    halves = sum(pack.size_bytes < HALF_PACK_BYTES for pack in worth)
    excess = min(max(len(worth) - MANY_PACKS, 0), halves)
    return packs.keys() - set(worth[excess:])


def _used_bytes(used: UsedFrame) -> float:
    frame, chunks = used
    return frame.size_bytes * sum([length for _, length, _ in chunks]) / frame.length


def _is_possible(frames: Iterable[UsedFrame]) -> bool:
    """Say whether nothing in a pack overlaps."""
    extents = [(frame.start, frame.size_bytes) for frame, _ in frames]
    return _is_apart(extents) and all(
        _is_apart([(start, length) for start, length, _ in chunks])
        for _, chunks in frames
        if len(chunks) > 1
    )


def _is_apart(extents: list[tuple[int, int]]) -> bool:
    extents.sort()
    return all(start + size <= after for (start, size), (after, _) in pairwise(extents))
