"""Saving: the roots are scanned, what no base has is read and packed, and a manifest names it all.

Scanning, reading, compressing and sending go on at the same time.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from stat import S_ISREG
from typing import Final

import msgspec

from runcache.progress import Progress, Silence
from runcache.snapshot.assembly import assemble
from runcache.snapshot.chunking import content_id
from runcache.snapshot.gathering import Gatherer
from runcache.snapshot.index import FileIndex
from runcache.snapshot.manifest import Manifest, Pack
from runcache.snapshot.packs import Packer, PackSink
from runcache.snapshot.reading import Item, Reading
from runcache.snapshot.scan import Found, Scan, Stamp
from runcache.snapshot.sharing import (
    Base,
    Spot,
    UsedFrame,
    contents_in,
    packs_to_leave,
    spots_in,
    used_frames,
)

DEFAULT_LEVEL: Final = 3

# Of so many files that need not be read it is told at once.
_TOLD_FILES: Final = 256


class Written(msgspec.Struct, frozen=True):
    """What was saved. `packs` are all that the manifest names, new ones and those of bases.

    `size_bytes` is the size of all files, `new_bytes` what is new of packs, manifest included.
    """

    manifest: bytes
    packs: tuple[str, ...]
    new_bytes: int
    size_bytes: int
    files: int
    files_read: int
    chunks: int
    warnings: tuple[str, ...]


def save(
    roots: Sequence[bytes],
    *,
    sink: PackSink,
    scanning: Scan | None = None,
    bases: Sequence[Base] = (),
    index: FileIndex | None = None,
    level: int = DEFAULT_LEVEL,
    progress: Progress | None = None,
    threads: int = 2,
) -> Written:
    """Put what is below `roots` into packs, unless `bases` have it; return the rest.

    `scanning` is a scan of the roots that finds less than all, or has begun already, with the same
    `index`. A manifest names packs of bases, so they must stay as long as it. Files that the index
    knows and a base has are not read. What cannot be saved as it is, is in the warnings: special
    files, and files that change all the time. An excluded or absent root is no error: see `files`.

    Raises:
        FileUnreadable: a selected file or folder cannot be read.
        and whatever `sink` raises.
    """
    scanning = scanning or Scan(roots, index=index)
    warnings: list[str] = []
    progress = progress or Silence()
    packer = Packer(sink)
    reading = Reading(spots_in(bases), packer, level, progress, warnings.append)
    progress.phase("save")
    try:
        known = _Known(bases, reading.spots)
        with reading.crew(threads) as crew:
            gatherer = Gatherer(reading, crew)
            items = _read(scanning.founds(warnings.append), known, gatherer, progress)
        items, used = _used(items, reading.spots)
        unwanted = _unwanted(used, reading.spots, is_one_base=len(bases) == 1)
        if unwanted:
            with reading.crew(threads) as crew:
                _read_again(items, unwanted, Gatherer(reading, crew))
            items, used = _used(items, reading.spots)
        packs = packer.flush()
        # While the last pack is under way; what the index says is true, whatever becomes of that.
        manifest = assemble(items, used, packs, root_count=len(roots))
        written = _written(manifest, packs.values(), items, warnings)
        if index is not None:
            _remember(items, roots, index, scanning.started_ns)
        packer.finish()
    except BaseException:
        packer.abandon()
        raise
    return written


def _written(
    manifest: Manifest, packs: Iterable[Pack], items: Iterable[Item], warnings: Iterable[str]
) -> Written:
    data = manifest.encode()
    return Written(
        manifest=data,
        packs=tuple(pack.name for pack in manifest.packs),
        new_bytes=len(data) + sum(pack.size_bytes for pack in packs),
        size_bytes=manifest.size_bytes,
        files=sum(map(S_ISREG, manifest.modes)),
        files_read=sum(item.is_read for item in items),
        chunks=len(manifest.chunks.digests),
        warnings=tuple(warnings),
    )


class _Known:
    """The contents of files that need not be read, since the index and a base know them."""

    def __init__(self, bases: Iterable[Base], spots: Mapping[bytes, Spot]) -> None:
        self._spots = spots
        self._contents = contents_in(bases)

    def digests_of(self, found: Found) -> tuple[bytes, ...]:
        """Return the chunks of a file, or nothing if it has to be read."""
        content = found.content
        if content is None:
            return ()
        spot = self._spots.get(content)
        if spot is not None and spot.length == found.size_bytes:
            return (content,)
        digests = self._contents.get(content, ())
        known = [self._spots[digest].length for digest in digests if digest in self._spots]
        is_whole = len(known) == len(digests) and sum(known) == found.size_bytes
        return digests if is_whole else ()


def _read(
    founds: Iterable[Found], known: _Known, gatherer: Gatherer, progress: Progress
) -> list[Item]:
    """Read what is not known, as soon as it is found."""
    items: list[Item] = []
    known_files = known_bytes = files = total_bytes = 0
    for found in founds:
        item = Item(found)
        items.append(item)
        if not S_ISREG(found.mode):
            continue
        size_bytes = found.size_bytes
        files += 1
        total_bytes += size_bytes
        if size_bytes:
            item.digests = known.digests_of(found)
            if not item.digests:
                gatherer.add(item)
                continue
        known_files += 1
        known_bytes += size_bytes
        if known_files == _TOLD_FILES:
            progress.advance(files=known_files, size_bytes=known_bytes)
            known_files = known_bytes = 0
    gatherer.finish()
    progress.advance(files=known_files, size_bytes=known_bytes)
    progress.phase("save", total_files=files, total_bytes=total_bytes)
    return items


def _used(items: Iterable[Item], spots: Mapping[bytes, Spot]) -> tuple[list[Item], list[UsedFrame]]:
    """Return what is still there, and where its contents are."""
    items = [item for item in items if not item.is_gone]
    # In this order neighbours are mostly neighbours in a frame, and in memory, too.
    digests = dict.fromkeys([digest for item in items for digest in item.digests])
    return items, used_frames(digests, spots)


def _unwanted(
    used: Sequence[UsedFrame], spots: dict[bytes, Spot], *, is_one_base: bool
) -> set[bytes]:
    """Return the chunks in packs that are not worth sharing, and forget where they are."""
    left = packs_to_leave(used, is_one_base=is_one_base)
    if not left:
        return set()
    unwanted = {digest for digest, spot in spots.items() if spot.frame.pack in left}
    for digest in unwanted:
        del spots[digest]
    return unwanted


def _read_again(items: Iterable[Item], unwanted: Collection[bytes], gatherer: Gatherer) -> None:
    """Read the files that have such chunks, so that they are stored anew."""
    for item in items:
        if any(digest in unwanted for digest in item.digests):
            gatherer.add(item)
    gatherer.finish()


def _remember(
    items: Iterable[Item], roots: Sequence[bytes], index: FileIndex, looked_at_ns: int
) -> None:
    by_root: list[list[tuple[bytes, Stamp, bytes]]] = [[] for _ in roots]
    for item in items:
        digests, found = item.digests, item.found
        if digests and item.is_steady:
            content = digests[0] if len(digests) == 1 else content_id(digests)
            by_root[found.root].append((found.name, found.stamp, content))
    for root, rows in zip(roots, by_root, strict=True):
        index.replace(root, rows, looked_at_ns=looked_at_ns)
