"""Which packs of a base are worth sharing."""

from itertools import chain

from msgspec.structs import replace

from runcache.snapshot.chunking import content_id
from runcache.snapshot.limits import MIB
from runcache.snapshot.manifest import Pack
from runcache.snapshot.sharing import (
    Frame,
    Spot,
    contents_in,
    packs_to_leave,
    spots_in,
    used_frames,
)
from tests.snapshot.manifests import DIGESTS, SAMPLE


def used(pack: Pack, *, share: float = 1.0) -> list[Spot]:
    """Return chunks that use so much of a pack of one frame."""
    frame = Frame(pack, 0, pack.size_bytes, 1000)
    return [Spot(frame, 0, int(share * 500)), Spot(frame, 500, int(share * 500))]


def packs(*sizes: int) -> list[Pack]:
    return [Pack(f"1-{number}", size) for number, size in enumerate(sizes)]


def left(*spots: list[Spot]) -> set[str]:
    """Return the names of the packs that are left."""
    named = {number.to_bytes(2): spot for number, spot in enumerate(chain.from_iterable(spots))}
    return {pack.name for pack in packs_to_leave(used_frames(named, named))}


def test_a_base_tells_where_its_chunks_are() -> None:
    spots = spots_in([SAMPLE])

    assert spots == {
        DIGESTS[0]: Spot(Frame(Pack("7-0", 100), 10, 90, 400), 0, 100),
        DIGESTS[1]: Spot(Frame(Pack("7-0", 100), 10, 90, 400), 150, 200),
        DIGESTS[2]: Spot(Frame(Pack("9-12", 300), 0, 300, 300), 0, 300),
    }
    assert spots[DIGESTS[0]].frame is spots[DIGESTS[1]].frame


def test_of_two_bases_that_have_a_chunk_the_first_counts() -> None:
    other = replace(SAMPLE, packs=[Pack("8-0", 100), Pack("9-12", 300)])

    spots = spots_in([SAMPLE, other])

    assert spots[DIGESTS[0]].frame.pack == Pack("7-0", 100)


def test_files_of_several_chunks_are_known_by_their_contents() -> None:
    assert contents_in([SAMPLE]) == {content_id(DIGESTS[1:]): DIGESTS[1:]}


def test_a_pack_that_is_used_at_least_half_is_shared() -> None:
    assert left(used(Pack("1-0", 20 * MIB), share=0.5)) == set()


def test_a_pack_that_is_used_less_than_half_is_left() -> None:
    assert left(used(Pack("1-0", 20 * MIB), share=0.49)) == {"1-0"}


def test_a_pack_of_this_save_is_never_left() -> None:
    assert left([Spot(Frame(0, 0, 100, 1000), 0, 1)]) == set()


def test_of_small_packs_there_may_be_eight() -> None:
    small, large = packs(*[3 * MIB] * 8), Pack("2-0", 30 * MIB)

    assert left(used(large), *map(used, small)) == set()


def test_of_more_small_packs_the_four_largest_are_shared() -> None:
    small, large = packs(*(number * MIB // 4 for number in range(1, 10))), Pack("2-0", 30 * MIB)

    assert left(used(large), *map(used, small)) == {"1-0", "1-1", "1-2", "1-3", "1-4"}


def test_beyond_64_packs_the_smallest_are_left() -> None:
    sizes = [(5 + number % 11) * MIB for number in range(66)]
    smallest = {pack.name for pack in sorted(packs(*sizes), key=lambda pack: pack.size_bytes)[:2]}

    assert left(*map(used, packs(*sizes))) == smallest


def test_large_packs_are_shared_however_many_there_are() -> None:
    assert left(*map(used, packs(*[30 * MIB] * 300))) == set()


def test_packs_of_bases_that_contradict_each_other_are_left() -> None:
    pack = Pack("1-0", 100)
    overlapping_frames = [Spot(Frame(pack, 0, 60, 60), 0, 60), Spot(Frame(pack, 50, 50, 50), 0, 50)]
    frame = Frame(pack, 0, 100, 100)
    overlapping_chunks = [Spot(frame, 0, 60), Spot(frame, 50, 50)]

    assert left(overlapping_frames) == {"1-0"}
    assert left(overlapping_chunks) == {"1-0"}
