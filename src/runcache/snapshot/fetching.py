"""What a restore fetches: the frames of missing chunks, neighbours together as one range."""

import mmap
from collections.abc import Iterable, Iterator, Sequence
from typing import Final, NamedTuple

import zstandard

from runcache.errors import BrokenEntry
from runcache.snapshot.chunking import digest_of, digest_of_zeros
from runcache.snapshot.limits import KIB, MIB
from runcache.snapshot.manifest import Manifest
from runcache.snapshot.packs import PackSource

RANGE_BYTES: Final = 4 * MIB
"""How long a range is at most. No frame is longer."""

# To skip less would take longer than to fetch it.
_JOINED_GAP_BYTES: Final = 64 * KIB


Use = tuple[int, int]
"""Where a chunk belongs: in which record, from which byte on."""

Piece = tuple[int, list[Use]]
"""A chunk, and all the places where it belongs."""


class Range(NamedTuple):
    """Bytes of a pack, and the frames that are needed of them, each with its pieces."""

    pack: str
    start: int
    end: int
    frames: Sequence[tuple[int, Sequence[Piece]]]


def ranges_of(manifest: Manifest, records: Iterable[int]) -> list[Range]:
    """Return what has to be fetched for the contents of these files, in the order of packs.

    The long chunks of zeros in sparse files are not: they become holes.
    """
    contents, content_starts = manifest.contents, manifest.content_starts
    lengths, frame_of = manifest.chunks.lengths, manifest.chunks.frames
    uses: dict[int, list[Use]] = {}
    for record in records:
        offset = 0
        for chunk in contents[content_starts[record] : content_starts[record + 1]]:
            if chunk in uses:
                uses[chunk].append((record, offset))
            else:
                uses[chunk] = [(record, offset)]
            offset += lengths[chunk]
    zeros = zeros_in(manifest) if uses else None
    if zeros is not None:
        uses.pop(zeros, None)
    frames: dict[int, list[Piece]] = {}
    for chunk in sorted(uses):
        frames.setdefault(frame_of[chunk], []).append((chunk, uses[chunk]))
    return list(_joined(manifest, frames))


def zeros_in(manifest: Manifest) -> int | None:
    """Return the number of the long chunk of zeros, if there is one."""
    try:
        return manifest.chunks.digests.index(digest_of_zeros())
    except ValueError:
        return None


def _joined(manifest: Manifest, frames: dict[int, list[Piece]]) -> Iterator[Range]:
    columns = manifest.frames
    group: list[tuple[int, Sequence[Piece]]] = []
    pack, start, end = -1, 0, 0
    for frame, pieces in frames.items():
        frame_end = columns.starts[frame] + columns.sizes[frame]
        is_near = pack == columns.packs[frame] and columns.starts[frame] - end <= _JOINED_GAP_BYTES
        if group and not (is_near and frame_end - start <= RANGE_BYTES):
            yield Range(manifest.packs[pack].name, start, end, group)
            group = []
        if not group:
            pack, start = columns.packs[frame], columns.starts[frame]
        group.append((frame, pieces))
        end = frame_end
    if group:
        yield Range(manifest.packs[pack].name, start, end, group)


class Fetcher:
    """Fetches ranges into a buffer of its own, one after the other."""

    def __init__(self, source: PackSource) -> None:
        self._source = source
        # It takes memory, and time to clear it, only as far as it is used.
        self._buffer = memoryview(mmap.mmap(-1, RANGE_BYTES))

    def fetch(self, wanted: Range) -> memoryview:
        """Return the bytes of a range, which are valid until the next one is fetched.

        Raises:
            BrokenEntry: the pack ends early.
            and whatever the source raises.
        """
        data = self._buffer[: wanted.end - wanted.start]
        count = 0
        reader = self._source.read(wanted.pack, wanted.start, wanted.end)
        try:
            while count < len(data) and (more := reader.readinto(data[count:])):
                count += more
        finally:
            reader.close()
        if count < len(data):
            raise BrokenEntry(f"`{wanted.pack}` ends at byte {wanted.start + count}")
        return data


class Opener:
    """Uncompresses the frames of ranges, and verifies what is in them. For one thread."""

    def __init__(self, manifest: Manifest) -> None:
        self._manifest = manifest
        self._decompressor = zstandard.ZstdDecompressor()

    def contents_of(self, frame: int, fetched: Range, data: memoryview) -> memoryview:
        """Return what a frame of a range holds, of which nothing is to be believed yet.

        Raises:
            BrokenEntry: it is not even as long as it must be.
        """
        frames = self._manifest.frames
        start, length = frames.starts[frame] - fetched.start, frames.lengths[frame]
        stored = data[start : start + frames.sizes[frame]]
        if len(stored) == length:
            return stored
        try:
            # Who trusts a wrong header makes as much room as it says.
            if zstandard.frame_content_size(stored) == length:
                return memoryview(self._decompressor.decompress(stored, allow_extra_data=False))
        except zstandard.ZstdError as exc:
            raise self._damage(frame, fetched) from exc
        raise self._damage(frame, fetched)

    def verified(
        self, frame: int, pieces: Iterable[Piece], fetched: Range, contents: memoryview
    ) -> list[tuple[memoryview, Sequence[Use]]]:
        """Return the chunks that are in the contents of a frame, each with where it belongs.

        Raises:
            BrokenEntry: one is not what was saved.
        """
        chunks = self._manifest.chunks
        digests, lengths, starts = chunks.digests, chunks.lengths, chunks.starts
        found: list[tuple[memoryview, Sequence[Use]]] = []
        for chunk, uses in pieces:
            start = starts[chunk]
            piece = contents[start : start + lengths[chunk]]
            if digest_of(piece) != digests[chunk]:
                raise self._damage(frame, fetched)
            found.append((piece, uses))
        return found

    def _damage(self, frame: int, fetched: Range) -> BrokenEntry:
        return BrokenEntry(
            f"`{fetched.pack}` is damaged at byte {self._manifest.frames.starts[frame]}"
        )
