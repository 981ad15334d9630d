"""Records: what happened to entries, sums of it by day, and who saved what.

Revision ID: 0004
"""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_BYTEWISE = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    """Add the tables of records, which know nothing of what happened before."""
    _make_origins()
    _make_events()
    _make_event_days()


def _make_origins() -> None:
    op.create_table(
        "origins",
        sa.Column("entry_id", _ID, autoincrement=False, nullable=False),
        sa.Column("event", sa.Text(), nullable=True),
        sa.Column("run", sa.Text(), nullable=True),
        sa.Column("paths", sa.Text(), nullable=True),
        sa.Column("compression", sa.Text(), nullable=True),
        sa.Column("system", sa.Text(), nullable=True),
        sa.Column("cross_os", sa.Boolean(), nullable=True),
        sa.PrimaryKeyConstraint("entry_id", name=op.f("pk_origins")),
    )


def _make_events() -> None:
    op.create_table(
        "events",
        sa.Column("id", _ID, nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("repository_id", _ID, nullable=False),
        sa.Column("ref", _BYTEWISE, nullable=False),
        sa.Column("key", _BYTEWISE, nullable=False),
        sa.Column("version", _BYTEWISE, nullable=False),
        sa.Column("entry_id", sa.BigInteger(), nullable=True),
        sa.Column("size_bytes", sa.BigInteger(), nullable=True),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("limit", sa.BigInteger(), nullable=True),
        sa.Column("by", sa.Text(), nullable=True),
        sa.Column("restore_keys", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(
            ["repository_id"],
            ["repositories.id"],
            name=op.f("fk_events_repository_id_repositories"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_events")),
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("ix_events_entry_id"), "events", ["entry_id"], unique=False)
    op.create_index("ix_events_repository", "events", ["repository_id", "id"], unique=False)
    is_change = sa.text("kind IN ('saved', 'evicted', 'deleted', 'damaged')")
    for name, columns in (
        ("ix_events_changes", ["id"]),
        ("ix_events_changed_keys", ["repository_id", "key", "id"]),
    ):
        op.create_index(
            name,
            "events",
            columns,
            unique=False,
            sqlite_where=is_change,
            postgresql_where=is_change,
        )


def _make_event_days() -> None:
    op.create_table(
        "event_days",
        sa.Column("repository_id", _ID, nullable=False),
        sa.Column("day", sa.Integer(), nullable=False),
        sa.Column("family", _BYTEWISE, nullable=False),
        *(
            sa.Column(name, sa.BigInteger(), server_default="0", nullable=False)
            for name in (
                "hits",
                "misses",
                "restored",
                "saved_bytes",
                "evicted_bytes",
                "deleted_bytes",
            )
        ),
        sa.ForeignKeyConstraint(
            ["repository_id"],
            ["repositories.id"],
            name=op.f("fk_event_days_repository_id_repositories"),
        ),
        sa.PrimaryKeyConstraint("repository_id", "day", "family", name=op.f("pk_event_days")),
        sqlite_with_rowid=False,
    )
    op.create_index(op.f("ix_event_days_day"), "event_days", ["day"], unique=False)
