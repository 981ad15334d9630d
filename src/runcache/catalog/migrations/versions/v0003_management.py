"""Looking after caches: limits of repositories and owners, and families of keys.

Revision ID: 0003
"""

import sqlalchemy as sa
from alembic import op

from runcache.records import family_of

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

_BYTEWISE = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_AT_ONCE = 5000
_ENTRY_INDEXES = {
    "key": ["key"],
    "created": ["created_at"],
    "size": ["size_bytes"],
    "scope_created": ["scope", "created_at"],
    "scope_accessed": ["scope", "last_accessed_at"],
    "scope_size": ["scope", "size_bytes"],
    "family_created": ["family", "created_at"],
    "family_accessed": ["family", "last_accessed_at"],
    "family_size": ["family", "size_bytes"],
}


def upgrade() -> None:
    """Add limits, and what lists of entries need."""
    op.create_table(
        "limits",
        sa.Column("subject", _BYTEWISE, nullable=False),
        sa.Column("size_bytes", sa.BigInteger(), nullable=True),
        sa.Column("unused_for_ms", sa.BigInteger(), nullable=True),
        sa.Column("changed_at", sa.BigInteger(), nullable=False),
        sa.Column("changed_by", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("subject", name=op.f("pk_limits")),
    )
    op.add_column(
        "entries", sa.Column("family", _BYTEWISE, server_default=sa.text("''"), nullable=False)
    )
    _name_families()
    for name, columns in _ENTRY_INDEXES.items():
        op.create_index(f"ix_entries_{name}", "entries", ["repository_id", *columns], unique=False)
    op.create_table(
        "tallies",
        sa.Column("repository_id", _ID, nullable=False),
        sa.Column("scope", _BYTEWISE, nullable=False),
        sa.Column("family", _BYTEWISE, nullable=False),
        sa.Column("version", _BYTEWISE, nullable=False),
        sa.Column("entry_count", sa.BigInteger(), nullable=False),
        sa.Column("size_bytes", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["repository_id"],
            ["repositories.id"],
            name=op.f("fk_tallies_repository_id_repositories"),
        ),
        sa.PrimaryKeyConstraint(
            "repository_id", "scope", "family", "version", name=op.f("pk_tallies")
        ),
        sqlite_with_rowid=False,
    )
    op.execute(
        "INSERT INTO tallies (repository_id, scope, family, version, entry_count, size_bytes)"
        " SELECT repository_id, scope, family, version, count(*), sum(size_bytes)"
        " FROM entries GROUP BY repository_id, scope, family, version"
    )
    op.create_index(
        "ix_tallies_family",
        "tallies",
        ["repository_id", "family", "version", "entry_count", "size_bytes"],
        unique=False,
    )


def _name_families() -> None:
    entries = sa.table("entries", sa.column("id"), sa.column("key"), sa.column("family"))
    connection = op.get_bind()
    page = sa.select(entries.c.id, entries.c.key).order_by(entries.c.id).limit(_AT_ONCE)
    name = (
        sa.update(entries)
        .where(entries.c.id == sa.bindparam("entry"))
        .values(family=sa.bindparam("new_family"))
    )
    last_id = 0
    while rows := connection.execute(page.where(entries.c.id > last_id)).all():
        last_id = rows[-1].id
        connection.execute(
            name, [{"entry": row.id, "new_family": family_of(row.key)} for row in rows]
        )
