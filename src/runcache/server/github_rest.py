"""How GitHub's REST API answers: bodies, errors and headers (management §1.7 to §1.9).

What it answers is in `server/rest/`, and which requests there are in the table there.
"""

import hashlib
import re
from http import HTTPStatus
from typing import Final

from aiohttp import web

from runcache.errors import (
    CacheError,
    InvalidParameter,
    NotAuthenticated,
    NotFound,
    ReadOnlyToken,
    Unavailable,
)
from runcache.server.auth import token_in
from runcache.server.context import API_TOKEN, is_trusted_proxy, origin_of, target_of
from runcache.server.failures import GITHUB_REST, failure_of
from runcache.server.operations import API_VERSION, ENTERPRISE_PREFIX, OPERATION
from runcache.service import now_ms
from runcache.wire import github_rest as wire
from runcache.wire.json_messages import JsonMessage

# So that programs that look for it find the release whose API this is.
_ENTERPRISE_VERSION: Final = "3.19.0"
_PREFIX: Final = re.compile(r"(/[A-Za-z0-9._~-]+)+")
_ETAG_BYTES: Final = 16


def reply(
    request: web.Request, answer: JsonMessage, *, headers: dict[str, str] | None = None
) -> web.Response:
    """Return 200 with a body, or 304 to a request that has it already."""
    body = answer.encode()
    etag = hashlib.blake2b(body, digest_size=_ETAG_BYTES).hexdigest()
    known = request.if_none_match or ()
    if request.method in {"GET", "HEAD"} and any(tag.value == etag for tag in known):
        response = web.Response(status=HTTPStatus.NOT_MODIFIED, headers=headers)
    else:
        response = _json_response(HTTPStatus.OK, body)
        response.headers.update(headers or {})
    if request.method in {"GET", "HEAD"}:
        response.headers["ETag"] = f'W/"{etag}"'
        response.headers["Cache-Control"] = "private, no-cache"
    return response


def no_content() -> web.Response:
    """Return 204: it is done, and there is nothing to say."""
    return web.Response(status=HTTPStatus.NO_CONTENT)


def refusal(request: web.Request, error: CacheError) -> web.Response:
    """Return the answer of this dialect to a request that failed, in GitHub's words."""
    status = failure_of(GITHUB_REST, error).status
    match error:
        case NotAuthenticated() if token_in(request.headers.get("Authorization")) is None:
            message = "Requires authentication"
        case NotAuthenticated():
            message = "Bad credentials"
        case NotFound():
            message = "Not Found"
        case ReadOnlyToken():
            message = "Resource not accessible by personal access token"
        case InvalidParameter():
            message = "Validation Failed"
        case Unavailable() if error.hint is not None:
            message = f"{error}; {error.hint}"
        case _:
            message = str(error)
    return _json_response(status, wire.error_body(status, message, wire.problem_of(error)))


def error_response(status: int, message: str) -> web.Response:
    """Return a basic error (management §1.7)."""
    return _json_response(status, wire.error_body(status, message))


def base_url(request: web.Request) -> str:
    """Return where the client reaches the root of the API, without a slash at the end.

    Raises:
        MalformedMessage: the request does not say which host it is for.
    """
    prefix = ""
    if is_trusted_proxy(request):
        told = request.headers.get("X-Forwarded-Prefix", "").rstrip("/")
        prefix = told if _PREFIX.fullmatch(told) else ""
    is_enterprise = target_of(request).startswith(f"{ENTERPRISE_PREFIX}/")
    return f"{origin_of(request)}{prefix}{ENTERPRISE_PREFIX if is_enterprise else ''}"


def add_headers(request: web.Request, response: web.StreamResponse) -> None:
    """Add what each answer of an operation of GitHub's says about API, token and rate."""
    operation = request.get(OPERATION)
    if operation is None or operation.dialect != "github":
        return
    version = request.headers.get(API_VERSION)
    response.headers["X-GitHub-Media-Type"] = "github.v3; format=json"
    response.headers[f"{API_VERSION}-Selected"] = (
        version if version in wire.API_VERSIONS else wire.DEFAULT_API_VERSION
    )
    if request.path.startswith(f"{ENTERPRISE_PREFIX}/"):
        response.headers["X-GitHub-Enterprise-Version"] = _ENTERPRISE_VERSION
    token = request.get(API_TOKEN)
    if token is not None:
        response.headers["X-OAuth-Scopes"] = wire.scopes_of(token)
    response.headers["X-Accepted-OAuth-Scopes"] = operation.scopes
    if operation.permissions:
        response.headers["X-Accepted-GitHub-Permissions"] = operation.permissions
    response.headers["Vary"] = "Accept, Authorization"
    response.headers.update(wire.Rate.at(now_ms() // 1000).headers)


def _json_response(status: int, body: bytes) -> web.Response:
    return web.Response(status=status, body=body, content_type="application/json", charset="utf-8")
