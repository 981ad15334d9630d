"""The sizes that the format of snapshots prescribes, and what is sane for what others send."""

from typing import Final

import msgspec

KIB: Final = 1024
MIB: Final = 1024 * KIB
GIB: Final = 1024 * MIB

DIGEST_BYTES: Final = 24
"""How much of a BLAKE3 digest names a chunk: to find two of one name takes 2⁹⁶ attempts.

Names of chunks are most of a manifest, and nothing of them can be compressed.
"""

PERMISSIONS: Final = 0o777
"""All that is kept of a mode besides its type: no setuid, no setgid, no sticky bit."""

MAX_CHUNK_BYTES: Final = MIB
MAX_FRAME_BYTES: Final = 4 * MIB
MAX_PACKS: Final = 4096
MAX_PACK_BYTES: Final = GIB
# What Linux and macOS can have at most, the final NUL of C included.
MAX_PATH_BYTES: Final = 4096
MAX_PART_BYTES: Final = 255
MAX_DEPTH: Final = 256
"""How many folders may be nested below a root: each is open while what is in it is removed."""


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """What a manifest may ask for at most. Whatever exceeds it is refused before it is acted upon.

    `references` counts the chunks of all files, each as often as it is used. `expansion` is how
    many times longer files may be than the frames that they come from; it counts only above
    `expansion_above_bytes`, since a sparse file is one chunk again and again.
    """

    manifest_bytes: int = 160 * MIB
    records: int = 1_000_000
    references: int = 4_000_000
    size_bytes: int = 1024 * GIB
    expansion: int = 1000
    expansion_above_bytes: int = 32 * GIB
