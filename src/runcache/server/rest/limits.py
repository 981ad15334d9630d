"""Retention limits, storage limits and policies in GitHub's REST API (management §1.6).

What a GET tells is what counts: the lowest of what the server, the owner and the repository have.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Final

from aiohttp import web

from runcache.errors import NotPermitted
from runcache.model import ApiToken
from runcache.retention import LimitValues
from runcache.server.context import MANAGEMENT, api_token_of, body_of
from runcache.server.github_rest import no_content, reply
from runcache.server.operations import Handler
from runcache.server.reach import require_admin
from runcache.wire.github_limits import (
    RepositoryPolicy,
    RetentionLimit,
    ServerPolicy,
    SetRepositoryPolicy,
    SetRetentionLimit,
    SetStorageLimit,
    StorageLimit,
)
from runcache.wire.json_messages import JsonMessage

_MAX_BODY_BYTES: Final = 64 * 1024

SubjectOf = Callable[[web.Request, ApiToken], str]


def retention(values: LimitValues) -> RetentionLimit:
    """Return what is told of limits that have a duration."""
    assert values.unused_for is not None  # noqa: S101  -- limits that count have both values
    return RetentionLimit.of(values.unused_for)


def storage(values: LimitValues) -> StorageLimit:
    """Return what is told of limits that have a size."""
    return StorageLimit.of(_size_bytes(values))


def repository_policy(values: LimitValues) -> RepositoryPolicy:
    """Return what is told of limits that have a size, as GitHub Enterprise Server does."""
    return RepositoryPolicy.of(_size_bytes(values))


def server_policy(values: LimitValues) -> ServerPolicy:
    """Return what is told of the limits of the server."""
    return ServerPolicy.of(_size_bytes(values))


def with_retention(values: LimitValues, body: bytes) -> LimitValues:
    """Return limits that have the duration in a body."""
    return replace(values, unused_for=SetRetentionLimit.decode(body).unused_for)


def with_storage(values: LimitValues, body: bytes) -> LimitValues:
    """Return limits that have the size in a body."""
    return replace(values, size_bytes=SetStorageLimit.decode(body).size_bytes)


def with_repository_policy(values: LimitValues, body: bytes) -> LimitValues:
    """Return limits that have the size in a body, as GitHub Enterprise Server takes it."""
    return replace(values, size_bytes=SetRepositoryPolicy.decode(body).size_bytes)


def server(_request: web.Request, token: ApiToken) -> str:
    """Return the subject that stands for the server, which is the one enterprise that it knows.

    Raises:
        NotFound: the token does not reach all of it.
    """
    require_admin(token)
    return ""


def telling(subject_of: SubjectOf, told: Callable[[LimitValues], JsonMessage]) -> Handler:
    """Return a handler that tells a limit that counts for a subject."""

    async def tell(request: web.Request) -> web.Response:
        subject = subject_of(request, await api_token_of(request))
        limits = await request.app[MANAGEMENT].limits(subject)
        return reply(request, told(limits.effective))

    return tell


def setting(subject_of: SubjectOf, changed: Callable[[LimitValues, bytes], LimitValues]) -> Handler:
    """Return a handler that sets a limit of a subject to what a body says."""

    async def set_limit(request: web.Request) -> web.Response:
        token = await api_token_of(request)
        subject = subject_of(request, token)
        body = await body_of(request, _MAX_BODY_BYTES)
        management = request.app[MANAGEMENT]
        own = (await management.limits(subject)).own or LimitValues()
        await management.set_limits(subject, changed(own, body), by=token.name)
        return no_content()

    return set_limit


async def refuse_for_server(request: web.Request) -> web.Response:
    """Refuse to set a limit of the server, which only its operator can."""
    require_admin(await api_token_of(request))
    raise NotPermitted("The limits of the server are its settings `repo_limit` and `unused_for`")


def _size_bytes(values: LimitValues) -> int:
    assert values.size_bytes is not None  # noqa: S101  -- limits that count have both values
    return values.size_bytes
