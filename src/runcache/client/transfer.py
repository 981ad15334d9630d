"""Requests that do not give up at once: pauses with jitter, and what the server asks to wait."""

import random
import time
from collections.abc import Callable, Mapping
from typing import Final, TypeVar
from urllib.parse import urlsplit

import msgspec

from runcache.client.connections import Answer, Connections
from runcache.errors import ServerFailed, ServerUnreachable, ServerUntrusted

T = TypeVar("T")

# No network is between a client and a server of the same machine that could be at fault: where
# nobody listens, one is about to start, or there is none.
_PAUSES_FOR_ONE_THAT_IS_HERE: Final = 0.1

# 501 and 507 stay as they are, however often one asks.
PASSING: Final = frozenset({408, 425, 429, 500, 502, 503, 504})
# A Found names up to 4 096 packs with a link each.
MAX_MESSAGE_BYTES: Final = 8 * 1024 * 1024
MAX_SHOWN_LENGTH: Final = 200
# A connection that brings less before it breaks is as good as none.
PROGRESS_BYTES: Final = 64 * 1024


class Patience(msgspec.Struct, frozen=True, kw_only=True):
    """How often something is tried, and how long the pauses are.

    The n-th pause is between half and all of `first_pause_seconds` · 2ⁿ, at most
    `longest_pause_seconds`. A server may ask for a longer one, but not for more than
    `longest_asked_seconds`: then trying ends. Where a server of this machine refuses connections,
    the pauses are a tenth of that.
    """

    attempts: int = 5
    first_pause_seconds: float = 0.5
    longest_pause_seconds: float = 15
    longest_asked_seconds: float = 60
    pause: Callable[[float], object] = time.sleep
    jitter: Callable[[], float] = random.random

    def of(self, act: Callable[[], T]) -> T:
        """Return what `act` returns, which is called again after a failure that may pass.

        Raises:
            ServerUnreachable, ServerFailed: it failed so each time.
        """
        attempts = Attempts(self)
        while True:
            try:
                return act()
            except (ServerUnreachable, ServerFailed) as exc:
                attempts.failed(exc)


class Attempts:
    """The attempts at one thing."""

    def __init__(self, patience: Patience) -> None:
        self._patience = patience
        self._failures = 0
        self._moved_bytes = 0

    def failed(self, error: ServerUnreachable | ServerFailed) -> None:
        """Pause before the next attempt, or raise `error` if there shall be none."""
        self._failures += 1
        self._moved_bytes = 0
        patience = self._patience
        asked = getattr(error, "retry_after_seconds", None) or 0
        is_final = isinstance(error, ServerUntrusted) or (
            isinstance(error, ServerFailed) and error.status not in PASSING
        )
        if (
            is_final
            or self._failures >= patience.attempts
            or asked > patience.longest_asked_seconds
        ):
            raise error
        longest = min(
            patience.first_pause_seconds * 2 ** (self._failures - 1), patience.longest_pause_seconds
        )
        if _is_refused_here(error):
            longest *= _PAUSES_FOR_ONE_THAT_IS_HERE
        patience.pause(max(asked, longest * (1 + patience.jitter()) / 2))

    def moved(self, count: int) -> None:
        """Hear that `count` bytes came. After some, what fails then fails for the first time."""
        self._moved_bytes += count
        if self._moved_bytes >= PROGRESS_BYTES:
            self._failures = 0


def _is_refused_here(error: ServerUnreachable | ServerFailed) -> bool:
    host = urlsplit(error.server).hostname or ""
    is_here = host in ("localhost", "::1") or host.startswith("127.")
    return is_here and isinstance(error.__cause__, ConnectionRefusedError)


class _Error(msgspec.Struct):
    message: str = ""
    msg: str = ""


class Message(msgspec.Struct, frozen=True):
    """An answer that was read to its end. `server` is its scheme and authority.

    `link` is the header that leads to other pages, `None` where there is none.
    """

    server: str
    status: int
    body: bytes
    is_json: bool
    retry_after_seconds: float | None
    link: str | None = None

    @property
    def is_success(self) -> bool:
        """Whether what was asked for was done."""
        return 200 <= self.status < 300  # noqa: PLR2004  -- the statuses of success

    @property
    def text(self) -> str:
        """What it says, fit to be shown: one line, short, nothing that a terminal acts upon.

        That is the message of an error in JSON, which all dialects but Azure's have, else the body.
        """
        text = self._error_message or self.body[: 4 * MAX_SHOWN_LENGTH].decode("utf-8", "replace")
        printable = "".join(char if char.isprintable() else " " for char in text)
        return " ".join(printable.split())[:MAX_SHOWN_LENGTH] or "nothing more"

    @property
    def _error_message(self) -> str:
        try:
            error = msgspec.json.decode(self.body, type=_Error) if self.is_json else _Error()
        except (ValueError, RecursionError):  # msgspec's own errors are ValueErrors
            return ""
        return error.message or error.msg

    @property
    def failure(self) -> ServerFailed:
        """The error for an answer of which nothing but the status can be understood."""
        return ServerFailed(
            self.server,
            self.status,
            self.text,
            retry_after_seconds=self.retry_after_seconds,
        )


class Requests:
    """Sends requests that may be sent again, until the answer is one that will not pass."""

    def __init__(self, connections: Connections, patience: Patience) -> None:
        self.connections = connections
        self.patience = patience

    def send(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        body: bytes | memoryview | None = None,
    ) -> Message:
        """Return the answer to a request, be it a refusal.

        Raises:
            ServerUnreachable, ServerFailed: it failed each time, in a way that may pass.
        """

        def once() -> Message:
            message = message_in(self.connections.send(method, url, headers, body))
            if message.status in PASSING:
                raise message.failure
            return message

        return self.patience.of(once)

    def close(self) -> None:
        """Let go of every connection; requests that run fail."""
        self.connections.close()


def message_in(answer: Answer) -> Message:
    """Read an answer that is a message, and close it."""
    content_type = (answer.header("Content-Type") or "").partition(";")[0].strip().lower()
    wait = seconds_of(answer.header("Retry-After"))
    body = answer.message(MAX_MESSAGE_BYTES)
    is_json = content_type == "application/json"
    return Message(answer.origin, answer.status, body, is_json, wait, answer.header("Link"))


def seconds_of(retry_after: str | None) -> float | None:
    """Return how long a `Retry-After` asks to wait, in seconds from now."""
    text = (retry_after or "").strip()
    if text.isascii() and text.isdigit():
        return float(text[:9])
    if not text:
        return None
    from email.utils import parsedate_to_datetime  # noqa: PLC0415  -- hardly anybody sends dates

    try:
        return max(parsedate_to_datetime(text).timestamp() - time.time(), 0)
    except ValueError:
        return None
