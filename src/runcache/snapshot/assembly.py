"""A manifest is made of what was read, and of where that is stored."""

from collections.abc import Iterable, Mapping, Sequence
from itertools import accumulate
from operator import attrgetter

from runcache.snapshot.manifest import Chunks, Frames, Manifest, Pack
from runcache.snapshot.reading import Item
from runcache.snapshot.sharing import Frame, UsedFrame


def assemble(
    items: Iterable[Item],
    used: Sequence[UsedFrame],
    packs: Mapping[int, Pack],
    *,
    root_count: int,
) -> Manifest:
    """Return the manifest of `items`, which use these frames; `packs` are those of this save.

    Which thread stored what, or in which order, is of no influence but on the places in packs.
    """
    # Found begins with root and name, which no two have in common.
    ordered = sorted(items, key=attrgetter("found"))
    founds = [item.found for item in ordered]
    chunks, frames, used_packs = _stored(used, packs)
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
        content_starts=list(accumulate([len(item.digests) for item in ordered], initial=0)),
        contents=[numbers[digest] for item in ordered for digest in item.digests],
        chunks=chunks,
        frames=frames,
        packs=used_packs,
    )


def _stored(
    used: Sequence[UsedFrame], packs: Mapping[int, Pack]
) -> tuple[Chunks, Frames, Sequence[Pack]]:
    """Number chunks, frames and packs in the order in which they lie, and put them in columns."""
    placed = sorted(
        (_pack(frame, packs), frame.start, number) for number, (frame, _) in enumerate(used)
    )
    used_packs = sorted({pack for pack, _, _ in placed})
    numbers = {pack: number for number, pack in enumerate(used_packs)}
    ordered = [used[number][0] for _, _, number in placed]
    frames = Frames(
        packs=[numbers[pack] for pack, _, _ in placed],
        starts=[frame.start for frame in ordered],
        sizes=[frame.size_bytes for frame in ordered],
        lengths=[frame.length for frame in ordered],
    )
    return _chunks([sorted(used[number][1]) for _, _, number in placed]), frames, used_packs


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
