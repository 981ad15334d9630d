"""What a save or a restore is to do, and what it comes to in the words of `--json`."""

from typing import Literal

import msgspec

from runcache.model import Inputs
from runcache.progress import Progress

Format = Literal["snapshot", "archive"]


class Saved(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a save.

    `created` is false if the key was saved already, by whomever; nothing was sent then, and there
    is no `entry_id`. `size_bytes` is the whole entry, `new_bytes` is what was sent for it.
    `scope` is `None` where the server does not tell.
    """

    key: str
    version: str
    scope: str | None
    format: Format
    created: bool
    entry_id: int | None = None
    size_bytes: int = 0
    new_bytes: int = 0
    files: int = 0
    seconds: float


class Hit(msgspec.Struct, frozen=True, kw_only=True):
    """What a restore found, and did.

    `exact` says whether `matched_key` is the `key` that was asked for. `size_bytes` is the whole
    entry, `fetched_bytes` what was needed of it; nothing was for a mere lookup. `scope` and
    `size_bytes` are `None` where the server does not tell.
    """

    exact: bool
    key: str
    matched_key: str
    scope: str | None
    format: Format
    size_bytes: int | None
    fetched_bytes: int = 0
    files_written: int = 0
    files_unchanged: int = 0
    seconds: float


class SaveRequest(msgspec.Struct, frozen=True, kw_only=True):
    """What a save is to do; `paths` are one pattern each, `version` stands for them.

    `inputs` are what the version was made of.
    """

    paths: tuple[str, ...]
    key: str
    version: str
    inputs: Inputs | None = None
    level: int | None
    base: str
    refuse_secrets: bool
    progress: Progress


class Sent(msgspec.Struct, frozen=True):
    """What a save came to."""

    entry_id: int
    size_bytes: int
    new_bytes: int
    files: int


class RestoreRequest(msgspec.Struct, frozen=True, kw_only=True):
    """What a restore is to do; `paths` are one pattern each."""

    paths: tuple[str, ...]
    exact: bool
    verify: bool
    progress: Progress


class Fetched(msgspec.Struct, frozen=True):
    """What a restore came to."""

    fetched_bytes: int
    files_written: int
    files_unchanged: int
