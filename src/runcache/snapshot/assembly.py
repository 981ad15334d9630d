"""A manifest is made of what was read, and of where that is stored."""

from collections.abc import Iterable, Mapping, Sequence
from itertools import accumulate
from operator import attrgetter

from runcache.snapshot.manifest import Chunks, Frames, Manifest, Pack
from runcache.snapshot.reading import Item
from runcache.snapshot.sharing import Frame, Spot


def assemble(
    items: Iterable[Item],
    spots: Mapping[bytes, Spot],
    packs: Mapping[int, Pack],
    *,
    root_count: int,
) -> Manifest:
    """Return the manifest of `items`; `packs` are those of this save by number.

    Which thread stored what, or in which order, is of no influence but on the places in packs.
    """
    # Found begins with root and name, which no two have in common.
    ordered = sorted(items, key=attrgetter("found"))
    founds = [item.found for item in ordered]
    contents = [digest for item in ordered for digest in item.digests]
    # In this order neighbours are mostly neighbours in a frame, too.
    chunks, frames, used_packs = _stored(dict.fromkeys(contents), spots, packs)
    numbers = {digest: number for number, digest in enumerate(chunks.digests)}
    per_root = [0] * root_count
    for found in founds:
        per_root[found.root] += 1
    targets = {number: found.target for number, found in enumerate(founds) if found.target}
    return Manifest(
        root_starts=list(accumulate(per_root, initial=0)),
        names=[found.name for found in founds],
        modes=[found.mode for found in founds],
        mtimes_ns=[found.mtime_ns for found in founds],
        sizes=[found.size_bytes for found in founds],
        targets=targets,
        content_starts=list(accumulate((len(item.digests) for item in ordered), initial=0)),
        contents=[numbers[digest] for digest in contents],
        chunks=chunks,
        frames=frames,
        packs=used_packs,
    )


def _stored(
    digests: Iterable[bytes], spots: Mapping[bytes, Spot], packs: Mapping[int, Pack]
) -> tuple[Chunks, Frames, Sequence[Pack]]:
    """Number chunks, frames and packs in the order in which they lie, and put them in columns."""
    chunks_by_frame: dict[int, list[tuple[int, int, bytes]]] = {}
    used_frames: dict[int, Frame] = {}
    for digest in digests:
        spot = spots[digest]
        frame = spot.frame
        chunks = chunks_by_frame.get(id(frame))
        if chunks is None:
            chunks = chunks_by_frame[id(frame)] = []
            used_frames[id(frame)] = frame
        chunks.append((spot.start, spot.length, digest))
    placed = sorted(((_pack(frame, packs), frame.start, key) for key, frame in used_frames.items()))
    used_packs = sorted({pack for pack, _, _ in placed})
    numbers = {pack: number for number, pack in enumerate(used_packs)}
    ordered = [used_frames[key] for _, _, key in placed]
    frames = Frames(
        packs=[numbers[pack] for pack, _, _ in placed],
        starts=[frame.start for frame in ordered],
        sizes=[frame.size_bytes for frame in ordered],
        lengths=[frame.length for frame in ordered],
    )
    return _chunks([sorted(chunks_by_frame[key]) for _, _, key in placed]), frames, used_packs


def _chunks(frames: Sequence[Sequence[tuple[int, int, bytes]]]) -> Chunks:
    """Return chunks, of which start, length and digest are given by frame, as columns."""
    return Chunks(
        digests=[digest for chunks in frames for _, _, digest in chunks],
        lengths=[length for chunks in frames for _, length, _ in chunks],
        frames=[number for number, chunks in enumerate(frames) for _ in chunks],
        starts=[start for chunks in frames for start, _, _ in chunks],
    )


def _pack(frame: Frame, packs: Mapping[int, Pack]) -> Pack:
    return packs[frame.pack] if isinstance(frame.pack, int) else frame.pack
