"""Bodies of GitHub's REST API for caches (management §1.3, §1.5, §1.7, §1.9)."""

import json
from datetime import UTC, datetime
from typing import Annotated, Final, Self

import msgspec

from runcache.errors import CacheError, InvalidParameter
from runcache.model import ApiToken, Entry, Usage
from runcache.wire.json_messages import JsonMessage

DOCUMENTATION_URL: Final = "https://docs.github.com/rest/actions/cache"
DEFAULT_API_VERSION: Final = "2022-11-28"
API_VERSIONS: Final = frozenset({DEFAULT_API_VERSION, "2026-03-10"})
# Nobody is limited; what asks gets the numbers of GitHub's most generous plan.
RATE_LIMIT: Final = 15_000
_HOUR_SECONDS: Final = 3600

_Count = Annotated[int, msgspec.Meta(ge=0)]
_Time = Annotated[str, msgspec.Meta(extra_json_schema={"format": "date-time"})]


class ListedCache(JsonMessage, frozen=True):
    """An entry; its members are in the order of GitHub's own answers."""

    id: int
    ref: str
    key: str
    version: str
    last_accessed_at: _Time
    created_at: _Time
    size_in_bytes: _Count

    @classmethod
    def of(cls, entry: Entry) -> Self:
        """Return what is told of `entry`."""
        return cls(
            id=entry.id,
            ref=entry.scope,
            key=entry.key,
            version=entry.version,
            last_accessed_at=timestamp(entry.last_accessed_at),
            created_at=timestamp(entry.created_at),
            size_in_bytes=entry.size_bytes,
        )


class CacheList(JsonMessage, frozen=True):
    """Some entries, and how many there are in all: a page of a list, or what was deleted."""

    total_count: _Count
    actions_caches: tuple[ListedCache, ...]


class RepositoryUsage(JsonMessage, frozen=True):
    """How much a repository keeps."""

    full_name: str
    active_caches_size_in_bytes: _Count
    active_caches_count: _Count

    @classmethod
    def of(cls, usage: Usage) -> Self:
        """Return what is told of `usage`."""
        return cls(usage.repository, usage.size_bytes, usage.entry_count)


class OwnerUsage(JsonMessage, frozen=True):
    """How much all repositories of an organisation keep, or all of the server."""

    total_active_caches_size_in_bytes: _Count
    total_active_caches_count: _Count


class UsageList(JsonMessage, frozen=True):
    """Some repositories and what they keep, and how many repositories there are in all."""

    total_count: _Count
    repository_cache_usages: tuple[RepositoryUsage, ...]


class Rate(JsonMessage, frozen=True):
    """How often a client may ask, and when that begins anew (seconds since 1970)."""

    limit: _Count
    used: _Count
    remaining: _Count
    reset: _Count

    @classmethod
    def at(cls, now_seconds: int) -> Self:
        """Return the rate of somebody who has not asked yet."""
        reset = (now_seconds // _HOUR_SECONDS + 1) * _HOUR_SECONDS
        return cls(limit=RATE_LIMIT, used=0, remaining=RATE_LIMIT, reset=reset)

    @property
    def headers(self) -> dict[str, str]:
        """The same as headers of an answer."""
        return {
            "X-RateLimit-Limit": str(self.limit),
            "X-RateLimit-Remaining": str(self.remaining),
            "X-RateLimit-Used": str(self.used),
            "X-RateLimit-Reset": str(self.reset),
            "X-RateLimit-Resource": "core",
        }


class Rates(JsonMessage, frozen=True):
    """The rate of each resource, of which there is one."""

    core: Rate


class RateLimits(JsonMessage, frozen=True):
    """Answers `GET /rate_limit`."""

    resources: Rates
    rate: Rate


class Root(JsonMessage, frozen=True):
    """Answers `GET /`: where things are, as templates of URLs."""

    actions_caches_url: str
    actions_cache_usage_url: str
    organization_actions_cache_usage_url: str
    rate_limit_url: str


class BasicError(JsonMessage, frozen=True):
    """A basic error, in which the HTTP `status` is a string."""

    message: str
    documentation_url: str
    status: str


class Problem(JsonMessage, frozen=True):
    """A field that was not as it must be: its `code` is `missing_field` or `invalid`."""

    resource: str
    field: str
    code: str
    message: str = ""


class ValidationError(JsonMessage, frozen=True):
    """An error that says which fields were wrong; `errors` is left out if none was."""

    message: str
    documentation_url: str
    status: str
    errors: tuple[Problem, ...] = ()


def timestamp(milliseconds: int) -> str:
    """Return a time in UTC with the nine digits of GitHub's answers."""
    seconds, rest = divmod(milliseconds, 1000)
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{rest:03}000000Z"


def error_body(status: int, message: str, problem: Problem | None = None) -> bytes:
    """Return an error, with the one problem that it has, if that is known."""
    error: dict[str, object] = {"message": message, "documentation_url": DOCUMENTATION_URL}
    if problem is not None:
        error["errors"] = [msgspec.to_builtins(problem)]
    # ASCII, since a message may quote text that UTF-8 cannot hold.
    return json.dumps(error | {"status": str(status)}, separators=(",", ":")).encode()


def problem_of(error: CacheError) -> Problem | None:
    """Return which field an error is about."""
    if not isinstance(error, InvalidParameter):
        return None
    if error.is_missing:
        return Problem("ActionsCache", error.name, "missing_field")
    return Problem("ActionsCache", error.name, "invalid", str(error))


def scopes_of(token: ApiToken) -> str:
    """Return the OAuth scopes that come nearest to what a token may do.

    `repo` and `read:org` are in all of them: `gh auth login` takes none without (management §2.2).
    """
    scopes = ["read:org", "repo"]
    if token.can_write:
        scopes.append("admin:repository")
        if token.owners or token.is_admin:
            scopes.append("admin:organization")
    if token.is_admin:
        scopes.append("admin:enterprise")
    return ", ".join(sorted(scopes))
