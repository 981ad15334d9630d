"""Chunks: what is shared between snapshots, named by its digest.

A file is one chunk, or, above `CUT_ABOVE_BYTES`, is cut where its contents say so (FastCDC), so
that an insertion moves no cut but those beside it. How a file was cut is of no interest to readers.
"""

from collections.abc import Sequence
from functools import cache, cached_property
from typing import TYPE_CHECKING, Final

from blake3 import blake3

from runcache.snapshot.limits import DIGEST_BYTES, KIB, MAX_CHUNK_BYTES

if TYPE_CHECKING:
    from pyfastcdc import FastCDC

CUT_ABOVE_BYTES: Final = 512 * KIB
AVERAGE_CHUNK_BYTES: Final = 256 * KIB

# Keeps the id of a list of digests apart from the digest of a file that holds such a list.
_LIST_CONTEXT: Final = "runcache 2026-11 contents of a file that is more than one chunk"


def digest_of(data: bytes | memoryview) -> bytes:
    """Return the name of a chunk."""
    return blake3(data).digest(DIGEST_BYTES)


def content_id(digests: Sequence[bytes]) -> bytes:
    """Return what stands for the contents of a file that has these chunks, one or more."""
    if len(digests) == 1:
        return digests[0]
    return blake3(b"".join(digests), derive_key_context=_LIST_CONTEXT).digest(DIGEST_BYTES)


@cache
def digest_of_zeros() -> bytes:
    """Return the name of the longest chunk of zeros, of which sparse files consist."""
    return digest_of(memoryview(bytes(MAX_CHUNK_BYTES)))


class Cutter:
    """Cuts the contents of one file after another. To be used by one thread."""

    @cached_property
    def _fastcdc(self) -> "FastCDC":
        from pyfastcdc import FastCDC  # noqa: PLC0415  -- who has no large files does not need it

        return FastCDC(AVERAGE_CHUNK_BYTES, max_size=MAX_CHUNK_BYTES)

    def cut(self, data: memoryview, *, is_end: bool) -> list[memoryview]:
        """Return the chunks that `data` begins with: all of it if the file ends here.

        Otherwise what is left behind the last cut has to come again, with more.
        """
        chunks = [chunk.data for chunk in self._fastcdc.cut_buf(data)]
        # The last cut came from the end of the data, perhaps, and not from what they are.
        return chunks if is_end else chunks[:-1]
