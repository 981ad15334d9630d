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
from runcache.snapshot.sharing import Base, Spot, contents_in, packs_to_leave, spots_in

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

    `scanning` is a scan of the roots that finds less than all, or has begun already.
    A manifest names packs of bases, so they must stay as long as it. Files that `index` knows and a
    base has are not read. What cannot be saved as it is, is in the warnings: special files, and
    files that change all the time. An excluded or absent root is no error: see `files`.

    Raises:
        FileUnreadable: a selected file or folder cannot be read.
        and whatever `sink` raises.
    """
    scanning = scanning or Scan(roots)
    warnings: list[str] = []
    progress = progress or Silence()
    packer = Packer(sink)
    reading = Reading(spots_in(bases), packer, level, progress, warnings.append)
    progress.phase("save")
    try:
        known = _Known(roots, index, bases, reading.spots)
        with reading.crew(threads) as crew:
            gatherer = Gatherer(reading, crew)
            items = _read(scanning.founds(warnings.append), known, gatherer, progress)
        unwanted = _unwanted(items, reading.spots, is_one_base=len(bases) == 1)
        if unwanted:
            with reading.crew(threads) as crew:
                _read_again(items, unwanted, Gatherer(reading, crew))
        packs = packer.flush()
        # While the last pack is under way; what the index says is true, whatever becomes of that.
        items = [item for item in items if not item.is_gone]
        manifest = assemble(items, reading.spots, packs, root_count=len(roots))
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

    def __init__(
        self,
        roots: Sequence[bytes],
        index: FileIndex | None,
        bases: Iterable[Base],
        spots: Mapping[bytes, Spot],
    ) -> None:
        self._spots = spots
        self._contents: Mapping[bytes, tuple[bytes, ...]] = {}
        self._indexes = []
        if index is not None and spots:
            self._contents = contents_in(bases)
            self._indexes = [index.load(root) for root in roots]

    def digests_of(self, found: Found) -> tuple[bytes, ...]:
        """Return the chunks of a file, or nothing if it has to be read."""
        if not self._indexes:
            return ()
        content = self._indexes[found.root].content_of(found.name, found.stamp)
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


def _unwanted(items: Iterable[Item], spots: dict[bytes, Spot], *, is_one_base: bool) -> set[bytes]:
    """Return the chunks in packs that are not worth sharing, and forget where they are."""
    if not any(isinstance(spot.frame.pack, Pack) for spot in spots.values()):
        return set()
    used = {digest for item in items for digest in item.digests}
    left = packs_to_leave(map(spots.__getitem__, used), is_one_base=is_one_base)
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
    by_root: dict[int, list[tuple[bytes, Stamp, bytes]]] = {}
    for item in items:
        rows = by_root.setdefault(item.found.root, [])
        if item.digests and item.is_steady:
            rows.append((item.found.name, item.found.stamp, content_id(item.digests)))
    for root, rows in by_root.items():
        index.replace(roots[root], rows, looked_at_ns=looked_at_ns)
