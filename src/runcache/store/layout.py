"""Every name in a store, once.

```
catalog-id                            which catalog knows what is in here
3f/                                   the first two characters of the blob's name
  3fa9…/                              a blob: 32 random hexadecimal characters
    0c51…                             a part: 16 random hexadecimal characters, as it was received
```

In a bucket these are the keys of objects, behind the prefix of the store.

A part never moves: a blob is committed by rows in the catalog that name its parts in order.
"""

import re
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from runcache.errors import BlobMissing

CATALOG_ID: Final = "catalog-id"

_BLOB_NAME: Final = re.compile(r"[0-9a-f]{32}", re.ASCII)
_PART_NAME: Final = re.compile(r"[0-9a-f]{16}", re.ASCII)


def new_blob_name() -> str:
    """Return a name that no other blob has, and that nobody can guess."""
    return secrets.token_hex(16)


def new_part_name() -> str:
    """Return a name that no other part of the same blob has."""
    return secrets.token_hex(8)


def is_blob_name(name: str) -> bool:
    """Say whether `name` could be that of a blob."""
    return _BLOB_NAME.fullmatch(name) is not None


def is_part_name(name: str) -> bool:
    """Say whether `name` could be that of a part."""
    return _PART_NAME.fullmatch(name) is not None


def shards() -> Iterator[str]:
    """Yield the names of the folders that blobs are spread over."""
    for number in range(256):
        yield f"{number:02x}"


def blob_path(blob: str) -> Path:
    """Return where a blob is, relative to the store.

    Raises:
        BlobMissing: no blob can have this name.
    """
    if not is_blob_name(blob):
        raise BlobMissing(blob)
    return Path(blob[:2], blob)


def part_path(blob: str, part: str) -> Path:
    """Return where a part is, relative to the store.

    Raises:
        BlobMissing: no part can have this name.
    """
    if not is_part_name(part):
        raise BlobMissing(blob)
    return blob_path(blob) / part


def part_at(path: str) -> tuple[str, str] | None:
    """Return which blob and part are at this path, `None` if it is none of a part."""
    _, _, blob_and_part = path.partition("/")
    blob, _, part = blob_and_part.partition("/")
    if not (is_blob_name(blob) and is_part_name(part)) or part_path(blob, part).as_posix() != path:
        return None
    return blob, part
