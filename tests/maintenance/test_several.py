"""Many things are done a few at a time, in order, and a failure is said as it is."""

import asyncio

import pytest

from runcache.maintenance.several import several


async def test_results_come_in_the_order_of_the_things() -> None:
    async def late_if_small(number: int) -> int:
        for _ in range(20 - number):
            await asyncio.sleep(0)
        return number * 2

    assert await several(late_if_small, range(20)) == [number * 2 for number in range(20)]


async def test_after_a_failure_what_runs_ends_and_nothing_else_is_begun() -> None:
    begun, ended = [], []

    async def fails_at_three(number: int) -> None:
        begun.append(number)
        await asyncio.sleep(0)
        if number == 3:
            raise ValueError("three")
        ended.append(number)

    with pytest.raises(ValueError, match="three"):
        await several(fails_at_three, range(100))

    assert len(begun) < 20
    assert len(ended) == len(begun) - 1
