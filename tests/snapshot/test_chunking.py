"""Chunks: where files are cut, and what chunks and contents are called."""

from random import Random

from blake3 import blake3
from hypothesis import given
from hypothesis import strategies as st

from runcache.snapshot.chunking import (
    AVERAGE_CHUNK_BYTES,
    Cutter,
    content_id,
    digest_of,
    digest_of_zeros,
)
from runcache.snapshot.limits import MAX_CHUNK_BYTES, MIB

LONG = Random(1).randbytes(6 * MIB)


def cut(data: bytes) -> list[bytes]:
    return [bytes(chunk) for chunk in Cutter().cut(memoryview(data), is_end=True)]


def test_chunks_are_the_data_one_behind_the_other() -> None:
    chunks = cut(LONG)

    assert b"".join(chunks) == LONG
    assert max(map(len, chunks)) <= MAX_CHUNK_BYTES
    assert AVERAGE_CHUNK_BYTES / 2 < len(LONG) / len(chunks) < AVERAGE_CHUNK_BYTES * 2


def test_an_insertion_moves_no_cut_far_behind_it() -> None:
    former, now = set(cut(LONG)), set(cut(LONG[:1000] + b"inserted" + LONG[1000:]))

    assert len(now - former) <= 2


@given(st.lists(st.integers(1, 3 * MIB), max_size=4))
def test_it_makes_no_difference_in_which_pieces_a_file_comes(lengths: list[int]) -> None:
    cutter, rest, at = Cutter(), b"", 0
    chunks: list[bytes] = []
    for length in [*lengths, len(LONG)]:
        data = rest + LONG[at : at + length]
        at += length
        made = cutter.cut(memoryview(data), is_end=at >= len(LONG))
        chunks += map(bytes, made)
        rest = data[sum(map(len, made)) :]
        if at >= len(LONG):
            break

    assert chunks == cut(LONG)


def test_zeros_are_cut_into_the_longest_chunks() -> None:
    chunks = cut(bytes(3 * MIB + 5))

    assert [len(chunk) for chunk in chunks] == [MIB, MIB, MIB, 5]
    assert digest_of(chunks[0]) == digest_of_zeros()


def test_a_chunk_is_called_by_the_beginning_of_its_blake3_digest() -> None:
    assert digest_of(b"chunk") == blake3(b"chunk").digest()[:24]


def test_contents_of_one_chunk_are_called_like_it() -> None:
    assert content_id([digest_of(b"chunk")]) == digest_of(b"chunk")


def test_contents_of_several_chunks_are_no_file_that_holds_their_digests() -> None:
    digests = [digest_of(b"one"), digest_of(b"two")]

    assert content_id(digests) != digest_of(b"".join(digests))
    assert content_id(digests) != content_id(digests[::-1])
