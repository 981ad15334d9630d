"""Links to blobs that carry their own permission: purpose, blob, expiry and a signature.

The form is that of Azurite, since clients take an account, a container and a query for granted
(protocol §4.4). `sig` is the last of our parameters. What clients add (`comp`, `blockid`,
`timeout`) is not under it, and some of them sort the whole query, so order means nothing and a
second one of ours is refused.
"""

import base64
import hmac
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from enum import Enum
from typing import Final
from urllib.parse import unquote

from runcache.errors import LinkRefused
from runcache.model import Upload

PATH: Final = "/devstoreaccount1/actions-cache/"
FOR_BASE: Final = "for=base"

_BLOB: Final = re.compile(r"[0-9a-f]{32}")
_EXPIRY: Final = re.compile(r"[0-9]{1,12}")
_OURS: Final = frozenset({"se", "sp", "sr", "sig"})


class Purpose(Enum):
    """What a link is for, in the words of Azure's `sp`."""

    READ = "r"
    WRITE = "w"


PURPOSES: Final[Mapping[str, Purpose]] = {
    "GET": Purpose.READ,
    "HEAD": Purpose.READ,
    "PUT": Purpose.WRITE,
}


class Links:
    """Makes and checks links. `key` is derived for this purpose; `now` is in milliseconds.

    Links that one of the `former` keys has signed work as well.
    """

    def __init__(
        self,
        key: bytes,
        *,
        former: Sequence[bytes] = (),
        link_ttl: timedelta,
        now: Callable[[], int],
    ) -> None:
        self._key = key
        self._accepted = (key, *former)
        self._ttl_seconds = int(link_ttl.total_seconds())
        self._now = now

    def for_download(self, origin: str, blob: str, *, for_base: bool = False) -> str:
        """Return a link for GET and HEAD that works for `link_ttl`. `origin` has no final slash.

        One `for_base` says so, unsigned, since only the records ask.
        """
        link = self._link(origin, blob, Purpose.READ, self._now() // 1000 + self._ttl_seconds)
        return f"{link}&{FOR_BASE}" if for_base else link

    def for_upload(self, origin: str, upload: Upload) -> str:
        """Return a link for PUT that works as long as the upload is open."""
        return self._link(origin, upload.blob, Purpose.WRITE, upload.expires_at // 1000)

    def verify(self, target: str, purpose: Purpose) -> str:
        """Return the name of the blob that `target` leads to.

        `target` is the path and query as they were received, with nothing decoded.

        Raises:
            LinkRefused: it is not a link of ours for this purpose, or no longer.
        """
        path, _, query = target.partition("?")
        ours = _ours(query)
        blob = path.removeprefix(PATH)
        given = (ours.get("se", ""), ours.get("sp"), ours.get("sr"))
        if (
            path != PATH + blob
            or not _BLOB.fullmatch(blob)
            or not _EXPIRY.fullmatch(given[0])
            or given[1:] != (purpose.value, "b")
        ):
            raise LinkRefused
        signature = ours.get("sig", "").encode("utf-8", "replace")
        if not any(
            hmac.compare_digest(_signature(key, blob, purpose, given[0]).encode(), signature)
            for key in self._accepted
        ):
            raise LinkRefused
        if int(given[0]) * 1000 <= self._now():
            raise LinkRefused
        return blob

    def time_left(self, target: str) -> timedelta:
        """Return for how long a link goes on working that `verify` has let pass."""
        _, _, query = target.partition("?")
        return timedelta(milliseconds=int(_ours(query)["se"]) * 1000 - self._now())

    def _link(self, origin: str, blob: str, purpose: Purpose, expires_at: int) -> str:
        signature = _signature(self._key, blob, purpose, str(expires_at))
        return f"{origin}{PATH}{blob}?se={expires_at}&sp={purpose.value}&sr=b&sig={signature}"


def _signature(key: bytes, blob: str, purpose: Purpose, expires_at: str) -> str:
    signed = f"{purpose.value}\n{blob}\n{expires_at}".encode()
    digest = hmac.digest(key, signed, "sha256")
    return base64.urlsafe_b64encode(digest).decode().rstrip("=")


def _ours(query: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for parameter in query.split("&"):
        name, _, value = parameter.partition("=")
        known = unquote(name).lower()
        if known in _OURS:
            # Another spelling of ours (`%73ig`, `SIG`) is none that we ever wrote.
            if known in found or name != known:
                raise LinkRefused
            found[known] = value
    return found
