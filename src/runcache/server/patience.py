"""Patience with the catalog where a client has sent all of its bytes, and nothing may be lost."""

from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

import stamina

from runcache.errors import CatalogUnavailable

T = TypeVar("T")

PATIENCE_SECONDS: Final = 8

# It would count and log each retry in its own way, and among our own metrics.
stamina.instrumentation.set_on_retry_hooks(())


async def patiently(act: Callable[[], Awaitable[T]]) -> T:
    """Return what `act` returns, which may be repeated, and is while the catalog is away.

    Raises:
        CatalogUnavailable: it is still away after some seconds.
    """
    async for attempt in stamina.retry_context(
        on=CatalogUnavailable,
        attempts=None,
        timeout=PATIENCE_SECONDS,
        wait_initial=0.5,
        wait_max=2,
        wait_jitter=0.5,
    ):
        with attempt:
            result = await act()
    return result
