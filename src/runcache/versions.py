"""The version of a cache entry: what a client stamps on it besides its key (protocol §6)."""

import re
from collections.abc import Iterable
from hashlib import sha256
from typing import Final

from runcache.javascript import BLANKS, utf8_of

SNAPSHOT: Final = "runcache-snapshot-1"
"""What stands in a snapshot's version where an archive's has its compression (protocol §6)."""

COMPRESSIONS: Final = ("zstd-without-long", "gzip")
"""What an archive may be compressed with, in order of preference (protocol §6)."""

_SALT: Final = "1.0"
_WINDOWS: Final = "Windows"
_NEGATION: Final = re.compile(f"^![{BLANKS}]+")


def cache_version(
    paths: Iterable[str],
    compression: str | None = "zstd-without-long",
    os: str = "Linux",
    cross_os: bool = False,  # noqa: FBT001, FBT002  -- the public name has it so
) -> str:
    """Return the version that GitHub's client asks for: 64 hexadecimal digits.

    Args:
        paths: as the client is given them, in their order (`paths_of_input`).
        compression: `zstd-without-long`, or `gzip` where zstd is missing; other clients have other
            words, or none.
        os: where the client runs; nothing but `Windows` makes a difference.
        cross_os: whether the entry is for all systems (`enableCrossOsArchive`).
    """
    parts = [*paths]
    if compression is not None:
        parts.append(compression)
    if os == _WINDOWS and not cross_os:
        parts.append("windows-only")
    return sha256(utf8_of("|".join([*parts, _SALT]))).hexdigest()


def paths_of_input(text: str) -> list[str]:
    """Return the paths that `actions/cache` takes its input `path` for, one a line."""
    lines = (_NEGATION.sub("!", line).strip(BLANKS) for line in text.strip(BLANKS).split("\n"))
    return [line for line in lines if line]
