"""What a `FaultProxy` can do to the connections that it carries."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Latency:
    """What the target sends arrives so much later, in pieces of at most 1 MiB one after another."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Reset:
    """Connections are reset: those that are open at once, new ones as soon as they are."""


@dataclass(frozen=True, slots=True)
class HalfOpen:
    """Connections are accepted and stay open, and nothing moves on them in either direction.

    What is held back moves on when the fault ends.
    """


@dataclass(frozen=True, slots=True)
class Refusal:
    """Nobody listens; open connections are reset. As if the target's process had died."""


@dataclass(frozen=True, slots=True)
class Drip:
    """What the target sends arrives byte by byte, with such a pause after each."""

    pause_seconds: float


@dataclass(frozen=True, slots=True)
class Throttle:
    """Each direction of each connection carries no more than this."""

    bytes_per_second: int


@dataclass(frozen=True, slots=True)
class Cut:
    """A connection is reset when it has carried so many more bytes, both directions together."""

    after_bytes: int


@dataclass(frozen=True, slots=True)
class HttpError:
    """HTTP requests are answered with this status, and never reach the target.

    Open connections are closed first. With `methods` (such as `PUT`) all others do reach it. The
    answer has the form of an error of S3, with this `code`.
    """

    status: int
    methods: frozenset[str] = frozenset()
    code: str = "InternalError"


Fault = Latency | Reset | HalfOpen | Refusal | Drip | Throttle | Cut | HttpError
