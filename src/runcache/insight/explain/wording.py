"""Pieces of sentences: quoted text, times, limits, and what scopes are."""

import re
from datetime import UTC, datetime
from typing import Final

from runcache.access import Role
from runcache.quantities import print_about
from runcache.retention import Reason
from runcache.versions import COMPRESSIONS, SNAPSHOT

_PULL_REQUEST: Final = re.compile(r"refs/pull/([0-9]+)/(?:merge|head)", re.ASCII)
_UNITS: Final = (("day", 86_400), ("hour", 3600), ("minute", 60), ("second", 1))

_ROLES: Final = {
    Role.OWN: "it is the ref itself",
    Role.BASE: "the pull request goes to it",
    Role.DEFAULT: "it is the default branch, which all refs read",
    Role.GRANTED: "the token of the job says so",
}
_FORMATS: Final = {
    SNAPSHOT: "a snapshot of runcache",
    COMPRESSIONS[0]: "an archive with zstd",
    COMPRESSIONS[1]: "an archive with gzip",
    "zstd": "an archive with zstd in the way of old clients",
}


def quoted(text: str) -> str:
    """Return a literal: what cannot be printed is escaped, so that it can be seen."""
    seen = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
    return f"`{seen}`"


def ago(at: int, now_ms: int) -> str:
    """Return when something was, such as `2 hours ago (2026-11-22 08:00 UTC)`."""
    seconds = max(now_ms - at, 0) // 1000
    count, unit = next(
        ((seconds // length, unit) for unit, length in _UNITS if seconds >= length), (0, "second")
    )
    plural = "" if count == 1 else "s"
    passed = f"{count} {unit}{plural} ago" if count else "just now"
    return f"{passed} ({datetime.fromtimestamp(at / 1000, UTC):%Y-%m-%d %H:%M} UTC)"


def lasting(duration_ms: int) -> str:
    """Return how long something takes, in its largest whole unit, such as `7 days`."""
    seconds = duration_ms // 1000
    count, unit = next(
        ((seconds // length, unit) for unit, length in _UNITS if seconds and not seconds % length),
        (seconds, "second"),
    )
    return f"{count} {unit}{'' if count == 1 else 's'}"


def limit_kept(reason: str | None, limit_bytes: int | None) -> str:
    """Return what an eviction was for; the limit may be unknown."""
    size = "" if limit_bytes is None else print_about(limit_bytes)
    within = f"had to be brought within its limit{size and f' of {size}'}"
    if reason == Reason.OVERSIZED.value:
        return f"alone it was larger than the repository may be{size and f', {size}'}"
    if reason == Reason.TOTAL_LIMIT.value:
        return f"the whole cache {within}"
    if reason == Reason.MIN_FREE.value:
        return f"{size or 'more'} of the disk had to be free"
    return f"the repository {within}"


def role_of(role: Role) -> str:
    """Return why a scope is read."""
    return _ROLES[role]


def format_of(compression: str | None) -> str:
    """Return what an entry is whose version has this in the place of the compression."""
    if compression is None:
        return "an archive of unknown compression"
    return _FORMATS.get(compression, f"an archive with {quoted(compression)}")


def why_unreadable(scope: str, ref: str) -> str:
    """Return why `ref` does not read `scope`, which is neither itself, nor base, nor default."""
    if found := _PULL_REQUEST.fullmatch(scope):
        return f"what pull request {found[1]} saves is restored by its own runs only"
    if scope.startswith("refs/tags/"):
        return "what a tag saves is restored by runs of this tag only"
    if scope.casefold() == ref.casefold():
        return "refs are compared letter by letter, upper and lower case differ"
    return "it is neither the ref itself, nor the base of a pull request, nor the default branch"
