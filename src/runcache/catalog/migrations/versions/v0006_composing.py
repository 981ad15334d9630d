"""Composing: blobs of several parts, and the blobs that took their place.

Revision ID: 0006
"""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add what tells which blobs can be composed, and which one was composed into which."""
    op.add_column("blobs", sa.Column("composed_into", sa.BigInteger(), nullable=True))
    is_second = sa.text("position = 1")
    op.create_index(
        "ix_parts_second",
        "parts",
        ["blob_id"],
        sqlite_where=is_second,
        postgresql_where=is_second,
    )
