"""Limits and policies of GitHub's REST API, in whole days and gigabytes (management §1.6).

One more than a limit of ours has is told where it is between two of them: GitHub's numbers have no
fractions, and 0 would mean that nothing is kept.
"""

from datetime import timedelta
from typing import Annotated, Any, Final, Self

import msgspec

from runcache.errors import InvalidLimit, InvalidParameter, MalformedMessage
from runcache.wire.json_messages import JsonMessage

GIGABYTE: Final = 10**9
MAX_GIGABYTES: Final = 10_000
MAX_DAYS: Final = 365

_DAY: Final = timedelta(days=1)
_Gigabytes = Annotated[int, msgspec.Meta(ge=1)]
_Days = Annotated[int, msgspec.Meta(ge=1)]
_WantedGigabytes = Annotated[int, msgspec.Meta(ge=1, le=MAX_GIGABYTES)]
_WantedDays = Annotated[int, msgspec.Meta(ge=1, le=MAX_DAYS)]


class RetentionLimit(JsonMessage, frozen=True):
    """After how many days without access an entry is removed."""

    max_cache_retention_days: _Days

    @classmethod
    def of(cls, unused_for: timedelta) -> Self:
        """Return what is told of a duration."""
        return cls(max(1, -(-unused_for // _DAY)))


class StorageLimit(JsonMessage, frozen=True):
    """How much a repository may keep, in GB of 1000³ bytes."""

    max_cache_size_gb: _Gigabytes

    @classmethod
    def of(cls, size_bytes: int) -> Self:
        """Return what is told of a size."""
        return cls(_gigabytes(size_bytes))


class RepositoryPolicy(JsonMessage, frozen=True):
    """The storage limit of a repository as GitHub Enterprise Server calls it."""

    repo_cache_size_limit_in_gb: _Gigabytes

    @classmethod
    def of(cls, size_bytes: int) -> Self:
        """Return what is told of a size."""
        return cls(_gigabytes(size_bytes))


class ServerPolicy(JsonMessage, frozen=True):
    """The storage limit that repositories have by default, and the highest that one may have."""

    repo_cache_size_limit_in_gb: _Gigabytes
    max_repo_cache_size_limit_in_gb: _Gigabytes

    @classmethod
    def of(cls, size_bytes: int) -> Self:
        """Return what is told of the limit of a server, which is both."""
        return cls(_gigabytes(size_bytes), _gigabytes(size_bytes))


class SetRetentionLimit(JsonMessage, frozen=True):
    """Sets a retention limit."""

    max_cache_retention_days: _WantedDays

    @classmethod
    def decode(cls, body: bytes) -> Self:
        """Read the JSON object `body`; see `_number_in` for what is raised."""
        return cls(_number_in(body, "max_cache_retention_days", MAX_DAYS))

    @property
    def unused_for(self) -> timedelta:
        """The same as a duration."""
        return timedelta(days=self.max_cache_retention_days)


class SetStorageLimit(JsonMessage, frozen=True):
    """Sets a storage limit."""

    max_cache_size_gb: _WantedGigabytes

    @classmethod
    def decode(cls, body: bytes) -> Self:
        """Read the JSON object `body`; see `_number_in` for what is raised."""
        return cls(_number_in(body, "max_cache_size_gb", MAX_GIGABYTES))

    @property
    def size_bytes(self) -> int:
        """The same in bytes."""
        return self.max_cache_size_gb * GIGABYTE


class SetRepositoryPolicy(JsonMessage, frozen=True):
    """Sets the storage limit of a repository."""

    repo_cache_size_limit_in_gb: _WantedGigabytes

    @classmethod
    def decode(cls, body: bytes) -> Self:
        """Read the JSON object `body`; see `_number_in` for what is raised."""
        return cls(_number_in(body, "repo_cache_size_limit_in_gb", MAX_GIGABYTES))

    @property
    def size_bytes(self) -> int:
        """The same in bytes."""
        return self.repo_cache_size_limit_in_gb * GIGABYTE


class SetServerPolicy(JsonMessage, frozen=True):
    """Would set the storage limits of the server, which its settings are."""

    repo_cache_size_limit_in_gb: _WantedGigabytes | None = None
    max_repo_cache_size_limit_in_gb: _WantedGigabytes | None = None


def _gigabytes(size_bytes: int) -> int:
    return max(1, -(-size_bytes // GIGABYTE))


def object_in(body: bytes) -> dict[str, Any]:
    """Return the JSON object that a body is.

    Raises:
        MalformedMessage: it is none; the messages are GitHub's.
    """
    try:
        value = msgspec.json.decode(body)
    except (ValueError, RecursionError):  # msgspec's own errors are ValueErrors
        raise MalformedMessage("Problems parsing JSON") from None
    if not isinstance(value, dict):
        raise MalformedMessage("Body should be a JSON object")
    return value


def _number_in(body: bytes, name: str, maximum: int) -> int:
    """Return a member of a JSON object, which is a number from 1 to `maximum`.

    Raises:
        MalformedMessage: the body is no JSON object.
        InvalidParameter: there is no such member, or it is no whole number.
        InvalidLimit: it is too small or too large.
    """
    members = object_in(body)
    if name not in members:
        raise InvalidParameter(name, "is missing", is_missing=True)
    value = members[name]
    if type(value) is not int:
        raise InvalidParameter(name, "is not a whole number")
    if not 1 <= value <= maximum:
        raise InvalidLimit(f"`{name}` is not from 1 to {maximum}")
    return value
