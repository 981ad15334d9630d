"""The guess at which contents cannot be compressed."""

import zlib
from random import Random

import pytest

from runcache.snapshot.drafts import is_dense
from runcache.snapshot.limits import MIB


@pytest.mark.parametrize(
    ("contents", "is_it"),
    [
        (b"", False),
        (bytes(MIB), False),
        (b"function a(b) { return b + 1 }\n" * 1000, False),
        (Random(1).randbytes(1000), False),
        (zlib.compress(Random(1).randbytes(MIB)), True),
    ],
)
def test_what_is_compressed_already_is_told_from_the_rest(contents: bytes, *, is_it: bool) -> None:
    assert is_dense(memoryview(contents)) is is_it
