"""A small manifest, whole and with each of its columns spoiled."""

from stat import S_IFDIR, S_IFLNK, S_IFREG
from typing import Any, Final

import msgspec

from runcache.snapshot import columns
from runcache.snapshot.chunking import digest_of
from runcache.snapshot.columns import Columns
from runcache.snapshot.limits import Limits
from runcache.snapshot.manifest import Chunks, Frames, Manifest, Pack

FOLDER: Final = S_IFDIR | 0o755
FILE: Final = S_IFREG | 0o644
LINK: Final = S_IFLNK | 0o777

DIGESTS: Final = tuple(digest_of(text) for text in (b"one", b"two", b"three"))

# Two roots: a folder with two files, of which one has two chunks, and a link; and a file.
SAMPLE: Final = Manifest(
    root_starts=[0, 5, 6],
    names=[b"", b"a", b"a/b", b"big", b"link", b""],
    modes=[FOLDER, FOLDER, FILE, FILE, LINK, FILE],
    mtimes_ns=[1, 2, 3, 4, 5, -6],
    sizes=[0, 0, 100, 500, 0, 0],
    targets={4: b"a/b"},
    content_starts=[0, 0, 0, 1, 3, 3, 3],
    contents=[0, 1, 2],
    chunks=Chunks(DIGESTS, lengths=[100, 200, 300], frames=[0, 0, 1], starts=[0, 150, 0]),
    frames=Frames(packs=[0, 1], starts=[10, 0], sizes=[90, 300], lengths=[400, 300]),
    packs=[Pack("7-0", 100), Pack("9-12", 300)],
)


def sample_columns() -> Columns:
    """Return the columns of the sample."""
    return columns.read(SAMPLE.encode(), limit_bytes=Limits().manifest_bytes)


def spoiled(**changes: Any) -> bytes:  # noqa: ANN401  -- columns are replaced by anything
    """Return the sample with other columns, as a well-formed manifest."""
    return columns.write(msgspec.structs.replace(sample_columns(), **changes))
