"""The native protocol for people: what a single entry is, and the files in it.

A request has an API token in its `Authorization`. Times are milliseconds since 1970 (UTC). An error
has a status above 399 and a `native.Error` as its body.
"""

from typing import Annotated, Final, Literal

import msgspec

from runcache.wire.json_messages import JsonMessage
from runcache.wire.native import PREFIX

# Templates: what is in braces is for `str.format`, and for the server's routes.
ENTRY_PATH: Final = PREFIX + "repos/{owner}/{repo}/entries/{entry_id}"
FILES_PATH: Final = ENTRY_PATH + "/files"

_Count = Annotated[int, msgspec.Meta(ge=0)]


class Origin(JsonMessage, frozen=True, kw_only=True):
    """Who saved an entry, and what made its version, as far as the client said so."""

    ref: str
    event: str | None = None
    run: str | None = None
    paths: tuple[str, ...] | None = None
    compression: str | None = None
    system: str | None = None
    cross_os: bool | None = None


class Details(JsonMessage, frozen=True, kw_only=True, omit_defaults=False):
    """An entry. Of its `size_bytes` the own ones go when it goes, others have the shared ones.

    `origin` is null if nobody recorded it. `restored_at` has the newest restores, the
    newest first.
    """

    id: int
    repository: str
    ref: str
    key: str
    version: str
    format: Literal["snapshot", "archive"]
    size_bytes: _Count
    own_bytes: _Count
    shared_bytes: _Count
    blob_count: _Count
    created_at: _Count
    last_accessed_at: _Count
    origin: Origin | None
    restored_at: tuple[_Count, ...]


class File(JsonMessage, frozen=True):
    """A file, folder or link; `mode` has its permissions, `target` is where a link leads."""

    path: str
    kind: Literal["file", "folder", "link"]
    size_bytes: _Count
    mode: _Count
    target: str | None = None


class Files(JsonMessage, frozen=True, omit_defaults=False):
    """Some of the files of a snapshot that were asked for, of `total_count`.

    `next` leads to those behind them, as the parameter `after`; it is null at the end. `files` is
    null for an archive, which only its client can read.
    """

    files: tuple[File, ...] | None
    total_count: _Count = 0
    next: str | None = None
