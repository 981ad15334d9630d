"""What surrounds every handler: errors in the form of their dialect, a request id, one log line."""

import asyncio
import secrets
import time
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Final, Protocol

import structlog
from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError, LineTooLong

from runcache.errors import CacheError, Unavailable
from runcache.server import artifactcache, azure_blob, github_rest, native, twirp
from runcache.server.context import (
    LOOKUP_RESULT,
    METRICS,
    REPOSITORY,
    REQUEST_ID,
    SERVICE,
    require_own_authority,
)
from runcache.server.results import IS_FORWARDED
from runcache.server.results import ROUTE as FORWARDED
from runcache.server.transfers import IS_LAST, MOVED_BYTES
from runcache.server.ui import headers as ui_headers
from runcache.server.ui import refusals as ui
from runcache.wire import azure_blob as azure_wire
from runcache.wire import native as native_wire

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

_log = structlog.get_logger("runcache.server")
_CLIENT_CLOSED_REQUEST: Final = 499
_SERVER_ERROR: Final = 500
# What the prefix of a path makes of an error; anything else is REST.
_TWIRP: Final = "/twirp/"
_ARTIFACTCACHE: Final = "/_apis/artifactcache/"
_AZURE_BLOB: Final = "/devstoreaccount1/"


class _Refusal(Protocol):
    def __call__(self, request: web.Request, error: CacheError, /) -> web.Response: ...


@web.middleware
async def canonical_log_line(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Log and count each request once, without its query, its tokens or its keys."""
    started = time.perf_counter()
    request[REQUEST_ID] = request_id = secrets.token_hex(16)
    status = _CLIENT_CLOSED_REQUEST
    try:
        response = await handler(request)
        status = response.status
        return response
    finally:
        seconds = time.perf_counter() - started
        route = _route_of(request)
        request.app[METRICS].answered(route, status, seconds)
        log = _log.warning if status >= _SERVER_ERROR else _log.info
        log(
            "request",
            method=request.method,
            route=route,
            status=status,
            seconds=round(seconds, 4),
            blob_bytes=request.get(MOVED_BYTES, 0),
            repository=request.get(REPOSITORY),
            lookup_result=request.get(LOOKUP_RESULT),
            request_id=request_id,
            remote=request.remote,
        )


@web.middleware
async def errors_in_dialect(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Answer every failure in the form that the clients of this path read."""
    try:
        require_own_authority(request)
        return await handler(request)
    except CacheError as exc:
        # What a client got wrong may be quoted in its cause: only our own troubles are told.
        if isinstance(exc, Unavailable) and exc.__cause__ is not None:
            _log.warning("request.failed", error=str(exc), cause=repr(exc.__cause__))
        return _refusal_for(request.path)(request, exc)
    except web.HTTPException as exc:
        return _plain_error(request, exc.status, exc.reason.lower(), exc.headers.get("Allow"))
    except (ConnectionError, asyncio.CancelledError):
        raise
    except Exception:  # noqa: BLE001  -- no traceback reaches a client
        _log.exception("request.crashed", route=_route_of(request), request_id=request[REQUEST_ID])
        return _plain_error(request, _SERVER_ERROR, "internal error", None)


async def add_common_headers(request: web.Request, response: web.StreamResponse) -> None:
    """Give each answer an id; Go clients of blob links crash without one (protocol §4.3)."""
    # What failed before its line in the log, such as a strange `Expect`, has none yet.
    request_id = request.get(REQUEST_ID) or secrets.token_hex(16)
    if request.path.startswith(_AZURE_BLOB):
        response.headers[azure_wire.REQUEST_ID] = request_id
        for name in (azure_wire.VERSION, azure_wire.CLIENT_REQUEST_ID):
            if name in request.headers:
                response.headers[name] = request.headers[name]
    else:
        response.headers["X-GitHub-Request-Id"] = request_id
        github_rest.add_headers(request, response)
    if request.path.startswith(ui_headers.PREFIX):
        ui_headers.add_headers(response)
    response.headers.pop("Server", None)
    # Who is told that this server goes shall not keep a connection that ends with it.
    if request.get(IS_LAST) or request.app[SERVICE].is_leaving:
        response.force_close()
        response.headers["Connection"] = "close"


def unreadable(error: BaseException | None) -> web.Response:
    """Answer what is no HTTP: no path tells its dialect, so the body suits all of them."""
    is_too_long = isinstance(error, LineTooLong)
    status = (
        431 if is_too_long else 400 if isinstance(error, HttpProcessingError) else _SERVER_ERROR
    )
    message = {
        431: "a line of the request's head is too long",
        400: "the request is not valid HTTP/1.1",
    }.get(status, "internal error")
    request_id = secrets.token_hex(16)
    response = web.json_response(
        {"code": "malformed", "msg": message, "message": message},
        status=status,
        headers={"X-GitHub-Request-Id": request_id, azure_wire.REQUEST_ID: request_id},
    )
    response.force_close()
    return response


def _refusal_for(path: str) -> _Refusal:
    if path.startswith(_TWIRP):
        return twirp.refusal
    if path.startswith(_ARTIFACTCACHE):
        return artifactcache.refusal
    if path.startswith(_AZURE_BLOB):
        return azure_blob.refusal
    if path.startswith(native_wire.PREFIX):
        return native.refusal
    if path.startswith(ui_headers.PREFIX):
        return ui.refusal
    return github_rest.refusal


def _plain_error(
    request: web.Request, status: int, message: str, allow: str | None
) -> web.Response:
    path = request.path
    if path.startswith(_TWIRP):
        code = "internal" if status >= _SERVER_ERROR else "bad_route"
        response = twirp.error_response(status, code, message)
    elif path.startswith(_ARTIFACTCACHE):
        response = artifactcache.error_response(status, HTTPStatus(status).phrase, message)
    elif path.startswith(_AZURE_BLOB):
        is_ours = status >= _SERVER_ERROR
        azure_code = (
            azure_wire.ErrorCode.INTERNAL_ERROR if is_ours else azure_wire.ErrorCode.INVALID_INPUT
        )
        response = azure_blob.error_response(status, azure_code, message)
    elif path.startswith(native_wire.PREFIX):
        code = (
            native_wire.ErrorCode.INTERNAL
            if status >= _SERVER_ERROR
            else native_wire.ErrorCode.BAD_ROUTE
        )
        response = native.error_response(status, code, message)
    elif path.startswith(ui_headers.PREFIX):
        response = ui.error_page(request, status, message)
    else:
        response = github_rest.error_response(status, message.title())
    if allow is not None:
        response.headers["Allow"] = allow
    return response


def _route_of(request: web.Request) -> str:
    if request.get(IS_FORWARDED):
        return FORWARDED
    resource = request.match_info.route.resource
    return resource.canonical if resource is not None else "none"
