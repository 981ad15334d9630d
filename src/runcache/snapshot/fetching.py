"""What a restore fetches: the frames of missing chunks, neighbours together as one range."""

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


class Use(NamedTuple):
    """Where a chunk belongs: in which file, from which byte on."""

    record: int
    offset: int


class Piece(NamedTuple):
    """A chunk, and all the places where it belongs."""

    chunk: int
    uses: Sequence[Use]


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
    digests, lengths = manifest.chunks.digests, manifest.chunks.lengths
    zeros = digest_of_zeros()
    uses: dict[int, list[Use]] = {}
    for record in records:
        offset = 0
        for chunk in manifest.chunks_of(record):
            if digests[chunk] != zeros:
                uses.setdefault(chunk, []).append(Use(record, offset))
            offset += lengths[chunk]
    frames: dict[int, list[Piece]] = {}
    for chunk in sorted(uses):
        frame = manifest.chunks.frames[chunk]
        frames.setdefault(frame, []).append(Piece(chunk, uses[chunk]))
    return list(_joined(manifest, frames))


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
        self._buffer = memoryview(bytearray(RANGE_BYTES))

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
    """Uncompresses frames, and believes nothing of what is in them but what has its digest."""

    def __init__(self, manifest: Manifest) -> None:
        self._manifest = manifest
        self._decompressor = zstandard.ZstdDecompressor()

    def pieces_in(
        self, fetched: Range, data: memoryview
    ) -> Iterator[tuple[memoryview, Sequence[Use]]]:
        """Yield the contents of each piece of a range, with the places where they belong.

        Raises:
            BrokenEntry: the contents are not what was saved.
        """
        chunks, frames = self._manifest.chunks, self._manifest.frames
        for frame, pieces in fetched.frames:
            start = frames.starts[frame] - fetched.start
            contents = self._contents(frame, data[start : start + frames.sizes[frame]])
            if contents is None:
                raise BrokenEntry(f"`{fetched.pack}` is damaged at byte {frames.starts[frame]}")
            for chunk, uses in pieces:
                at = chunks.starts[chunk]
                piece = contents[at : at + chunks.lengths[chunk]]
                if digest_of(piece) != chunks.digests[chunk]:
                    raise BrokenEntry(f"`{fetched.pack}` is damaged at byte {frames.starts[frame]}")
                yield piece, uses

    def _contents(self, frame: int, data: memoryview) -> memoryview | None:
        """Return what a frame holds, or `None` if it cannot be what was saved."""
        length = self._manifest.frames.lengths[frame]
        if len(data) == length:
            return data
        try:
            # Who trusts a wrong header makes as much room as it says.
            if zstandard.frame_content_size(data) != length:
                return None
            return memoryview(self._decompressor.decompress(data, allow_extra_data=False))
        except zstandard.ZstdError:
            return None
