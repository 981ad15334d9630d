"""What is told of a single entry: who saved it, what it takes, who restores it, what is in it."""

from dataclasses import dataclass
from typing import Literal

from runcache.model import Entry
from runcache.records import Origin

FileKind = Literal["file", "folder", "link"]


@dataclass(frozen=True, slots=True)
class Shares:
    """The blobs of an entry, and how many bytes of them only it has: those go when it goes."""

    blob_count: int
    own_bytes: int
    shared_bytes: int


@dataclass(frozen=True, slots=True)
class EntryDetails:
    """An entry and what is known of it.

    `origin` is `None` if that was never recorded. `restored_at` has the times (ms) of the newest
    restores that the event log still has, the newest first.
    """

    entry: Entry
    shares: Shares
    origin: Origin | None
    restored_at: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class StoredFile:
    r"""A file, folder or link in a snapshot.

    Bytes of its path that are no UTF-8 are shown as `\xff`. `mode` has the permissions alone, and
    `target` is where a link leads.
    """

    path: str
    kind: FileKind
    size_bytes: int
    mode: int
    target: str | None = None


@dataclass(frozen=True, slots=True)
class FilePage:
    """Some of the files that were asked for, of `total_count`; `next` leads to those behind them.

    `next` is text that is safe in a URL, and `None` at the end.
    """

    files: tuple[StoredFile, ...]
    total_count: int
    next: str | None
