"""Requests that fail, as pages; strangers are led to the sign-in page, and back afterwards."""

from http import HTTPStatus
from urllib.parse import urlsplit

from aiohttp import web

from runcache.errors import CacheError, NotAuthenticated
from runcache.server.failures import GITHUB_REST, failure_of
from runcache.server.ui.headers import PREFIX, SIGN_IN_PATH
from runcache.server.ui.rendering import address, page
from runcache.server.ui.session import COOKIE, drop_ticket, ticket_of


def refusal(request: web.Request, error: CacheError) -> web.Response:
    """Return the page for a request that failed."""
    if isinstance(error, NotAuthenticated):
        return _to_sign_in(request)
    return error_page(request, failure_of(GITHUB_REST, error).status, str(error), hint=error.hint)


def error_page(
    request: web.Request, status: int, message: str, *, hint: str | None = None
) -> web.Response:
    """Return a page that says what went wrong, and nothing of how."""
    return page(
        request,
        "error.html",
        title=HTTPStatus(status).phrase,
        status=status,
        code=status,
        message=message,
        hint=hint,
    )


def local_path(text: str | None) -> str:
    """Return where to go after signing in: `text` if it is one of our pages, else the first."""
    if text is None or not text.startswith(PREFIX) or not text.isascii():
        return PREFIX
    return text if text.isprintable() and "\\" not in text else PREFIX


def _to_sign_in(request: web.Request) -> web.Response:
    ticket = ticket_of(request)
    has_cookie = COOKIE in request.cookies
    has_ended = has_cookie and (ticket is None or ticket.digest is not None)
    target = address(
        SIGN_IN_PATH.removeprefix(PREFIX),
        next=_way_back(request),
        ended="1" if has_ended else None,
    )
    response: web.Response
    if request.headers.get("Sec-Fetch-Site") == "cross-site" and not has_cookie:
        # A browser that follows another site's link withholds the cookie, which it may well have.
        # It sends it along where a page of ours leads it.
        response = page(request, "onward.html", title="One moment", target=target)
    else:
        response = web.Response(status=HTTPStatus.SEE_OTHER, headers={"Location": target})
    if has_ended:
        drop_ticket(response)
    return response


def _way_back(request: web.Request) -> str | None:
    if request.method in {"GET", "HEAD"}:
        return request.path_qs
    # What was sent is lost, but not the page that it was sent from.
    referrer = urlsplit(request.headers.get("Referer", ""))
    way = f"{referrer.path}?{referrer.query}" if referrer.query else referrer.path
    return local_path(way) if referrer.netloc == request.host else None
