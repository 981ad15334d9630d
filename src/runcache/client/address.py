"""Where a server is, and which of GitHub's protocols it may know."""

import base64
from dataclasses import dataclass, field
from enum import Enum
from typing import Final

_WRITE: Final = 2


class Dialect(Enum):
    """A protocol of GitHub's, which knows archives only."""

    TWIRP = "v2"
    ARTIFACTCACHE = "v1"


@dataclass(frozen=True, slots=True)
class Address:
    """Where a server is, and what shows it who asks.

    `origin` has no path, and is where our own protocol is tried. `dialects` has, for each of
    GitHub's to be tried after it, in order, its base. No URL has a final slash.
    """

    origin: str
    dialects: tuple[tuple[Dialect, str], ...]
    token: str = field(repr=False)

    @property
    def scope(self) -> str | None:
        """What the token says that the job saves to (protocol §1.1), `None` if it does not say."""
        import json  # noqa: PLC0415  -- only a save asks

        try:
            payload = self.token.split(".")[1]
            claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
            scopes = json.loads(claims["ac"])
            return next((str(s["Scope"]) for s in scopes if s["Permission"] & _WRITE), None)
        except (LookupError, TypeError, ValueError, RecursionError):
            return None
