"""What handlers find in the application, and how they read a request."""

import asyncio
import ipaddress
import re
from typing import Final
from urllib.parse import urlsplit

from aiohttp import web

from runcache.config import Settings
from runcache.errors import (
    MalformedMessage,
    MessageTooLarge,
    Misdirected,
    NotAuthenticated,
    UploadInterrupted,
)
from runcache.insight.explain.explanations import Explanations
from runcache.model import ApiToken, Grant, Hit
from runcache.server.auth import JobTokens, digest_of, not_authenticated, token_in, valid_api_token
from runcache.server.links import Links
from runcache.server.metrics import MISS, Metrics
from runcache.server.transfers import Transfers
from runcache.service import CacheService, Records, now_ms
from runcache.service.contents import EntryContents
from runcache.service.direct import DirectTransfers
from runcache.service.management import Management

SERVICE: Final = web.AppKey("service", CacheService)
MANAGEMENT: Final = web.AppKey("management", Management)
RECORDS: Final = web.AppKey("records", Records)
CONTENTS: Final = web.AppKey("contents", EntryContents)
EXPLANATIONS: Final = web.AppKey("explanations", Explanations)
JOB_TOKENS: Final = web.AppKey("job_tokens", JobTokens)
LINKS: Final = web.AppKey("links", Links)
METRICS: Final = web.AppKey("metrics", Metrics)
TRANSFERS: Final = web.AppKey("transfers", Transfers)
SETTINGS: Final = web.AppKey("settings", Settings)

# Where a request keeps whose token it has.
API_TOKEN: Final = web.RequestKey("api_token", ApiToken)
# Where a request keeps what its line in the log says.
REQUEST_ID: Final = web.RequestKey("request_id", str)
REPOSITORY: Final = web.RequestKey("repository", str)
LOOKUP_RESULT: Final = web.RequestKey("lookup_result", str)

MESSAGE_SECONDS: Final = 60
_ID_DIGITS: Final = 18
_HOST: Final = re.compile(r"([A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(:[0-9]{1,5})?")


def grant_of(request: web.Request) -> Grant:
    """Return what the job token of a request allows.

    Raises:
        NotAuthenticated: there is no token, or it does not count.
    """
    token = token_in(request.headers.get("Authorization"))
    if token is None:
        raise not_authenticated()
    grant = request.app[JOB_TOKENS].grant(token)
    request[REPOSITORY] = grant.repository
    return grant


def note_lookup(request: web.Request, hit: Hit | None) -> None:
    """Keep what a lookup found for the request's line in the log."""
    request[LOOKUP_RESULT] = hit.kind.value if hit else MISS


async def api_token_of(request: web.Request) -> ApiToken:
    """Return the API token of a request.

    Raises:
        NotAuthenticated: there is none, or it does not count.
    """
    text = token_in(request.headers.get("Authorization"))
    if text is None:
        message = "Requires authentication"
        raise NotAuthenticated(message)
    found = await request.app[SERVICE].api_token(digest_of(text))
    request[API_TOKEN] = token = valid_api_token(found, now_ms=now_ms())
    return token


async def body_of(request: web.Request, limit_bytes: int) -> bytes:
    """Return a body that is a message of at most `limit_bytes`.

    Raises:
        MessageTooLarge: it is longer.
        UploadInterrupted: it ended early, or did not come within a minute.
    """
    pieces: list[bytes] = []
    size_bytes = 0
    try:
        if request.content.is_eof():
            # It came with the head, as almost all do: a time limit takes longer than reading it.
            body = request.content.read_nowait()
            if len(body) > limit_bytes:
                raise MessageTooLarge(limit_bytes)
            return body
        async with asyncio.timeout(MESSAGE_SECONDS):
            async for piece in request.content.iter_any():
                size_bytes += len(piece)
                if size_bytes > limit_bytes:
                    raise MessageTooLarge(limit_bytes)
                pieces.append(piece)
    except (web.RequestPayloadError, ConnectionError, TimeoutError) as exc:
        raise UploadInterrupted from exc
    return b"".join(pieces)


def id_in(request: web.Request, name: str) -> int | None:
    """Return the id in the path of a request, `None` for what no 64 bits hold."""
    text = request.match_info[name]
    return int(text) if text.isascii() and text.isdigit() and len(text) <= _ID_DIGITS else None


def target_of(request: web.Request) -> str:
    """Return path and query as received, without the authority of a proxy request."""
    target = request.raw_path
    if target.startswith("/"):
        return target
    _, _, rest = target.partition("://")
    _, slash, path = rest.partition("/")
    return slash + path


def require_own_authority(request: web.Request) -> None:
    """Refuse a request in the form that is meant for proxies, unless it is meant for this server.

    Raises:
        Misdirected: it names another host.
    """
    target = request.raw_path
    if target.startswith("/") or (target == "*" and request.method == "OPTIONS"):
        return
    authority = (urlsplit(target).netloc if "://" in target else target).lower()
    found = _HOST.fullmatch(authority)
    public_url = request.app[SETTINGS].public_url
    own = {request.app[SETTINGS].host, urlsplit(public_url).netloc.lower() if public_url else None}
    host = found[1].strip("[]") if found else ""
    if found is None or not (authority in own or host in own or _is_loopback(host)):
        raise Misdirected(authority)


def origin_of(request: web.Request) -> str:
    """Return scheme and authority that the client reaches this server by, without a final slash.

    Raises:
        MalformedMessage: the Host header names no host.
    """
    settings = request.app[SETTINGS]
    if settings.public_url is not None:
        return settings.public_url
    scheme, host = request.scheme, request.headers.get("Host", "")
    if is_trusted_proxy(request):
        scheme = request.headers.get("X-Forwarded-Proto", scheme)
        host = request.headers.get("X-Forwarded-Host", host)
    if not _HOST.fullmatch(host) or scheme not in {"http", "https"}:
        message = "the request does not say which host it is for"
        raise MalformedMessage(message)
    return f"{scheme}://{host}"


def direct_for(request: web.Request) -> DirectTransfers | None:
    """Return what leads a client past this server, `None` where it must not be led there.

    Who is here by `https` is not sent where everybody may listen, nor would clients follow.
    """
    direct = request.app[SERVICE].direct
    if direct is None or (origin_of(request).startswith("https:") and not direct.is_encrypted):
        return None
    return direct


def is_from_loopback(request: web.Request) -> bool:
    """Say whether the request comes from this machine, and not through a proxy."""
    return not request.app[SETTINGS].behind_proxy and _is_loopback(request.remote or "")


def is_trusted_proxy(request: web.Request) -> bool:
    """Say whether what the request says with X-Forwarded-* headers counts."""
    settings = request.app[SETTINGS]
    if not settings.behind_proxy:
        return False
    try:
        address = ipaddress.ip_address(request.remote or "")
    except ValueError:
        return False
    return any(address in network for network in settings.trusted_proxies)


def _is_loopback(host: str) -> bool:
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False
