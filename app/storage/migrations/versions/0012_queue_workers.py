"""Which workers of the shared queue hold a lock while their process lives, and whose they are. Nothing on SQLite."""

from __future__ import annotations

from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    if op.get_bind().dialect.name == "postgresql":
        op.execute(
            "CREATE TABLE queue_workers ("
            "worker_id bigint PRIMARY KEY REFERENCES procrastinate_workers ON DELETE CASCADE, owner text NOT NULL)"
        )
