"""The tables of the catalog. Times are milliseconds since 1970 (UTC), sizes are bytes.

```
repositories ──< uploads ──┬──< holds >───┐
     │                     │ its own blob │
     └──────< entries >──< entry_blobs >── blobs ──< parts
```

An upload becomes the entry with the same id. A blob is its parts in order of `position`; parts
without one were uploaded but not ordered yet.

An archive has one blob, which is its upload's own. A snapshot has that one, its manifest, at
position 0, and behind it packs: blobs that have the id of the upload they came in and a number.
Entries may share packs. Blobs have a size once an entry referred to them.

A blob that no entry and no upload of its own refers to is doomed: its bytes stay until
`kept_until`, and as long as a running upload holds them for the sake of a base. One whose bytes
somebody else puts into the store is doomed from its beginning (`catalog/promises.py`).
"""

from typing import Final

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    UniqueConstraint,
    text,
)

METADATA: Final = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
        "pk": "pk_%(table_name)s",
    }
)

# SQLite gives only INTEGER primary keys a sequence of their own.
_Id = BigInteger().with_variant(Integer(), "sqlite")
# Keys compare byte by byte: SQLite does so by itself, PostgreSQL must be told.
_Bytewise = Text().with_variant(Text(collation="C"), "postgresql")

REPOSITORIES: Final = Table(
    "repositories",
    METADATA,
    Column("id", _Id, primary_key=True),
    Column("name", _Bytewise, nullable=False, unique=True),
    Column("entry_count", BigInteger, nullable=False, server_default="0"),
    Column("size_bytes", BigInteger, nullable=False, server_default="0"),
)

BLOBS: Final = Table(
    "blobs",
    METADATA,
    Column("id", _Id, primary_key=True),
    Column("name", _Bytewise, nullable=False, unique=True),
    Column("repository_id", ForeignKey("repositories.id"), nullable=False),
    # Unknown until the upload is committed.
    Column("size_bytes", BigInteger),
    Column("created_at", BigInteger, nullable=False),
    # Of packs alone. The upload may have become an entry that is gone.
    Column("upload_id", BigInteger),
    Column("number", Integer),
    # Verified when the blob was received, of manifests and packs alone.
    Column("blake3", LargeBinary),
    Column("sha256", LargeBinary),
    Column("durable_at", BigInteger),
    Column("doomed_at", BigInteger),
    Column("kept_until", BigInteger),
    # The blob that took this one's place with the same bytes. No reference: that one may be gone.
    Column("composed_into", BigInteger),
    sqlite_autoincrement=True,
)
Index(
    "ix_blobs_doomed",
    BLOBS.c.kept_until,
    sqlite_where=BLOBS.c.doomed_at.is_not(None),
    postgresql_where=BLOBS.c.doomed_at.is_not(None),
)
Index(
    "ix_blobs_unsettled",
    BLOBS.c.id,
    sqlite_where=BLOBS.c.durable_at.is_(None),
    postgresql_where=BLOBS.c.durable_at.is_(None),
)
Index(
    "ix_blobs_pack",
    BLOBS.c.upload_id,
    BLOBS.c.number,
    unique=True,
    sqlite_where=BLOBS.c.upload_id.is_not(None),
    postgresql_where=BLOBS.c.upload_id.is_not(None),
)

PARTS: Final = Table(
    "parts",
    METADATA,
    Column("blob_id", ForeignKey("blobs.id", ondelete="CASCADE"), primary_key=True),
    Column("block_id", _Bytewise, primary_key=True),
    Column("name", Text, nullable=False),
    Column("size_bytes", BigInteger, nullable=False),
    Column("position", Integer),
    Column("start", BigInteger),
    sqlite_with_rowid=False,
)
Index("ix_parts_order", PARTS.c.blob_id, PARTS.c.start, PARTS.c.position)
# Blobs of several parts: a row for each. The engine must read the same words to take the index.
IS_SECOND: Final = text("position = 1")
Index("ix_parts_second", PARTS.c.blob_id, sqlite_where=IS_SECOND, postgresql_where=IS_SECOND)

ENTRIES: Final = Table(
    "entries",
    METADATA,
    Column("id", _Id, primary_key=True, autoincrement=False),
    Column("repository_id", ForeignKey("repositories.id"), nullable=False),
    Column("scope", _Bytewise, nullable=False),
    Column("key", _Bytewise, nullable=False),
    Column("version", _Bytewise, nullable=False),
    Column("size_bytes", BigInteger, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("last_accessed_at", BigInteger, nullable=False),
    # After an unclean stop, until the bytes are verified: a miss.
    Column("is_suspect", Boolean, nullable=False, server_default=text("false")),
    Column("is_snapshot", Boolean, nullable=False, server_default=text("false")),
    # What `records.family_of` makes of the key.
    Column("family", _Bytewise, nullable=False, server_default=text("''")),
    UniqueConstraint("repository_id", "scope", "version", "key"),
)
Index(
    "ix_entries_newest",
    ENTRIES.c.repository_id,
    ENTRIES.c.scope,
    ENTRIES.c.version,
    ENTRIES.c.created_at,
    ENTRIES.c.id,
)
Index("ix_entries_repository_lru", ENTRIES.c.repository_id, ENTRIES.c.last_accessed_at)
Index("ix_entries_lru", ENTRIES.c.last_accessed_at)
# Lists: each order of all entries, of a ref's and of a family's, so that no page is looked for.
Index("ix_entries_key", ENTRIES.c.repository_id, ENTRIES.c.key)
Index("ix_entries_created", ENTRIES.c.repository_id, ENTRIES.c.created_at)
Index("ix_entries_size", ENTRIES.c.repository_id, ENTRIES.c.size_bytes)
for _group in ("scope", "family"):
    for _name, _order in (
        ("created", "created_at"),
        ("accessed", "last_accessed_at"),
        ("size", "size_bytes"),
    ):
        Index(
            f"ix_entries_{_group}_{_name}",
            ENTRIES.c.repository_id,
            ENTRIES.c[_group],
            ENTRIES.c[_order],
        )

# What lists count with (see `catalog/tallies.py`).
TALLIES: Final = Table(
    "tallies",
    METADATA,
    Column("repository_id", ForeignKey("repositories.id"), primary_key=True),
    Column("scope", _Bytewise, primary_key=True),
    Column("family", _Bytewise, primary_key=True),
    Column("version", _Bytewise, primary_key=True),
    Column("entry_count", BigInteger, nullable=False),
    Column("size_bytes", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)
Index(
    "ix_tallies_family",
    TALLIES.c.repository_id,
    TALLIES.c.family,
    TALLIES.c.version,
    TALLIES.c.entry_count,
    TALLIES.c.size_bytes,
)

ENTRY_BLOBS: Final = Table(
    "entry_blobs",
    METADATA,
    Column("entry_id", ForeignKey("entries.id", ondelete="CASCADE"), primary_key=True),
    Column("position", Integer, primary_key=True),
    Column("blob_id", ForeignKey("blobs.id"), nullable=False, index=True),
    sqlite_with_rowid=False,
)

UPLOADS: Final = Table(
    "uploads",
    METADATA,
    Column("id", _Id, primary_key=True),
    Column("repository_id", ForeignKey("repositories.id"), nullable=False),
    Column("scope", _Bytewise, nullable=False),
    Column("key", _Bytewise, nullable=False),
    Column("version", _Bytewise, nullable=False),
    Column("blob_id", ForeignKey("blobs.id"), nullable=False, unique=True),
    Column("job", Text, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("expires_at", BigInteger, nullable=False, index=True),
    # When its job was last heard of.
    Column("active_at", BigInteger, nullable=False),
    # Blocks of an archive, packs of a snapshot.
    Column("block_count", Integer, nullable=False, server_default="0"),
    Column("received_bytes", BigInteger, nullable=False, server_default="0"),
    Column("is_snapshot", Boolean, nullable=False, server_default=text("false")),
    UniqueConstraint("repository_id", "scope", "version", "key"),
    # An id goes on as the entry's: it is never given twice.
    sqlite_autoincrement=True,
)

HOLDS: Final = Table(
    "holds",
    METADATA,
    Column("upload_id", ForeignKey("uploads.id", ondelete="CASCADE"), primary_key=True),
    Column("blob_id", ForeignKey("blobs.id"), primary_key=True, index=True),
    sqlite_with_rowid=False,
)

# What clients said of what they reserved; their ids go on as those of entries.
ORIGINS: Final = Table(
    "origins",
    METADATA,
    Column("entry_id", _Id, primary_key=True, autoincrement=False),
    Column("event", Text),
    Column("run", Text),
    # A JSON list of texts.
    Column("paths", Text),
    Column("compression", Text),
    Column("system", Text),
    Column("cross_os", Boolean),
)

EVENTS: Final = Table(
    "events",
    METADATA,
    Column("id", _Id, primary_key=True),
    Column("at", BigInteger, nullable=False),
    Column("kind", Text, nullable=False),
    Column("repository_id", ForeignKey("repositories.id"), nullable=False),
    Column("ref", _Bytewise, nullable=False),
    Column("key", _Bytewise, nullable=False),
    Column("version", _Bytewise, nullable=False),
    # No reference: what happened to an entry is told when it is gone, too.
    Column("entry_id", BigInteger, index=True),
    Column("size_bytes", BigInteger),
    Column("reason", Text),
    Column("limit", BigInteger),
    Column("by", Text),
    # With commas between them: no key has one.
    Column("restore_keys", Text),
    # A page goes on where the last one ended, whatever was trimmed meanwhile.
    sqlite_autoincrement=True,
)
Index("ix_events_repository", EVENTS.c.repository_id, EVENTS.c.id)
# Few events are changes, but they are what is looked for. The engine must read the same words in a
# statement to take these indexes.
IS_CHANGE: Final = text("kind IN ('saved', 'evicted', 'deleted', 'damaged')")
Index("ix_events_changes", EVENTS.c.id, sqlite_where=IS_CHANGE, postgresql_where=IS_CHANGE)
Index(
    "ix_events_changed_keys",
    EVENTS.c.repository_id,
    EVENTS.c.key,
    EVENTS.c.id,
    sqlite_where=IS_CHANGE,
    postgresql_where=IS_CHANGE,
)

# Sums of events, which outlive them: a row a day (since 1970) and family of keys.
EVENT_DAYS: Final = Table(
    "event_days",
    METADATA,
    Column("repository_id", ForeignKey("repositories.id"), primary_key=True),
    Column("day", Integer, primary_key=True, index=True),
    Column("family", _Bytewise, primary_key=True),
    *(
        Column(name, BigInteger, nullable=False, server_default="0")
        for name in (
            "hits",
            "misses",
            "restored",
            "saved_bytes",
            "evicted_bytes",
            "deleted_bytes",
        )
    ),
    sqlite_with_rowid=False,
)

API_TOKENS: Final = Table(
    "api_tokens",
    METADATA,
    Column("id", Text, primary_key=True),
    Column("digest", Text, nullable=False, unique=True),
    # JSON lists of lower-case names.
    Column("repositories", Text, nullable=False),
    Column("owners", Text, nullable=False),
    Column("can_write", Boolean, nullable=False),
    Column("is_admin", Boolean, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("expires_at", BigInteger, nullable=False),
    Column("revoked_at", BigInteger),
)

# Of repositories (`owner/name`) and of owners, where something is set.
LIMITS: Final = Table(
    "limits",
    METADATA,
    Column("subject", _Bytewise, primary_key=True),
    Column("size_bytes", BigInteger),
    Column("unused_for_ms", BigInteger),
    Column("changed_at", BigInteger, nullable=False),
    Column("changed_by", Text, nullable=False),
)

# What one replica does at a time (see `catalog/leases.py`).
LEASES: Final = Table(
    "leases",
    METADATA,
    Column("name", Text, primary_key=True),
    # For people: host and process.
    Column("holder", Text, nullable=False),
    # Which holding this is: the next one has the next number.
    Column("number", BigInteger, nullable=False),
    # By the clock of the database.
    Column("expires_at", BigInteger, nullable=False),
)

FACTS: Final = Table(
    "facts",
    METADATA,
    Column("name", Text, primary_key=True),
    Column("value", Text, nullable=False),
)
