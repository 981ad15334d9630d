"""Lists of entries: which, in which order, and where the next page begins (management §1.4).

Pages follow each other by the place of the last entry in the order, not by its number: what is
saved or deleted in between neither repeats an entry nor skips one.
"""

import base64
import hashlib
import json
import re
from dataclasses import dataclass
from enum import Enum
from typing import Final

from runcache.errors import InvalidCursor
from runcache.model import Entry, Usage

_SURROGATE: Final = re.compile("[\ud800-\udfff]")
_DIGEST_BYTES: Final = 9
_MAX_CURSOR_LENGTH: Final = 100


class SortBy(Enum):
    """What entries are ordered by, as GitHub calls it."""

    CREATED = "created_at"
    LAST_ACCESSED = "last_accessed_at"
    SIZE = "size_in_bytes"


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """Which entries of a repository: those that fit all of what is said.

    `prefix` is how keys begin, `key` a whole one, `ref` a full ref, and `family` what
    `records.family_of` makes of a key.
    """

    prefix: str = ""
    key: str | None = None
    ref: str | None = None
    version: str | None = None
    family: str | None = None

    @property
    def may_fit(self) -> bool:
        """Say whether any entry can have this: half of a surrogate pair no text of theirs has."""
        asked = (self.prefix, self.key, self.ref, self.version, self.family)
        return not any(_SURROGATE.search(text) for text in asked if text)


@dataclass(frozen=True, slots=True)
class Order:
    """In which order entries are listed; those that are equal by `by` follow their ids."""

    by: SortBy = SortBy.LAST_ACCESSED
    is_descending: bool = True

    def value_of(self, entry: Entry) -> int:
        """Return what `entry` is ordered by: milliseconds since 1970, or bytes."""
        match self.by:
            case SortBy.CREATED:
                return entry.created_at
            case SortBy.LAST_ACCESSED:
                return entry.last_accessed_at
            case SortBy.SIZE:
                return entry.size_bytes


@dataclass(frozen=True, slots=True)
class Position:
    """The place of an entry in an order: a page begins behind it."""

    value: int
    entry_id: int


@dataclass(frozen=True, slots=True)
class EntryPage:
    """A part of a list, and how many entries the whole list has now.

    `next_cursor` leads to the next page; it is text that is safe in a URL, and `None` at the end.
    """

    entries: tuple[Entry, ...]
    total_count: int
    next_cursor: str | None


@dataclass(frozen=True, slots=True)
class UsagePage:
    """What some repositories keep, and how many repositories there are in all."""

    usages: tuple[Usage, ...]
    total_count: int


@dataclass(frozen=True, slots=True)
class RefUsage:
    """How many entries a ref has saved, and their whole sizes: what they share counts in each."""

    ref: str
    entry_count: int
    size_bytes: int


@dataclass(frozen=True, slots=True)
class FamilyUsage:
    """How many entries have keys of one family, and their whole sizes."""

    family: str
    entry_count: int
    size_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Unreachable:
    """Entries that most likely nobody restores any more, by their whole sizes; none counts twice.

    Idle are those of pull requests that were not accessed for two days. Superseded are others that
    were not accessed since the newest of the same ref, version and family was saved.
    """

    idle_pull_request_count: int = 0
    idle_pull_request_bytes: int = 0
    superseded_count: int = 0
    superseded_bytes: int = 0


def cursor_behind(entry: Entry, selection: Selection, order: Order) -> str:
    """Return the cursor of the page that begins behind `entry`."""
    text = f"{order.value_of(entry)}.{entry.id}.{_digest(entry.repository, selection, order)}"
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def position_of(cursor: str, repository: str, selection: Selection, order: Order) -> Position:
    """Return where the page behind a cursor begins.

    Raises:
        InvalidCursor: it is none, or it belongs to another list.
    """
    try:
        padded = cursor + "=" * (-len(cursor) % 4)
        if len(cursor) > _MAX_CURSOR_LENGTH:
            raise InvalidCursor
        text = base64.b64decode(padded.encode("ascii"), altchars=b"-_", validate=True).decode()
        value, entry_id, digest = text.split(".")
        position = Position(_number(value), _number(entry_id))
    except ValueError:
        raise InvalidCursor from None
    if digest != _digest(repository, selection, order):
        raise InvalidCursor
    return position


def _number(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= len(str(2**62))):
        raise ValueError
    return min(int(text), 2**63 - 1)


def _digest(repository: str, selection: Selection, order: Order) -> str:
    about = [
        repository,
        selection.prefix,
        selection.key,
        selection.ref,
        selection.version,
        selection.family,
        order.by.value,
        order.is_descending,
    ]
    digest = hashlib.sha256(json.dumps(about).encode()).digest()
    return base64.urlsafe_b64encode(digest[:_DIGEST_BYTES]).decode()
