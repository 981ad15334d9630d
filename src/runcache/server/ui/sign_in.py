"""Signing in with an API token, signing out, and the way from `/` to the pages."""

from typing import Final

from aiohttp import web

from runcache.errors import NotAuthenticated
from runcache.server.auth import digest_of, valid_api_token
from runcache.server.context import SERVICE
from runcache.server.ui.headers import PREFIX, SIGN_IN_PATH
from runcache.server.ui.refusals import local_path
from runcache.server.ui.rendering import page
from runcache.server.ui.session import (
    SESSIONS,
    Ticket,
    drop_ticket,
    form_of,
    new_ticket,
    require_csrf,
    require_session,
    set_ticket,
    ticket_of,
)
from runcache.service import now_ms

_WRONG_TOKEN: Final = "This token is wrong, has expired, or was revoked."  # noqa: S105  -- no token


async def to_pages(_request: web.Request) -> web.Response:
    """Lead to the first page."""
    return _to(PREFIX)


def wants_pages(request: web.Request) -> bool:
    """Say whether a browser asks, and not a program: its `Accept` names HTML."""
    return "text/html" in request.headers.get("Accept", "").lower()


async def show(request: web.Request) -> web.Response:
    """Ask for a token; lead on whoever is signed in already."""
    try:
        await require_session(request)
    except NotAuthenticated:
        return _form(request, local_path(request.query.get("next")))
    return _to(local_path(request.query.get("next")))


async def sign_in(request: web.Request) -> web.Response:
    """Begin a session with a token that counts."""
    form = await form_of(request)
    require_csrf(request, form)
    way = local_path(form.get("next"))
    digest = digest_of(form.get("token", "").strip())
    try:
        valid_api_token(await request.app[SERVICE].api_token(digest), now_ms=now_ms())
    except NotAuthenticated:
        return _form(request, way, mistake=_WRONG_TOKEN)
    response = _to(way)
    set_ticket(request, response, new_ticket(digest))
    return response


async def sign_out(request: web.Request) -> web.Response:
    """End the session in this browser."""
    require_csrf(request, await form_of(request))
    response = _to(SIGN_IN_PATH)
    drop_ticket(response)
    return response


def _form(request: web.Request, way: str, *, mistake: str | None = None) -> web.Response:
    # Another tab may show the form already: both belong to one session.
    ticket = ticket_of(request) or new_ticket()
    ticket = Ticket(ticket.session_id)
    response = page(
        request,
        "sign_in.html",
        title="Sign in",
        status=401 if mistake else 200,
        csrf=request.app[SESSIONS].csrf_of(ticket),
        way=way,
        mistake=mistake,
        has_ended="ended" in request.query,
    )
    set_ticket(request, response, ticket)
    return response


def _to(path: str) -> web.Response:
    return web.Response(status=303, headers={"Location": path})
