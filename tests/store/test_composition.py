"""Which pieces parts are composed of."""

from hypothesis import given
from hypothesis import strategies as st

from runcache.model import Part
from runcache.store.composition import (
    LEAST_BYTES,
    MOST_PIECES,
    Copied,
    Joined,
    Slice,
    least_bytes,
    pieces_of,
)

LEAST = 10
MIB = 1024**2


def parts_of(sizes: list[int]) -> list[Part]:
    starts = [sum(sizes[:number]) for number in range(len(sizes))]
    return [
        Part(f"part-{number}", start, size)
        for number, (start, size) in enumerate(zip(starts, sizes, strict=True))
    ]


def slices_of(piece: Copied | Joined) -> tuple[Slice, ...]:
    return (piece.source,) if isinstance(piece, Copied) else piece.sources


@given(st.lists(st.one_of(st.integers(0, 3), st.integers(0, 45)), max_size=30))
def test_pieces_are_all_bytes_in_their_order(sizes: list[int]) -> None:
    pieces = list(pieces_of(parts_of(sizes), LEAST))

    bytes_of_pieces = [
        (piece.part, offset)
        for whole in pieces
        for piece in slices_of(whole)
        for offset in range(piece.offset, piece.offset + piece.count)
    ]
    assert bytes_of_pieces == [
        (f"part-{number}", offset) for number, size in enumerate(sizes) for offset in range(size)
    ]


@given(st.lists(st.one_of(st.integers(0, 3), st.integers(0, 45)), min_size=1, max_size=30))
def test_only_the_last_piece_is_small_and_none_that_is_joined_is_large(sizes: list[int]) -> None:
    *pieces, _ = [*pieces_of(parts_of(sizes), LEAST), None]

    lengths = [sum(piece.count for piece in slices_of(whole)) for whole in pieces if whole]
    joined = [whole.size_bytes for whole in pieces if isinstance(whole, Joined)]
    assert all(length >= LEAST for length in lengths[:-1])
    assert all(length < 2 * LEAST for length in joined)


def test_what_is_large_enough_is_copied_and_not_read() -> None:
    pieces = list(pieces_of(parts_of([64 * MIB, 64 * MIB, 1])))

    assert pieces == [
        Copied(Slice("part-0", 0, 64 * MIB)),
        Copied(Slice("part-1", 0, 64 * MIB)),
        Joined((Slice("part-2", 0, 1),)),
    ]


def test_a_part_of_gigabytes_is_copied_in_pieces_that_take_a_moment_each() -> None:
    pieces = list(pieces_of(parts_of([2048 * MIB + 1])))

    lengths = [piece.source.count for piece in pieces if isinstance(piece, Copied)]
    assert sum(lengths) == 2048 * MIB + 1
    assert max(lengths) == 256 * MIB
    assert min(lengths) >= LEAST_BYTES


def test_pieces_grow_with_the_blob_so_that_they_stay_few_as_far_as_memory_goes() -> None:
    assert least_bytes(MIB) == LEAST_BYTES
    assert least_bytes(100_000 * MIB) == 2 * 100_000 * MIB // MOST_PIECES
    assert least_bytes(1_000_000 * MIB) is None
