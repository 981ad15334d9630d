"""Snapshots: entries of several blobs, which others may share.

Revision ID: 0002
"""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Add what packs, and the uploads that share them, need. Every entry so far is an archive."""
    for table in ("entries", "uploads"):
        op.add_column(
            table,
            sa.Column("is_snapshot", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        )
    for column in (
        sa.Column("upload_id", sa.BigInteger(), nullable=True),
        sa.Column("number", sa.Integer(), nullable=True),
        sa.Column("blake3", sa.LargeBinary(), nullable=True),
    ):
        op.add_column("blobs", column)
    op.create_index(
        "ix_blobs_pack",
        "blobs",
        ["upload_id", "number"],
        unique=True,
        sqlite_where=sa.text("upload_id IS NOT NULL"),
        postgresql_where=sa.text("upload_id IS NOT NULL"),
    )
    op.create_table(
        "holds",
        sa.Column("upload_id", _ID, nullable=False),
        sa.Column("blob_id", _ID, nullable=False),
        sa.ForeignKeyConstraint(["blob_id"], ["blobs.id"], name=op.f("fk_holds_blob_id_blobs")),
        sa.ForeignKeyConstraint(
            ["upload_id"],
            ["uploads.id"],
            name=op.f("fk_holds_upload_id_uploads"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("upload_id", "blob_id", name=op.f("pk_holds")),
        sqlite_with_rowid=False,
    )
    op.create_index(op.f("ix_holds_blob_id"), "holds", ["blob_id"], unique=False)
