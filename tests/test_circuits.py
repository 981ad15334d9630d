"""Calls to an engine that may be away: how each ends, and which are made at all."""

import asyncio
import time

import pytest

from runcache.circuits import Circuit
from runcache.errors import BlobMissing, StoreUnavailable

SOON = 5.0
PAUSE = 1.0  # longer than a busy machine keeps a test from its next step


class Engine:
    """What is called: it works, or fails, or never answers."""

    def __init__(self) -> None:
        self.error: Exception | None = None
        self.is_silent = False
        self.clings = False
        self.calls = 0
        self.was_called = asyncio.Event()
        self.may_let_go = asyncio.Event()

    async def answer(self) -> str:
        self.calls += 1
        self.was_called.set()
        if self.is_silent:
            try:
                await asyncio.Event().wait()
            finally:
                if self.clings:
                    await self.may_let_go.wait()
        if self.error is not None:
            raise self.error
        return "here"


@pytest.fixture
def engine() -> Engine:
    return Engine()


@pytest.fixture
def heard() -> list[str | None]:
    return []


@pytest.fixture
def circuit(heard: list[str | None]) -> Circuit:
    return Circuit("store", StoreUnavailable, heard=heard.append, pause_seconds=PAUSE)


async def fail(circuit: Circuit, engine: Engine, times: int) -> None:
    engine.error = StoreUnavailable("it burns")
    for _ in range(times):
        with pytest.raises(StoreUnavailable, match="it burns"):
            await circuit.call(engine.answer, within_seconds=SOON)


async def until_tried(circuit: Circuit, engine: Engine) -> None:
    """Call until one of the calls reaches the engine."""
    calls = engine.calls
    while engine.calls == calls:
        try:
            await circuit.call(engine.answer, within_seconds=SOON)
        except StoreUnavailable:
            await asyncio.sleep(0.005)


async def test_a_call_returns_what_the_engine_says(circuit: Circuit, engine: Engine) -> None:
    assert await circuit.call(engine.answer, within_seconds=SOON) == "here"


async def test_after_three_failures_in_a_row_nothing_reaches_the_engine(
    circuit: Circuit, engine: Engine, heard: list[str | None]
) -> None:
    await fail(circuit, engine, 3)

    with pytest.raises(StoreUnavailable, match="the store is away"):
        await circuit.call(engine.answer, within_seconds=SOON)
    assert engine.calls == 3
    assert heard == ["it burns"]


async def test_a_success_between_failures_makes_good_for_them(
    circuit: Circuit, engine: Engine, heard: list[str | None]
) -> None:
    await fail(circuit, engine, 2)
    assert circuit.is_in_doubt
    engine.error = None
    await circuit.call(engine.answer, within_seconds=SOON)
    await fail(circuit, engine, 2)

    assert circuit.is_closed
    assert heard == []


async def test_what_the_engine_says_is_no_failure_of_it(circuit: Circuit, engine: Engine) -> None:
    engine.error = BlobMissing("f")
    for _ in range(5):
        with pytest.raises(BlobMissing):
            await circuit.call(engine.answer, within_seconds=SOON)

    assert not circuit.is_in_doubt


async def test_after_a_pause_one_call_asks_and_the_others_do_not_wait_for_it(
    circuit: Circuit, engine: Engine, heard: list[str | None]
) -> None:
    await fail(circuit, engine, 3)
    engine.error, engine.is_silent = None, True
    asking = asyncio.create_task(until_tried(circuit, engine))
    engine.was_called.clear()
    await engine.was_called.wait()

    with pytest.raises(StoreUnavailable, match="is away"):
        await circuit.call(engine.answer, within_seconds=SOON)
    asking.cancel()
    await asyncio.gather(asking, return_exceptions=True)
    assert not circuit.is_closed

    engine.is_silent = False
    await until_tried(circuit, engine)
    assert circuit.is_closed
    assert heard == ["it burns", None]


async def test_an_engine_that_is_still_away_is_left_alone_for_another_pause(
    circuit: Circuit, engine: Engine
) -> None:
    await fail(circuit, engine, 3)
    await until_tried(circuit, engine)

    with pytest.raises(StoreUnavailable, match="is away"):
        await circuit.call(engine.answer, within_seconds=SOON)


async def test_a_call_ends_in_time_even_if_the_engine_does_not_let_go(
    circuit: Circuit, engine: Engine
) -> None:
    engine.is_silent = engine.clings = True
    begun = time.monotonic()

    with pytest.raises(StoreUnavailable, match=r"did not answer within 0\.05 s"):
        await circuit.call(engine.answer, within_seconds=0.05)
    assert time.monotonic() - begun < SOON
    engine.may_let_go.set()
    await circuit.close()


async def test_an_engine_in_doubt_is_not_waited_for_as_long(
    circuit: Circuit, engine: Engine
) -> None:
    await fail(circuit, engine, 1)
    engine.is_silent = True

    with pytest.raises(StoreUnavailable, match="did not answer within 2 s"):
        await circuit.call(engine.answer, within_seconds=60)
    await circuit.close()


async def test_who_goes_away_does_not_speak_against_the_engine(
    circuit: Circuit, engine: Engine
) -> None:
    engine.is_silent = True
    for _ in range(5):
        call = asyncio.create_task(circuit.call(engine.answer, within_seconds=SOON))
        await asyncio.sleep(0)
        call.cancel()
        await asyncio.gather(call, return_exceptions=True)

    assert not circuit.is_in_doubt
    await circuit.close()


async def test_who_has_waited_in_vain_does(engine: Engine, heard: list[str | None]) -> None:
    circuit = Circuit("store", StoreUnavailable, heard=heard.append, slow_seconds=0)
    engine.is_silent = True
    for _ in range(3):
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(circuit.call(engine.answer, within_seconds=SOON), 0.01)

    assert not circuit.is_closed
    assert len(heard) == 1
    await circuit.close()


async def test_what_may_be_repeated_is_repeated_at_once(circuit: Circuit) -> None:
    answers = [StoreUnavailable("stale"), None]

    async def act() -> str:
        if error := answers.pop(0):
            raise error
        return "here"

    assert await circuit.call(act, within_seconds=SOON, attempts=2) == "here"
    assert not circuit.is_in_doubt


async def test_the_end_of_something_is_waited_for_but_not_for_ever(circuit: Circuit) -> None:
    is_over, may_end = asyncio.Event(), asyncio.Event()

    async def end() -> None:
        await may_end.wait()
        is_over.set()

    await circuit.ended(end(), within_seconds=0.01)
    assert not is_over.is_set()
    may_end.set()
    await circuit.close()
    assert is_over.is_set()


async def test_what_only_went_into_a_buffer_proves_nothing(
    circuit: Circuit, engine: Engine
) -> None:
    await fail(circuit, engine, 2)
    with circuit.judging(is_proof=False):
        pass
    assert circuit.is_in_doubt

    with circuit.judging():
        pass
    assert not circuit.is_in_doubt
