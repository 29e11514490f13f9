"""Retries of installs, and fleets: one manifest for many instances."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("installs", sa.Column("retried_by", sa.String(36)))
    op.add_column("installs", sa.Column("auto_retry_open", sa.Boolean(), nullable=False, server_default=sa.false()))
    op.add_column("installs", sa.Column("fleet_id", sa.String(36)))
    op.add_column("installs", sa.Column("fleet_position", sa.Integer()))
    op.create_index("ix_installs_fleet_id_number", "installs", ["fleet_id", "number"])
    op.create_index("ix_installs_auto_retry_open", "installs", ["auto_retry_open"])
    op.create_table(
        "fleets",
        sa.Column("fleet_id", sa.String(36), nullable=False),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.Column("idempotency_key", sa.Text()),
        sa.Column("instances", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("fleet_id", name="pk_fleets"),
    )
    op.create_index("ix_fleets_created_at", "fleets", ["created_at"])
    op.create_index("ix_fleets_idempotency_key_created_at", "fleets", ["idempotency_key", "created_at"])
