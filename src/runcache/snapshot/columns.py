"""The bytes of a manifest: a head with a digest, and MessagePack in columns, compressed with zstd.

Numbers are little-endian and of fixed width, so that a column is read and written as a whole.
`docs/snapshot-format.md` says what each column means.
"""

import sys
from array import array
from collections.abc import Iterable, Sequence
from itertools import accumulate, pairwise
from typing import Final

import msgspec
import zstandard
from blake3 import blake3

from runcache.errors import BrokenEntry, UnsafeEntry
from runcache.snapshot.limits import DIGEST_BYTES

MAGIC: Final = b"runcache-snapshot"
VERSION: Final = 1

_WHOLE_DIGEST_BYTES: Final = 32
_HEAD_BYTES: Final = len(MAGIC) + 1 + _WHOLE_DIGEST_BYTES
_COMPRESSION_LEVEL: Final = 3
_WIDTHS: Final = {"H": 2, "I": 4, "i": 4, "q": 8, "Q": 8}


class Columns(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A manifest as it is written; texts end with a NUL each."""

    root_records: bytes  # u32 for each root
    names: bytes  # text for each record
    modes: bytes  # u16 for each record
    mtimes_ns: bytes  # i64 for each record
    targets: bytes  # text for each link
    content_lengths: bytes  # u32 for each record: how many chunks
    contents: bytes  # i32 for each chunk of each file: its number less the one before, less 1
    chunk_digests: bytes  # 24 bytes for each chunk
    chunk_lengths: bytes  # u32 for each chunk
    chunk_gaps: bytes  # u32 for each chunk: unused bytes of the frame before it
    frame_chunks: bytes  # u32 for each frame: how many chunks
    frame_sizes: bytes  # u32 for each frame: compressed
    frame_lengths: bytes  # u32 for each frame: uncompressed
    frame_gaps: bytes  # u32 for each frame: unused bytes of the pack before it
    pack_frames: bytes  # u32 for each pack: how many frames
    pack_sizes: bytes  # u64 for each pack
    pack_names: bytes  # text for each pack


def read(data: bytes | memoryview, *, limit_bytes: int) -> Columns:
    """Return the columns in a manifest.

    Raises:
        BrokenEntry: `data` is no manifest, is damaged, or is of another version.
        UnsafeEntry: it has more than `limit_bytes` when it is uncompressed.
    """
    view = memoryview(data)
    if bytes(view[: len(MAGIC)]) != MAGIC or len(view) < _HEAD_BYTES:
        raise BrokenEntry("the manifest is none")
    version, digest, compressed = _divided(view[len(MAGIC) :])
    if version != VERSION:
        raise BrokenEntry(f"the manifest is of version {version}, which is not known here")
    if blake3(compressed).digest() != digest:
        raise BrokenEntry("the manifest is damaged")
    packed = _uncompressed(compressed, limit_bytes)
    try:
        return msgspec.msgpack.decode(packed, type=Columns)
    except (msgspec.MsgspecError, ValueError, RecursionError) as exc:
        raise BrokenEntry(f"the manifest cannot be read: {exc}") from exc


def write(columns: Columns) -> bytes:
    """Return the manifest that has these columns: the same ones always give the same bytes."""
    packed = msgspec.msgpack.encode(columns)
    compressed = zstandard.ZstdCompressor(_COMPRESSION_LEVEL).compress(packed)
    return b"".join([MAGIC, bytes([VERSION]), blake3(compressed).digest(), compressed])


def numbers(column: bytes, typecode: str) -> "array[int]":
    """Return the numbers in a column; `typecode` is that of `array`.

    Raises:
        BrokenEntry: the column ends within a number.
    """
    if len(column) % _WIDTHS[typecode]:
        raise BrokenEntry("a column of the manifest ends within a number")
    found = array(typecode)
    found.frombytes(column)
    if sys.byteorder == "big":
        found.byteswap()
    return found


def column(typecode: str, values: Iterable[int]) -> bytes:
    """Return `values` as a column."""
    made = array(typecode, values)
    if sys.byteorder == "big":
        made.byteswap()
    return made.tobytes()


def texts(column: bytes, count: int) -> list[bytes]:
    """Return the texts in a column.

    Raises:
        BrokenEntry: there are not `count`, or the last one does not end.
    """
    if column.count(0) != count or (count and column[-1]):
        raise BrokenEntry("a column of the manifest has too few texts, or too many")
    return column.split(b"\0")[:-1]


def text_column(values: Iterable[bytes]) -> bytes:
    """Return `values`, none of which holds a NUL, as a column."""
    return b"\0".join([*values, b""])


def digests(column: bytes) -> list[bytes]:
    """Return the digests in a column.

    Raises:
        BrokenEntry: the column ends within a digest.
    """
    if len(column) % DIGEST_BYTES:
        raise BrokenEntry("a column of the manifest ends within a digest")
    return [column[at : at + DIGEST_BYTES] for at in range(0, len(column), DIGEST_BYTES)]


def from_steps(steps: Iterable[int]) -> list[int]:
    """Return numbers of which each is the one before, plus 1, plus its step."""
    return list(accumulate((step + 1 for step in steps), initial=-1))[1:]


def steps_of(values: Sequence[int]) -> list[int]:
    """Return the steps that `from_steps` makes into `values`."""
    return [value - before - 1 for before, value in pairwise((-1, *values))]


def _divided(view: memoryview) -> tuple[int, bytes, memoryview]:
    return view[0], bytes(view[1 : 1 + _WHOLE_DIGEST_BYTES]), view[1 + _WHOLE_DIGEST_BYTES :]


def _uncompressed(frame: memoryview, limit_bytes: int) -> bytes:
    try:
        size_bytes = zstandard.frame_content_size(frame)
        if size_bytes < 0:
            raise BrokenEntry("the manifest does not say how long it is")
        if size_bytes > limit_bytes:
            raise UnsafeEntry(f"the manifest has {size_bytes} bytes, which exceeds the limit")
        decompressor = zstandard.ZstdDecompressor()
        return decompressor.decompress(frame, allow_extra_data=False)
    except zstandard.ZstdError as exc:
        raise BrokenEntry(f"the manifest cannot be uncompressed: {exc}") from exc
