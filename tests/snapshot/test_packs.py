"""Frames become packs: of which length, in which order, and what happens if the sink fails."""

import threading
from contextlib import suppress

import pytest

from runcache.snapshot.limits import MIB
from runcache.snapshot.packs import PACK_BYTES, Packer, Place
from tests.snapshot.packs_in_memory import MemorySink


def test_frames_lie_one_behind_the_other() -> None:
    sink = MemorySink("7")
    packer = Packer(sink)

    places = [packer.add(frame) for frame in (b"one", b"three", memoryview(b"two"))]
    packs = packer.flush()
    packer.finish()

    assert places == [Place(0, 0), Place(0, 3), Place(0, 8)]
    assert packs == {0: ("7-0", 11)}
    assert sink.packs == {"7-0": b"onethreetwo"}


def test_nothing_makes_no_pack() -> None:
    sink = MemorySink()
    packer = Packer(sink)

    assert packer.flush() == {}
    packer.finish()
    assert sink.packs == {}


def test_a_frame_that_does_not_fit_begins_a_pack() -> None:
    sink = MemorySink()
    packer = Packer(sink)
    frame = bytes(3 * MIB)

    places = [packer.add(frame) for _ in range(25)]
    packs = packer.flush()
    packer.finish()

    assert places[9:12] == [Place(0, 27 * MIB), Place(1, 0), Place(1, 3 * MIB)]
    assert [packs[number].size_bytes for number in sorted(packs)] == [30 * MIB, 30 * MIB, 15 * MIB]


def test_packs_leave_while_more_is_added() -> None:
    class Watching(MemorySink):
        def put(self, number: int, body: memoryview, *, blake3: bytes, sha256: bytes) -> None:
            super().put(number, body, blake3=blake3, sha256=sha256)
            has_left.set()

    has_left = threading.Event()
    packer = Packer(Watching())

    packer.add(bytes(PACK_BYTES))
    packer.add(b"more")

    assert has_left.wait(timeout=60)
    packer.finish()


def test_three_packs_are_in_memory_and_none_is_overwritten_before_it_has_left() -> None:
    class Watching(MemorySink):
        def put(self, number: int, body: memoryview, *, blake3: bytes, sha256: bytes) -> None:
            buffers.add(id(body.obj))
            super().put(number, body, blake3=blake3, sha256=sha256)
            assert self.packs[self.name(number)] == bytes([number]) * PACK_BYTES

    buffers = set[int]()
    packer = Packer(Watching())

    for number in range(8):
        packer.add(bytes([number]) * PACK_BYTES)
    packer.finish()

    assert len(packer.flush()) == 8
    assert len(buffers) <= 3


def test_what_the_sink_raises_is_raised_when_the_packs_are_finished() -> None:
    packer = Packer(MemorySink(fail_at=0))
    packer.add(b"lost")

    with pytest.raises(ConnectionError, match="the sink is gone"):
        packer.finish()


def test_what_the_sink_raises_is_raised_where_more_is_added() -> None:
    packer = Packer(MemorySink(fail_at=1))

    def add_much() -> None:
        for _ in range(10):
            packer.add(bytes(PACK_BYTES))

    with pytest.raises(ConnectionError, match="the sink is gone"):
        add_much()
    packer.abandon()


def test_nobody_waits_for_packs_that_are_abandoned() -> None:
    class Stuck(MemorySink):
        def put(self, number: int, body: memoryview, *, blake3: bytes, sha256: bytes) -> None:
            is_stuck.set()
            go_on.wait()
            super().put(number, body, blake3=blake3, sha256=sha256)

    def add() -> None:
        with suppress(RuntimeError):
            for _ in range(100):
                packer.add(bytes(PACK_BYTES))

    is_stuck, go_on = threading.Event(), threading.Event()
    packer = Packer(Stuck())
    adding = [threading.Thread(target=add) for _ in range(2)]
    for thread in adding:
        thread.start()

    is_stuck.wait()
    packer.abandon()

    for thread in adding:
        thread.join()
    go_on.set()
