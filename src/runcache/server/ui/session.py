"""Who looks at the pages: sessions in a signed cookie, and the tokens of their forms.

The cookie names a session and the digest of the API token that it began with, never the token. It
is signed and not stored, so any replica of a server can read it. The token is looked up with each
request: a session ends with it, or 12 hours after it began. One that has no token yet is what the
form of the sign-in page belongs to.
"""

import hmac
import json
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Final
from urllib.parse import parse_qsl

from aiohttp import web
from joserfc import jws
from joserfc.errors import JoseError
from joserfc.jwk import OctKey
from multidict import MultiDict, MultiDictProxy

from runcache.errors import FormRefused, MalformedMessage
from runcache.model import ApiToken
from runcache.server.auth import not_authenticated, signed_payload, valid_api_token
from runcache.server.context import SERVICE, body_of
from runcache.server.keys import SigningKey
from runcache.server.ui.headers import PREFIX, is_over_https
from runcache.service import now_ms

COOKIE: Final = "runcache_session"
SESSION_TTL: Final = timedelta(hours=12)
MAX_FORM_BYTES: Final = 256 * 1024
MAX_FIELDS: Final = 1000

_ALGORITHMS: Final = ["HS256"]
_MAX_COOKIE_LENGTH: Final = 1024
# What keys are derived for.
_COOKIES: Final = "ui sessions"
_FORMS: Final = "ui forms"

Form = MultiDictProxy[str]


@dataclass(frozen=True, slots=True)
class Ticket:
    """What a cookie holds: the session's id, and the digest of its API token once it has one."""

    session_id: str
    digest: str | None = None


@dataclass(frozen=True, slots=True)
class Session:
    """Somebody who is signed in: with which token, and what their forms must send back."""

    token: ApiToken
    csrf: str


class Sessions:
    """Makes and reads cookies. Their keys derive from `key`; `now` is in milliseconds."""

    def __init__(self, key: SigningKey, *, now: Callable[[], int]) -> None:
        self._key = OctKey.import_key(key.derived(_COOKIES))
        self._accepted = (self._key, *map(OctKey.import_key, key.derived_formerly(_COOKIES)))
        self._form_keys = (key.derived(_FORMS), *key.derived_formerly(_FORMS))
        self._now = now

    def seal(self, ticket: Ticket) -> str:
        """Return the value of a cookie that counts from now on."""
        claims = {
            "sid": ticket.session_id,
            "tok": ticket.digest,
            "exp": self._now() + SESSION_TTL // timedelta(milliseconds=1),
        }
        payload = json.dumps(claims, separators=(",", ":"))
        return jws.serialize_compact({"alg": "HS256"}, payload, self._key, _ALGORITHMS)

    def opened(self, cookie: str | None) -> Ticket | None:
        """Return what a cookie holds, `None` if there is none, it is forged, or has expired."""
        if not cookie or len(cookie) > _MAX_COOKIE_LENGTH:
            return None
        try:
            claims = json.loads(signed_payload(cookie, self._accepted))
        except (JoseError, ValueError):
            return None
        is_over = claims["exp"] <= self._now()
        return None if is_over else Ticket(claims["sid"], claims["tok"])

    def csrf_of(self, ticket: Ticket) -> str:
        """Return what each form of a session holds, to send it back."""
        return _csrf(self._form_keys[0], ticket)

    def is_csrf_of(self, ticket: Ticket, given: str) -> bool:
        """Say whether a form of this session held `given`."""
        return any(
            hmac.compare_digest(given.encode(), _csrf(key, ticket).encode())
            for key in self._form_keys
        )


def _csrf(key: bytes, ticket: Ticket) -> str:
    return hmac.digest(key, ticket.session_id.encode(), "sha256").hex()


SESSIONS: Final = web.AppKey("ui_sessions", Sessions)
SESSION: Final = web.RequestKey("ui_session", Session)


def new_ticket(digest: str | None = None) -> Ticket:
    """Return a ticket of a session that nobody had before."""
    return Ticket(secrets.token_hex(16), digest)


def ticket_of(request: web.Request) -> Ticket | None:
    """Return the ticket in the cookie of a request, if it has one that counts."""
    return request.app[SESSIONS].opened(request.cookies.get(COOKIE))


def set_ticket(request: web.Request, response: web.StreamResponse, ticket: Ticket) -> None:
    """Give the browser a ticket, which it shows to these pages alone."""
    response.set_cookie(
        COOKIE,
        request.app[SESSIONS].seal(ticket),
        path=PREFIX,
        secure=is_over_https(request),
        httponly=True,
        samesite="Strict",
    )


def drop_ticket(response: web.StreamResponse) -> None:
    """Take the ticket from the browser."""
    response.del_cookie(COOKIE, path=PREFIX)


async def require_session(request: web.Request) -> Session:
    """Return the session of a request.

    Raises:
        NotAuthenticated: there is none, or its token was revoked or has expired.
    """
    ticket = ticket_of(request)
    if ticket is None or ticket.digest is None:
        raise not_authenticated()
    found = await request.app[SERVICE].api_token(ticket.digest)
    token = valid_api_token(found, now_ms=now_ms())
    request[SESSION] = session = Session(token, request.app[SESSIONS].csrf_of(ticket))
    return session


async def form_of(request: web.Request) -> Form:
    """Return the fields of a form that was sent.

    Raises:
        MalformedMessage: it is not a form, or has more than 1000 fields.
        MessageTooLarge, UploadInterrupted: as `body_of`.
    """
    if request.content_type != "application/x-www-form-urlencoded":
        message = "the request holds no form"
        raise MalformedMessage(message)
    body = await body_of(request, MAX_FORM_BYTES)
    try:
        fields = parse_qsl(body.decode(), keep_blank_values=True, max_num_fields=MAX_FIELDS)
    except ValueError as exc:
        message = "the form cannot be read"
        raise MalformedMessage(message) from exc
    return MultiDictProxy(MultiDict(fields))


def require_csrf(request: web.Request, form: Form) -> None:
    """Refuse a form that a page of the same session did not hold.

    Raises:
        FormRefused: another site, another session or nobody made it.
    """
    ticket = ticket_of(request)
    if ticket is None or not request.app[SESSIONS].is_csrf_of(ticket, form.get("csrf", "")):
        raise FormRefused
