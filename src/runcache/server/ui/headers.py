"""What every answer below `/ui/` says to the browser about what it may do with it."""

from collections.abc import Mapping
from typing import Final

from aiohttp import web

from runcache.server.context import origin_of

PREFIX: Final = "/ui/"
SIGN_IN_PATH: Final = "/ui/sign-in"
SIGN_OUT_PATH: Final = "/ui/sign-out"

# No page has a script or a style of its own, and none can be shown inside of another.
_POLICY: Final = (
    "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)

# `same-origin` keeps the keys that an address holds from other sites, and tells our own forms where
# they came from.
HEADERS: Final[Mapping[str, str]] = {
    "Content-Security-Policy": _POLICY,
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}


def add_headers(response: web.StreamResponse) -> None:
    """Forbid what no page needs; what says nothing about it must not be kept by anybody."""
    response.headers.update(HEADERS)
    response.headers.setdefault("Cache-Control", "no-store")


def is_over_https(request: web.Request) -> bool:
    """Say whether the browser reaches this server over TLS."""
    return origin_of(request).startswith("https://")
