"""The manifest of a snapshot: which files there are, and where in which pack their contents lie.

A **record** is a file, folder or link. The contents of a file are **chunks**, each named by its
BLAKE3 digest. One or more chunks are compressed together as a **frame**, and frames lie one behind
the other in **packs**. `docs/snapshot-format.md` describes the bytes.
"""

from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate, pairwise
from operator import sub
from stat import S_ISLNK
from typing import NamedTuple, Self

import msgspec

from runcache.snapshot import columns, soundness
from runcache.snapshot.columns import Columns, column, numbers, text_column, texts
from runcache.snapshot.limits import Limits


class Record(NamedTuple):
    """A file, folder or link below a root. `name` is empty for the root itself.

    `mode` holds type and permissions as `st_mode` does; `target` is where a link leads.
    """

    root: int
    name: bytes
    mode: int
    mtime_ns: int
    size_bytes: int
    target: bytes | None


class Pack(NamedTuple):
    """A pack by its name, and how long it is."""

    name: str
    size_bytes: int


class Chunks(msgspec.Struct, frozen=True):
    """The chunks of a snapshot by number: digest, length, and where they are in which frame."""

    digests: Sequence[bytes]
    lengths: Sequence[int]
    frames: Sequence[int]
    starts: Sequence[int]


class Frames(msgspec.Struct, frozen=True):
    """The frames of a snapshot by number.

    `starts` and `sizes` say where they are in which pack, `lengths` what they are uncompressed. A
    frame whose size is its length is not compressed.
    """

    packs: Sequence[int]
    starts: Sequence[int]
    sizes: Sequence[int]
    lengths: Sequence[int]


class Stored(msgspec.Struct, frozen=True):
    """What a manifest says of contents alone, for saves that share with them.

    `content_starts` and `contents` are those of `Manifest`.
    """

    content_starts: Sequence[int]
    contents: Sequence[int]
    chunks: Chunks
    frames: Frames
    packs: Sequence[Pack]

    @staticmethod
    def decode(data: bytes | memoryview, limits: Limits | None = None) -> "Stored":
        """Read of a manifest no more than this, in half the time that all of it takes.

        Raises:
            BrokenEntry, UnsafeEntry: as `Manifest.decode`, but nobody looks at names.
        """
        limits = limits or Limits()
        return _stored_in(columns.read(data, limit_bytes=limits.manifest_bytes), limits)


class Manifest(msgspec.Struct, frozen=True):
    """What a snapshot holds, in columns: the n-th of each belongs to the n-th record.

    Records are in the order of root and name: those of root `r` are `root_starts[r]` up to, but not
    including, `root_starts[r + 1]`. In the same manner `content_starts` says which of `contents`,
    which are numbers of chunks, belong to a record. Sizes of folders and links are 0; `targets` has
    where each link leads. Chunks are in the order in which they lie in frames, frames likewise.
    """

    root_starts: Sequence[int]
    names: Sequence[bytes]
    modes: Sequence[int]
    mtimes_ns: Sequence[int]
    sizes: Sequence[int]
    targets: dict[int, bytes]
    content_starts: Sequence[int]
    contents: Sequence[int]
    chunks: Chunks
    frames: Frames
    packs: Sequence[Pack]

    @classmethod
    def decode(cls, data: bytes | memoryview, limits: Limits | None = None) -> Self:
        """Read a manifest that may come from anywhere.

        Raises:
            BrokenEntry: `data` is no manifest, or one of a later version.
            UnsafeEntry: it names something outside of its roots, or exceeds a limit.
        """
        limits = limits or Limits()
        found = columns.read(data, limit_bytes=limits.manifest_bytes)
        stored = _stored_in(found, limits)
        root_starts = _starts(numbers(found.root_records, "I"))
        modes, mtimes_ns = numbers(found.modes, "H"), numbers(found.mtimes_ns, "q")
        content_starts = stored.content_starts
        soundness.check_lengths((modes, mtimes_ns, content_starts[1:]), "records")
        names = _names_in(found, root_starts, modes)
        soundness.check_owners(modes, content_starts)
        lengths = stored.chunks.lengths
        reached = _starts(map(lengths.__getitem__, stored.contents))
        ends = list(map(reached.__getitem__, content_starts))
        sizes = list(map(sub, ends[1:], ends))
        soundness.check_sizes(sizes, sum(stored.frames.sizes), limits)
        links = [number for number, mode in enumerate(modes) if S_ISLNK(mode)]
        targets = texts(found.targets, len(links))
        soundness.check_targets(targets)
        return cls(
            root_starts,
            names,
            modes,
            mtimes_ns,
            sizes,
            dict(zip(links, targets, strict=True)),
            content_starts,
            stored.contents,
            stored.chunks,
            stored.frames,
            stored.packs,
        )

    def encode(self) -> bytes:
        """Return the bytes of the manifest; the same files in the same packs have the same."""
        chunks, frames = self.chunks, self.frames
        return columns.write(
            Columns(
                root_records=column("I", _lengths(self.root_starts)),
                names=text_column(self.names),
                modes=column("H", self.modes),
                mtimes_ns=column("q", self.mtimes_ns),
                targets=text_column(target for _, target in sorted(self.targets.items())),
                content_lengths=column("I", _lengths(self.content_starts)),
                contents=column("i", columns.steps_of(self.contents)),
                chunk_digests=b"".join(chunks.digests),
                chunk_lengths=column("I", chunks.lengths),
                chunk_gaps=column("I", _gaps(chunks.frames, chunks.starts, chunks.lengths)),
                frame_chunks=column("I", _counts(chunks.frames, len(frames.packs))),
                frame_sizes=column("I", frames.sizes),
                frame_lengths=column("I", frames.lengths),
                frame_gaps=column("I", _gaps(frames.packs, frames.starts, frames.sizes)),
                pack_frames=column("I", _counts(frames.packs, len(self.packs))),
                pack_sizes=column("Q", (pack.size_bytes for pack in self.packs)),
                pack_names=text_column(pack.name.encode("ascii") for pack in self.packs),
            )
        )

    @property
    def size_bytes(self) -> int:
        """How long all files are together."""
        return sum(self.sizes)

    def roots(self) -> Iterator[tuple[int, range]]:
        """Yield the number of each root with the numbers of its records."""
        for root, (start, end) in enumerate(pairwise(self.root_starts)):
            yield root, range(start, end)

    def chunks_of(self, record: int) -> Sequence[int]:
        """Return the numbers of the chunks that are the contents of a file, in their order."""
        return self.contents[self.content_starts[record] : self.content_starts[record + 1]]

    def records(self) -> Iterator[Record]:
        """Yield all records."""
        for root, numbers_of_root in self.roots():
            for number in numbers_of_root:
                yield Record(
                    root,
                    self.names[number],
                    self.modes[number],
                    self.mtimes_ns[number],
                    self.sizes[number],
                    self.targets.get(number),
                )


def _stored_in(found: Columns, limits: Limits) -> Stored:
    packs = _packs_in(found)
    frames = _frames_in(found, packs)
    chunks = _chunks_in(found, frames)
    steps, lengths = numbers(found.contents, "i"), numbers(found.content_lengths, "I")
    soundness.check_counts_of(len(lengths), len(steps), limits)
    contents, content_starts = columns.from_steps(steps), _starts(lengths)
    soundness.check_contents(content_starts, contents, len(chunks.digests))
    return Stored(content_starts, contents, chunks, frames, packs)


def _packs_in(found: Columns) -> list[Pack]:
    sizes = numbers(found.pack_sizes, "Q")
    names = texts(found.pack_names, len(sizes))
    soundness.check_packs(names, sizes)
    return [Pack(name.decode("ascii"), size) for name, size in zip(names, sizes, strict=True)]


def _frames_in(found: Columns, packs: Sequence[Pack]) -> Frames:
    sizes, lengths = numbers(found.frame_sizes, "I"), numbers(found.frame_lengths, "I")
    gaps, counts = numbers(found.frame_gaps, "I"), numbers(found.pack_frames, "I")
    soundness.check_lengths((sizes, lengths, gaps), "frames")
    soundness.check_lengths((counts, packs), "packs")
    soundness.check_counts(counts, len(sizes), "frames")
    numbers_of_packs, starts = _places(counts, gaps, sizes)
    rooms = [packs[number].size_bytes for number in numbers_of_packs]
    soundness.check_frames(sizes, lengths, starts, rooms)
    return Frames(numbers_of_packs, starts, sizes, lengths)


def _chunks_in(found: Columns, frames: Frames) -> Chunks:
    digests, lengths = columns.digests(found.chunk_digests), numbers(found.chunk_lengths, "I")
    gaps, counts = numbers(found.chunk_gaps, "I"), numbers(found.frame_chunks, "I")
    soundness.check_lengths((digests, lengths, gaps), "chunks")
    soundness.check_lengths((counts, frames.sizes), "frames")
    soundness.check_counts(counts, len(digests), "chunks")
    numbers_of_frames, starts = _places(counts, gaps, lengths)
    rooms = [frames.lengths[number] for number in numbers_of_frames]
    soundness.check_chunks(digests, lengths, starts, rooms)
    return Chunks(digests, lengths, numbers_of_frames, starts)


def _names_in(found: Columns, root_starts: Sequence[int], modes: Sequence[int]) -> list[bytes]:
    soundness.check_counts((root_starts[-1],), len(modes), "records", may_be_empty=True)
    soundness.check_modes(modes)
    names = texts(found.names, len(modes))
    for start, end in pairwise(root_starts):
        soundness.check_names(names[start:end], modes[start:end])
    return names


def _places(
    counts: Sequence[int], gaps: Sequence[int], sizes: Sequence[int]
) -> tuple[list[int], list[int]]:
    """Return for each item in which container it is, and where it starts there.

    `counts` says how many items each container has, `gaps` how much of the container lies unused
    before each.
    """
    containers = [number for number, count in enumerate(counts) for _ in range(count)]
    starts = []
    before, position = -1, 0
    for container, gap, size in zip(containers, gaps, sizes, strict=True):
        if container != before:
            before, position = container, 0
        starts.append(position + gap)
        position += gap + size
    return containers, starts


def _gaps(containers: Sequence[int], starts: Sequence[int], sizes: Sequence[int]) -> Iterator[int]:
    """Yield what `_places` needs to find where items start."""
    before, position = -1, 0
    for container, start, size in zip(containers, starts, sizes, strict=True):
        if container != before:
            before, position = container, 0
        yield start - position
        position = start + size


def _counts(containers: Sequence[int], total: int) -> list[int]:
    counts = [0] * total
    for container in containers:
        counts[container] += 1
    return counts


def _starts(lengths: Iterable[int]) -> list[int]:
    return list(accumulate(lengths, initial=0))


def _lengths(starts: Sequence[int]) -> Iterator[int]:
    return map(sub, starts[1:], starts)
