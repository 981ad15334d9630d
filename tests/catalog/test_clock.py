"""One clock for all replicas: that of the engine."""

import time
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, TypeVar, cast

import pytest
from sqlalchemy import Connection

from runcache.catalog.catalog import Catalog

T = TypeVar("T")

MINUTES = 60_000


class Elsewhere:
    """An engine on a machine whose clock is so many minutes ahead."""

    def __init__(self, ahead_minutes: int) -> None:
        self._ahead_ms = ahead_minutes * MINUTES

    async def read(self, work: Callable[[Connection], T]) -> T:
        return work(
            cast(
                "Connection",
                SimpleNamespace(dialect=SimpleNamespace(name="postgresql"), scalar=self._asked),
            )
        )

    def _asked(self, _statement: object) -> Any:  # noqa: ANN401  -- as SQLAlchemy has it
        return time.time_ns() // 1_000_000 + self._ahead_ms


async def test_a_catalog_goes_by_the_clock_of_its_engine(catalog: Catalog) -> None:
    await catalog.set_clock()

    assert abs(catalog.now_ms() - time.time_ns() // 1_000_000) < MINUTES


@pytest.mark.parametrize("ahead", [-3, 0, 90])
async def test_replicas_agree_though_their_own_clocks_do_not(ahead: int) -> None:
    catalog = Catalog(cast("Any", Elsewhere(ahead)))

    await catalog.set_clock()

    assert abs(catalog.now_ms() - time.time_ns() // 1_000_000 - ahead * MINUTES) < MINUTES
