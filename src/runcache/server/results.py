"""The rest of GitHub's results service: what is not the cache's goes on to `results_upstream`.

Clients know one address for caches and artifacts (`ACTIONS_RESULTS_URL`, protocol §1). What no
route of this server answers is passed on as it comes, and the answer likewise.
"""

import asyncio
import errno
import hmac
import os
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

import aiohttp
import structlog
from aiohttp import web
from aiohttp.typedefs import Handler, Middleware
from multidict import CIMultiDict, CIMultiDictProxy
from yarl import URL

from runcache.errors import ForwardingLoop, UploadInterrupted, UpstreamFailed, UpstreamSilent
from runcache.server.auth import API_TOKEN_PREFIX, token_in
from runcache.server.context import target_of

ROUTE: Final = "results_upstream"
PATIENCE_SECONDS: Final = 60
CONNECT_SECONDS: Final = 10
_CONNECTIONS_AT_MOST: Final = 100
# Whose second segment says which service a path belongs to; of others the first one does.
_SHARED: Final = frozenset({"twirp", "_apis"})
# RFC 9110 §7.6.1; `Connection` names more of them.
_HOP_BY_HOP: Final = frozenset(
    {
        "connection",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)
# Of a request: whose host it is for, a wait that has ended here, and sessions of our own pages.
_NOT_SENT: Final = _HOP_BY_HOP | {"host", "expect", "cookie"}
# Of an answer: the upstream may set no cookie for pages of ours.
_NOT_ANSWERED: Final = _HOP_BY_HOP | {"set-cookie"}

# Whether a request was passed on, for its line in the log.
IS_FORWARDED: Final = web.RequestKey("is_forwarded", bool)

_log = structlog.get_logger("runcache.server")


class Upstream:
    """The results service behind this server, at `origin`.

    `name` is what this server and its replicas call themselves in `Via`. To whoever moves no byte
    for `patience_seconds` no more is sent, and nothing is awaited from it.
    """

    def __init__(
        self,
        origin: str,
        session: aiohttp.ClientSession,
        *,
        name: str,
        patience_seconds: float,
    ) -> None:
        self._origin = origin
        self._session = session
        self._name = name
        self._patience_seconds = patience_seconds

    async def answer(self, request: web.Request) -> web.StreamResponse:
        """Pass a request on, and the answer back, both as they come.

        Raises:
            ForwardingLoop: it has been here before.
            UploadInterrupted: the client went away in the middle of its body.
            UpstreamFailed: the upstream is not there, or hangs up without an answer.
            UpstreamSilent: it does not answer in time.
        """
        if self._has_been_here(request):
            raise ForwardingLoop(self._origin)
        body = _Body(request, self._patience_seconds) if request.body_exists else None
        try:
            answered = await self._session.request(
                request.method,
                URL(self._origin + target_of(request), encoded=True),
                headers=self._passed_on(request.headers, _NOT_SENT),
                data=None if body is None else body.pieces(),
                allow_redirects=False,
            )
        except TimeoutError as exc:
            raise UpstreamSilent(self._origin, "it does not answer in time") from exc
        except (aiohttp.ClientError, OSError) as exc:
            if body is not None and body.is_interrupted:
                raise UploadInterrupted from exc
            raise UpstreamFailed(self._origin, _reason_of(exc)) from exc
        async with answered:
            return await self._passed_back(request, answered)

    async def _passed_back(
        self, request: web.Request, answered: aiohttp.ClientResponse
    ) -> web.StreamResponse:
        response = web.StreamResponse(
            status=answered.status,
            reason=answered.reason,
            headers=self._passed_on(answered.headers, _NOT_ANSWERED),
        )
        # A page of the upstream must not act as one of ours.
        response.headers["Content-Security-Policy"] = "sandbox"
        await response.prepare(request)
        try:
            async for piece in answered.content.iter_any():
                async with asyncio.timeout(self._patience_seconds):
                    await response.write(piece)
            await response.write_eof()
        except (aiohttp.ClientError, TimeoutError, ConnectionError) as exc:
            _log.warning("forwarding.broken", cause=repr(exc))
            # Half a body must not look like a whole one.
            if request.transport is not None:
                request.transport.abort()
            message = "an answer of the results service was cut off"
            raise ConnectionAbortedError(message) from exc
        return response

    def _passed_on(
        self, headers: CIMultiDictProxy[str], dropped: frozenset[str]
    ) -> CIMultiDict[str]:
        named = ",".join(headers.getall("Connection", ())).lower().split(",")
        dropped |= {name.strip() for name in named}
        kept = CIMultiDict(
            (name, value) for name, value in headers.items() if name.lower() not in dropped
        )
        kept.add("Via", f"1.1 {self._name}")
        return kept

    def _has_been_here(self, request: web.Request) -> bool:
        return any(self._name in value.split() for value in _listed(request, "Via"))


class _Body:
    """The body of a request, piece by piece."""

    def __init__(self, request: web.Request, patience_seconds: float) -> None:
        self._content = request.content
        self._patience_seconds = patience_seconds
        self.is_interrupted = False

    async def pieces(self) -> AsyncGenerator[bytes, None]:
        try:
            while True:
                async with asyncio.timeout(self._patience_seconds):
                    piece = await self._content.readany()
                if not piece:
                    return
                yield piece
        except (web.RequestPayloadError, ConnectionError, TimeoutError):
            self.is_interrupted = True
            raise


@asynccontextmanager
async def forwarding(
    app: web.Application,
    origin: str | None,
    *,
    key: bytes,
    patience_seconds: float = PATIENCE_SECONDS,
) -> AsyncIterator[None]:
    """Let an application, whose routes are all there, pass on what it has no route for.

    `origin` is the upstream, if there is one; `key` is the same on all replicas, and stays secret.
    """
    if origin is None:
        yield
        return
    async with aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=_CONNECTIONS_AT_MOST),
        auto_decompress=False,
        cookie_jar=aiohttp.DummyCookieJar(),
        # What the client did not say is not said for it.
        skip_auto_headers=("Accept", "Accept-Encoding", "Content-Type", "User-Agent"),
        timeout=aiohttp.ClientTimeout(
            total=None, connect=CONNECT_SECONDS, sock_read=patience_seconds
        ),
    ) as session:
        name = f"runcache-{hmac.digest(key, b'via', 'sha256').hex()[:16]}"
        upstream = Upstream(origin, session, name=name, patience_seconds=patience_seconds)
        app.middlewares.append(_forward(app, upstream))
        yield


def _forward(app: web.Application, upstream: Upstream) -> Middleware:
    ours = frozenset(_service_of(resource.canonical) for resource in app.router.resources())

    @web.middleware
    async def forward(request: web.Request, handler: Handler) -> web.StreamResponse:
        failed = request.match_info.http_exception
        if not isinstance(failed, web.HTTPNotFound) or not _may_go(request, ours):
            return await handler(request)
        request[IS_FORWARDED] = True
        return await upstream.answer(request)

    return forward


def _may_go(request: web.Request, ours: frozenset[str]) -> bool:
    """Say whether a request that has no route is meant for the upstream."""
    service = _service_of(request.path)
    # What another reader of the path could take for one of ours is nobody's.
    is_plain = target_of(request).startswith("/") and ".." not in request.path.split("/")
    token = token_in(request.headers.get("Authorization")) or ""
    return is_plain and service not in ours and not token.startswith(API_TOKEN_PREFIX)


def _service_of(path: str) -> str:
    """Return the beginning of a path that says whose it is, in small letters."""
    segments = [segment for segment in path.lower().split("/") if segment not in {"", "."}]
    return "/".join(segments[: 2 if segments[:1] and segments[0] in _SHARED else 1])


def _listed(request: web.Request, name: str) -> list[str]:
    return ",".join(request.headers.getall(name, ())).split(",")


def _reason_of(error: Exception) -> str:
    match error:
        case aiohttp.ClientConnectorCertificateError():
            return "its certificate is not trusted"
        case aiohttp.ClientSSLError():
            return "it does not speak TLS as this server does"
        case aiohttp.ClientConnectorError():
            # asyncio's own text repeats the address, and a resolver's number is not errno's.
            number = error.os_error.errno or 0
            return os.strerror(number) if number in errno.errorcode else "its name is unknown"
        case _:
            return "the connection broke"
