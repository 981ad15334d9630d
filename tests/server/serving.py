"""A whole server inside of the test's own process, on a free port."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from aiohttp import web

from runcache.access import scopes_for
from runcache.config import Settings, load
from runcache.server.app import Wired, wired
from runcache.server.context import JOB_TOKENS
from runcache.server.keys import key_of
from runcache.server.process import bound_socket, listening
from tests.in_process import REPOSITORY


@dataclass
class Served:
    """A server that listens. `url` has a final slash."""

    url: str
    settings: Settings
    wired: Wired

    def job_token(self) -> str:
        scopes = scopes_for(
            ref="refs/heads/main", base_ref=None, default_branch="main", event="push"
        )
        return self.wired.app[JOB_TOKENS].mint(
            repository=REPOSITORY, scopes=scopes, ttl=timedelta(hours=1)
        )


def settings_in(folder: Path, **settings: str) -> Settings:
    given = {"data": str(folder), "port": "0", "min_free": "1B"} | settings
    return load(given, environ={}, folder=folder).settings


@asynccontextmanager
async def serving(
    folder: Path,
    *,
    routes: Iterable[web.RouteDef] = (),
    seconds: Callable[[], float] = time.monotonic,
    **settings: str,
) -> AsyncIterator[Served]:
    """Serve what is in `folder`, and `routes` besides our own."""
    chosen = await asyncio.to_thread(settings_in, folder, **settings)
    key = await asyncio.to_thread(key_of, chosen)
    async with wired(chosen, key, seconds=seconds) as server:
        server.app.add_routes(routes)
        async with listening(chosen, server, bound_socket(chosen)) as there:
            yield Served(there.url, chosen, server)
