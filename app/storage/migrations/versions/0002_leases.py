"""Leases of running installs, and a number that tells the order in which installs were accepted."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("installs", sa.Column("number", sa.BigInteger(), nullable=False, server_default="0"))
    op.add_column("installs", sa.Column("lease_owner", sa.Text()))
    op.add_column("installs", sa.Column("lease_token", sa.BigInteger(), nullable=False, server_default="0"))
    op.add_column("installs", sa.Column("lease_expires_at", sa.Double()))
    # Times told the order until now.
    connection = op.get_bind()
    ordered = connection.execute(sa.text("SELECT task_id FROM installs ORDER BY created_at, task_id")).scalars().all()
    numbered = [{"task_id": task_id, "number": number} for number, task_id in enumerate(ordered, 1)]
    if numbered:
        connection.execute(sa.text("UPDATE installs SET number = :number WHERE task_id = :task_id"), numbered)
    for old in ("ix_installs_created_at_task_id", "ix_installs_instance_created_at", "ix_installs_state_created_at"):
        op.drop_index(old, table_name="installs")
    op.create_index("ix_installs_number", "installs", ["number"])
    op.create_index("ix_installs_instance_number", "installs", ["instance", "number"])
    op.create_index("ix_installs_state_number", "installs", ["state", "number"])
