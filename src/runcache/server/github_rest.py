"""GitHub's REST API (management §1)."""

from aiohttp import web

from runcache.errors import CacheError, NotFound
from runcache.server.context import SERVICE, api_token_of
from runcache.server.failures import GITHUB_REST, failure_of
from runcache.wire import github_rest as wire


async def repository_usage(request: web.Request) -> web.Response:
    """Say how much a repository keeps, to tokens that may know of it."""
    token = await api_token_of(request)
    repository = "{owner}/{repo}".format_map(request.match_info)
    if not token.may_read(repository):
        message = "Not Found"
        raise NotFound(message)
    usage = await request.app[SERVICE].usage(repository)
    return _json_response(200, wire.usage_body(usage))


def refusal(_request: web.Request, error: CacheError) -> web.Response:
    """Return the answer of this dialect to a request that failed."""
    return error_response(failure_of(GITHUB_REST, error).status, str(error))


def error_response(status: int, message: str) -> web.Response:
    """Return a basic error (management §1.7)."""
    return _json_response(status, wire.error_body(status, message))


def _json_response(status: int, body: bytes) -> web.Response:
    return web.Response(status=status, body=body, content_type="application/json", charset="utf-8")
