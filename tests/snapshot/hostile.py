"""Manifests that nobody could have saved, and what is to be said of each.

`python -m tests.snapshot.hostile` writes those that are not yet in the folder `hostile`. They stay
as they are: what was refused once is refused for ever.
"""

from pathlib import Path
from typing import Final

import msgspec
import zstandard
from blake3 import blake3

from runcache.errors import BrokenEntry, CacheError, UnsafeEntry
from runcache.snapshot.columns import MAGIC, column, text_column
from runcache.snapshot.limits import GIB, MAX_CHUNK_BYTES, MIB
from tests.snapshot.manifests import DIGESTS, FILE, FOLDER, LINK, SAMPLE, sample_columns, spoiled

FOLDER_OF_FILES: Final = Path(__file__).parent / "hostile"

_Case = tuple[bytes, type[CacheError], str]


def packed(body: bytes, *, version: int = 1, digest: bytes | None = None) -> bytes:
    """Return a manifest with this MessagePack in it."""
    return sealed(zstandard.compress(body), version=version, digest=digest)


def sealed(compressed: bytes, *, version: int = 1, digest: bytes | None = None) -> bytes:
    """Return a manifest with this zstd frame in it."""
    return MAGIC + bytes([version]) + (digest or blake3(compressed).digest()) + compressed


def columns_with(**changes: object) -> bytes:
    """Return the sample with other columns, or with columns that are none."""
    return packed(msgspec.msgpack.encode(msgspec.structs.asdict(sample_columns()) | changes))


def named(*names: bytes) -> bytes:
    """Return the sample with these names below its first root."""
    return spoiled(names=text_column([*names, b""]))


def bomb() -> bytes:
    """Return a manifest of 34 GiB in one chunk of 100 bytes, over and over."""
    count = 34 * GIB // MIB
    return spoiled(
        root_records=column("I", [1, 0]),
        names=text_column([b"f"]),
        modes=column("H", [FILE]),
        mtimes_ns=column("q", [0]),
        targets=b"",
        content_lengths=column("I", [count]),
        contents=column("i", [0, *[-1] * (count - 1)]),
        chunk_digests=DIGESTS[0],
        chunk_lengths=column("I", [MAX_CHUNK_BYTES]),
        chunk_gaps=column("I", [0]),
        frame_chunks=column("I", [1]),
        frame_sizes=column("I", [100]),
        frame_lengths=column("I", [MAX_CHUNK_BYTES]),
        frame_gaps=column("I", [0]),
        pack_frames=column("I", [1]),
        pack_sizes=column("Q", [100]),
        pack_names=text_column([b"1-0"]),
    )


def modes(*of_first_root: int) -> bytes:
    """Return the sample with these modes below its first root."""
    return spoiled(modes=column("H", [*of_first_root, FILE]))


_ELSEWHERE: Final = "the manifest has a name that leads elsewhere"
_TOO_LONG: Final = "the manifest has a name that is too long"
_ORDER: Final = "the names in the manifest are not in order, or one is there twice"
_DAMAGED: Final = "the manifest is damaged"
_TEXTS: Final = "a column of the manifest has too few texts, or too many"
_PACKS: Final = "the manifest has a pack without a proper name, or one twice"

CASES: Final[dict[str, _Case]] = {
    "empty": (b"", BrokenEntry, "the manifest is none"),
    "something-else": (b"\x28\xb5\x2f\xfd" * 30, BrokenEntry, "the manifest is none"),
    "head-only": (SAMPLE.encode()[:30], BrokenEntry, "the manifest is none"),
    "later-version": (
        packed(b"", version=2),
        BrokenEntry,
        "the manifest is of version 2, which is not known here",
    ),
    "cut-off": (SAMPLE.encode()[:-1], BrokenEntry, _DAMAGED),
    "one-byte-more": (SAMPLE.encode() + b"\0", BrokenEntry, _DAMAGED),
    "other-digest": (packed(b"\x80", digest=bytes(32)), BrokenEntry, _DAMAGED),
    "not-compressed": (sealed(b"\x80"), BrokenEntry, "the manifest cannot be uncompressed: "),
    "two-frames": (
        sealed(zstandard.compress(b"\x80") * 2),
        BrokenEntry,
        "the manifest cannot be uncompressed: ",
    ),
    "unknown-length": (
        sealed(zstandard.ZstdCompressor(write_content_size=False).compress(b"\x80")),
        BrokenEntry,
        "the manifest does not say how long it is",
    ),
    # A header that announces 2^63 bytes, which must not be made room for.
    "endless": (
        sealed(b"\x28\xb5\x2f\xfd\xe0" + b"\xff" * 7 + b"\x7f" + b"\x01\0\0"),
        UnsafeEntry,
        "the manifest has 9223372036854775807 bytes, which exceeds the limit",
    ),
    "no-messagepack": (packed(b"\xc1"), BrokenEntry, "the manifest cannot be read: "),
    "column-missing": (packed(b"\x80"), BrokenEntry, "the manifest cannot be read: "),
    "column-too-many": (columns_with(extra=b""), BrokenEntry, "the manifest cannot be read: "),
    "column-of-text": (columns_with(names="text"), BrokenEntry, "the manifest cannot be read: "),
    "nested-too-deep": (packed(b"\x91" * 100_000), BrokenEntry, "the manifest cannot be read: "),
    "half-a-number": (
        spoiled(modes=b"\0"),
        BrokenEntry,
        "a column of the manifest ends within a number",
    ),
    "half-a-digest": (
        spoiled(chunk_digests=bytes(33)),
        BrokenEntry,
        "a column of the manifest ends within a digest",
    ),
    "name-missing": (named(b"", b"a", b"a/b", b"big"), BrokenEntry, _TEXTS),
    "name-without-end": (
        spoiled(names=b"\0a\0a/b\0big\0link\0\0x"[:-1] + b"x"),
        BrokenEntry,
        _TEXTS,
    ),
    "absolute-name": (
        named(b"", b"/etc", b"/etc/passwd", b"big", b"link"),
        UnsafeEntry,
        _ELSEWHERE,
    ),
    "name-upwards": (named(b"", b"..", b"../x", b"big", b"link"), UnsafeEntry, _ELSEWHERE),
    "name-upwards-later": (named(b"", b"a", b"a/..", b"big", b"link"), UnsafeEntry, _ELSEWHERE),
    "name-upwards-between": (named(b"", b"a", b"a/../x", b"b", b"c"), UnsafeEntry, _ELSEWHERE),
    "name-of-the-same": (named(b"", b".", b"./b", b"big", b"link"), UnsafeEntry, _ELSEWHERE),
    "name-with-empty-part": (named(b"", b"a", b"a//b", b"big", b"link"), UnsafeEntry, _ELSEWHERE),
    "name-ends-in-slash": (named(b"", b"a", b"a/", b"big", b"link"), UnsafeEntry, _ELSEWHERE),
    "name-of-slash": (named(b"", b"/", b"/b", b"big", b"link"), UnsafeEntry, _ELSEWHERE),
    "name-twice": (named(b"", b"a", b"big", b"big", b"link"), BrokenEntry, _ORDER),
    "root-twice": (named(b"", b"", b"a", b"big", b"link"), BrokenEntry, _ORDER),
    "names-out-of-order": (named(b"", b"a", b"big", b"a/b", b"link"), BrokenEntry, _ORDER),
    "part-too-long": (named(b"", b"a", b"a/" + b"x" * 256, b"b", b"c"), UnsafeEntry, _TOO_LONG),
    "name-too-long": (
        named(b"", b"a", b"a/" + b"/".join([b"x" * 200] * 21), b"b", b"c"),
        UnsafeEntry,
        _TOO_LONG,
    ),
    "folders-too-deep": (
        named(b"", b"a", b"/".join([b"a"] * 300), b"b", b"c"),
        UnsafeEntry,
        "the manifest has folders that are nested too deep",
    ),
    "file-below-link": (
        spoiled(
            names=text_column([b"", b"a", b"link", b"link/b", b"z", b""]),
            modes=column("H", [FOLDER, FOLDER, LINK, FILE, FILE, FILE]),
        ),
        UnsafeEntry,
        "the manifest has something below `link`, which is no folder",
    ),
    "file-far-below-link": (
        spoiled(
            names=text_column([b"", b"a", b"link", b"link/b/c/d", b"z", b""]),
            modes=column("H", [FOLDER, FOLDER, LINK, FILE, FILE, FILE]),
        ),
        UnsafeEntry,
        "the manifest has something below `link`, which is no folder",
    ),
    "file-below-file": (
        named(b"", b"a", b"b", b"b/big", b"link"),
        UnsafeEntry,
        "the manifest has something below `b`, which is no folder",
    ),
    "file-below-root-that-is-a-link": (
        modes(LINK, FOLDER, FILE, FILE, FOLDER),
        UnsafeEntry,
        "the manifest has something below ``, which is no folder",
    ),
    "setuid": (
        modes(FOLDER, FOLDER, FILE | 0o4000, FILE, LINK),
        UnsafeEntry,
        "the manifest has a file of mode 104644",
    ),
    "sticky-folder": (
        modes(FOLDER, FOLDER | 0o1000, FILE, FILE, LINK),
        UnsafeEntry,
        "the manifest has a file of mode 41755",
    ),
    "device": (
        modes(FOLDER, 0o060644, FILE, FILE, LINK),
        UnsafeEntry,
        "the manifest has a file of mode 60644",
    ),
    "pipe": (
        modes(FOLDER, 0o010644, FILE, FILE, LINK),
        UnsafeEntry,
        "the manifest has a file of mode 10644",
    ),
    "socket": (
        modes(FOLDER, 0o140644, FILE, FILE, LINK),
        UnsafeEntry,
        "the manifest has a file of mode 140644",
    ),
    "mode-of-nothing": (
        modes(FOLDER, 0o644, FILE, FILE, LINK),
        UnsafeEntry,
        "the manifest has a file of mode 644",
    ),
    "link-with-permissions": (
        modes(FOLDER, FOLDER, FILE, FILE, LINK & ~0o022),
        UnsafeEntry,
        "the manifest has a file of mode 120755",
    ),
    "records-differ": (
        spoiled(mtimes_ns=column("q", [0] * 5)),
        BrokenEntry,
        "the manifest has columns of records that differ in length",
    ),
    "roots-too-short": (
        spoiled(root_records=column("I", [5])),
        BrokenEntry,
        "the manifest divides its records wrongly",
    ),
    "roots-too-long": (
        spoiled(root_records=column("I", [5, 2**32 - 1])),
        BrokenEntry,
        "the manifest divides its records wrongly",
    ),
    "target-empty": (
        spoiled(targets=b"\0"),
        BrokenEntry,
        "the manifest has a link whose target is empty or too long",
    ),
    "target-too-long": (
        spoiled(targets=b"x" * 4096 + b"\0"),
        BrokenEntry,
        "the manifest has a link whose target is empty or too long",
    ),
    "target-missing": (spoiled(targets=b""), BrokenEntry, _TEXTS),
    "contents-of-a-folder": (
        spoiled(content_lengths=column("I", [0, 1, 0, 2, 0, 0])),
        BrokenEntry,
        "the manifest has contents for something that is no file",
    ),
    "contents-of-a-link": (
        spoiled(content_lengths=column("I", [0, 0, 1, 1, 1, 0])),
        BrokenEntry,
        "the manifest has contents for something that is no file",
    ),
    "chunk-that-is-not-there": (
        spoiled(contents=column("i", [0, 0, 7])),
        BrokenEntry,
        "the manifest has a chunk without a file, or a file without its chunk",
    ),
    "chunk-before-the-first": (
        spoiled(contents=column("i", [-2, 0, 0])),
        BrokenEntry,
        "the manifest has a chunk without a file, or a file without its chunk",
    ),
    "chunk-of-no-file": (
        spoiled(contents=column("i", [0, -1, 1])),
        BrokenEntry,
        "the manifest has a chunk without a file, or a file without its chunk",
    ),
    "contents-too-long": (
        spoiled(content_lengths=column("I", [0, 0, 1, 3, 0, 0])),
        BrokenEntry,
        "the manifest has a chunk without a file, or a file without its chunk",
    ),
    "chunk-twice": (
        spoiled(chunk_digests=DIGESTS[0] * 2 + DIGESTS[1]),
        BrokenEntry,
        "the manifest has a chunk twice",
    ),
    "chunk-empty": (
        spoiled(chunk_lengths=column("I", [100, 0, 300])),
        BrokenEntry,
        "the manifest has a chunk that is empty or too long",
    ),
    "chunk-too-long": (
        spoiled(
            chunk_lengths=column("I", [100, 200, MAX_CHUNK_BYTES + 1]),
            frame_lengths=column("I", [400, 2 * MAX_CHUNK_BYTES]),
        ),
        BrokenEntry,
        "the manifest has a chunk that is empty or too long",
    ),
    "chunk-behind-its-frame": (
        spoiled(chunk_gaps=column("I", [0, 101, 0])),
        BrokenEntry,
        "the manifest has a chunk that exceeds its frame",
    ),
    "chunk-far-behind-its-frame": (
        spoiled(chunk_gaps=column("I", [0, 2**32 - 1, 0])),
        BrokenEntry,
        "the manifest has a chunk that exceeds its frame",
    ),
    "chunks-differ": (
        spoiled(chunk_gaps=column("I", [0, 50])),
        BrokenEntry,
        "the manifest has columns of chunks that differ in length",
    ),
    "chunks-divided-wrongly": (
        spoiled(frame_chunks=column("I", [2, 2])),
        BrokenEntry,
        "the manifest divides its chunks wrongly",
    ),
    "frame-without-chunks": (
        spoiled(frame_chunks=column("I", [3, 0])),
        BrokenEntry,
        "the manifest divides its chunks wrongly",
    ),
    "frame-empty": (
        spoiled(frame_sizes=column("I", [90, 0])),
        BrokenEntry,
        "the manifest has a frame that is empty or too long",
    ),
    "frame-too-long": (
        spoiled(frame_lengths=column("I", [400, 4 * MIB + 1])),
        BrokenEntry,
        "the manifest has a frame that is empty or too long",
    ),
    "frame-that-grew": (
        spoiled(frame_lengths=column("I", [80, 300])),
        BrokenEntry,
        "the manifest has a frame that is longer than its contents",
    ),
    "frame-behind-its-pack": (
        spoiled(frame_gaps=column("I", [11, 0])),
        BrokenEntry,
        "the manifest has a frame that exceeds its pack",
    ),
    "frames-differ": (
        spoiled(frame_gaps=column("I", [10])),
        BrokenEntry,
        "the manifest has columns of frames that differ in length",
    ),
    "frames-divided-wrongly": (
        spoiled(pack_frames=column("I", [1, 2])),
        BrokenEntry,
        "the manifest divides its frames wrongly",
    ),
    "pack-without-frames": (
        spoiled(pack_frames=column("I", [2, 0])),
        BrokenEntry,
        "the manifest divides its frames wrongly",
    ),
    "packs-differ": (
        spoiled(pack_frames=column("I", [2])),
        BrokenEntry,
        "the manifest has columns of packs that differ in length",
    ),
    "pack-name-upwards": (spoiled(pack_names=b"../7\0009\0"), BrokenEntry, _PACKS),
    "pack-name-empty": (spoiled(pack_names=b"\0009\0"), BrokenEntry, _PACKS),
    "pack-name-with-line-end": (spoiled(pack_names=b"7-0\n\0009\0"), BrokenEntry, _PACKS),
    "pack-twice": (spoiled(pack_names=b"7-0\0007-0\0"), BrokenEntry, _PACKS),
    "pack-too-long": (
        spoiled(pack_sizes=column("Q", [100, 2**64 - 1])),
        UnsafeEntry,
        "the manifest has too many packs, or one that is too long",
    ),
    "bomb": (
        bomb(),
        UnsafeEntry,
        "100 bytes of the manifest's packs become 36507222016",
    ),
}


if __name__ == "__main__":
    FOLDER_OF_FILES.mkdir(exist_ok=True)
    for name, case in CASES.items():
        file = FOLDER_OF_FILES / name
        if not file.exists():
            file.write_bytes(case[0])
