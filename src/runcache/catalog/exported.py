"""What a backup says of a catalog: values without the ids of an engine, a JSON object each.

`type` tells them apart. Times are milliseconds since 1970 (UTC), sizes are bytes, digests are in
hexadecimal. What has its default is left out. To change what a field means takes a new version of
the format (`maintenance/backup_folder.py`).
"""

from msgspec import Struct


class ExportedBlob(Struct, frozen=True, omit_defaults=True, kw_only=True):
    """A blob of an entry; `upload_id` and `number` are the name of a pack."""

    name: str
    size_bytes: int
    created_at: int
    # Known at the latest when its bytes are in the backup.
    sha256: str | None = None
    blake3: str | None = None
    upload_id: int | None = None
    number: int | None = None


class ExportedOrigin(Struct, frozen=True, omit_defaults=True, kw_only=True):
    """Who saved an entry, and of what. `paths` is a JSON list of texts."""

    event: str | None = None
    run: str | None = None
    paths: str | None = None
    compression: str | None = None
    system: str | None = None
    cross_os: bool | None = None


class ExportedEntry(Struct, frozen=True, omit_defaults=True, kw_only=True, tag="entry"):
    """An entry with all its blobs, in order."""

    id: int
    repository: str
    scope: str
    key: str
    version: str
    size_bytes: int
    created_at: int
    last_accessed_at: int
    is_snapshot: bool = False
    origin: ExportedOrigin | None = None
    blobs: tuple[ExportedBlob, ...]


class ExportedEvent(Struct, frozen=True, omit_defaults=True, kw_only=True, tag="event"):
    """Something that happened."""

    at: int
    kind: str
    repository: str
    ref: str
    key: str
    version: str
    entry_id: int | None = None
    size_bytes: int | None = None
    reason: str | None = None
    limit: int | None = None
    by: str | None = None
    restore_keys: str | None = None


class ExportedDay(Struct, frozen=True, omit_defaults=True, kw_only=True, tag="day"):
    """The sums of a family of keys for a day (since 1970)."""

    repository: str
    day: int
    family: str
    hits: int = 0
    misses: int = 0
    restored: int = 0
    saved_bytes: int = 0
    evicted_bytes: int = 0
    deleted_bytes: int = 0


class ExportedToken(Struct, frozen=True, omit_defaults=True, kw_only=True, tag="token"):
    """An API token, of which nobody has more than the digest. Two of the fields are JSON lists."""

    id: str
    digest: str
    repositories: str
    owners: str
    can_write: bool
    is_admin: bool
    created_at: int
    expires_at: int
    revoked_at: int | None = None


class ExportedLimit(Struct, frozen=True, omit_defaults=True, kw_only=True, tag="limit"):
    """A limit that is set for a repository or an owner."""

    subject: str
    size_bytes: int | None = None
    unused_for_ms: int | None = None
    changed_at: int
    changed_by: str


Record = ExportedEvent | ExportedDay | ExportedToken | ExportedLimit
"""Everything but entries: no bytes belong to it."""
