"""Whoever looks after the caches of a server in the test's own process, and what is saved there."""

import itertools
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Final, TypedDict, Unpack

from runcache.catalog.opening import open_catalog
from runcache.locations import CatalogLocation
from runcache.model import Entry
from runcache.server.auth import digest_of, new_api_token
from runcache.service import now_ms
from tests.faults.raw_job import VERSION, RawJob
from tests.in_process import MAIN, body_of, job
from tests.server.serving import Served

_numbers = itertools.count(1)
_HOUR: Final = timedelta(hours=1)


class Caretaker(RawJob):
    """Somebody with an API token, and a repository that they look after."""

    def __init__(self, server: Served, token: str, repository: str) -> None:
        super().__init__(server, token=token)
        self.server = server
        self.repository = repository

    @property
    def caches(self) -> str:
        """The path of the entries."""
        return f"/repos/{self.repository}/actions/caches"

    @property
    def cache(self) -> str:
        """The path of usage and limits."""
        return f"/repos/{self.repository}/actions/cache"

    async def saved(self, key: str, data: bytes = b"data", **which: str) -> Entry:
        """Save an entry in the repository, see `saved`."""
        return await saved(self.server, key, data, **{"repository": self.repository} | which)


def new_repository() -> str:
    """Return the name of a repository that no other test has."""
    return f"octo/new-{next(_numbers)}"


class Rights(TypedDict, total=False):
    """What a token may do."""

    repositories: Iterable[str]
    owners: Iterable[str]
    can_write: bool
    is_admin: bool


async def api_token(location: CatalogLocation, **rights: Unpack[Rights]) -> str:
    """Return a new token for the REST API of the server with this catalog."""
    token, text = new_api_token(**rights, ttl=_HOUR, now_ms=now_ms())
    async with open_catalog(location) as catalog:
        await catalog.tokens.add(token, digest_of(text))
    return text


@asynccontextmanager
async def caretaker(
    server: Served, repository: str | None = None, **rights: Unpack[Rights]
) -> AsyncIterator[Caretaker]:
    """Somebody with a token for `repository`, which may be new, if `rights` do not say more."""
    name = repository or new_repository()
    all_rights: Rights = {"repositories": [name], **rights}
    token = await api_token(server.settings.catalog, **all_rights)
    async with Caretaker(server, token, name) as caller:
        yield caller


async def saved(
    server: Served,
    key: str,
    data: bytes = b"data",
    *,
    repository: str,
    ref: str = MAIN,
    version: str = VERSION,
) -> Entry:
    """Save an entry as a job would, without the way over HTTP."""
    service, grant = server.wired.service, job(ref, repository=repository)
    upload = await service.reserve(grant, key, version)
    await service.write_whole(upload.blob, body_of(data), announced_bytes=len(data))
    return await service.commit(grant, key, version, len(data))
