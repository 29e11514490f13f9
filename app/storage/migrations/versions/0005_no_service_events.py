"""Drops the table of the service's own events. Nothing has ever read it: the snapshots hold what the events said."""

from __future__ import annotations

from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.drop_table("service_events")
