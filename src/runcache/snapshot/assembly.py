"""A manifest is made of what was read, and of where that is stored."""

from collections.abc import Iterable, Mapping, Sequence
from itertools import accumulate

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
    ordered = sorted(items, key=lambda item: (item.found.root, item.found.name))
    founds = [item.found for item in ordered]
    contents = [digest for item in ordered for digest in item.digests]
    chunks, frames, used_packs = _stored({digest: spots[digest] for digest in contents}, packs)
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
    spots: Mapping[bytes, Spot], packs: Mapping[int, Pack]
) -> tuple[Chunks, Frames, Sequence[Pack]]:
    """Number chunks, frames and packs in the order in which they lie, and put them in columns."""
    digests = sorted(spots, key=lambda digest: _place(spots[digest], packs))
    used_packs: list[Pack] = []
    used_frames: list[Frame] = []
    pack_of_frame: list[int] = []
    frame_of_chunk: list[int] = []
    for digest in digests:
        frame = spots[digest].frame
        if not used_frames or used_frames[-1] is not frame:
            pack = _pack(frame, packs)
            if not used_packs or used_packs[-1] != pack:
                used_packs.append(pack)
            used_frames.append(frame)
            pack_of_frame.append(len(used_packs) - 1)
        frame_of_chunk.append(len(used_frames) - 1)
    chunks = Chunks(
        digests,
        lengths=[spots[digest].length for digest in digests],
        frames=frame_of_chunk,
        starts=[spots[digest].start for digest in digests],
    )
    frames = Frames(
        pack_of_frame,
        starts=[frame.start for frame in used_frames],
        sizes=[frame.size_bytes for frame in used_frames],
        lengths=[frame.length for frame in used_frames],
    )
    return chunks, frames, used_packs


def _place(spot: Spot, packs: Mapping[int, Pack]) -> tuple[Pack, int, int]:
    return _pack(spot.frame, packs), spot.frame.start, spot.start


def _pack(frame: Frame, packs: Mapping[int, Pack]) -> Pack:
    return packs[frame.pack] if isinstance(frame.pack, int) else frame.pack
