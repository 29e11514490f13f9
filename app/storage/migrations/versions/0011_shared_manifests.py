"""Manifests that many installs have in common, each kept once."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "manifests",
        sa.Column("sha256", sa.String(64), nullable=False),
        sa.Column("content", sa.JSON(), nullable=False),
        sa.Column("used_at", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("sha256", name=op.f("pk_manifests")),
    )
    op.add_column("installs", sa.Column("manifest_sha256", sa.String(64)))
    op.create_index(op.f("ix_installs_manifest_sha256"), "installs", ["manifest_sha256"])
