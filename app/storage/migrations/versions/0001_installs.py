"""Installs, their service events, and pinned host keys."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    _create_installs()
    _create_service_events()
    _create_host_keys()


def _create_installs() -> None:
    op.create_table(
        "installs",
        sa.Column("task_id", sa.String(36), nullable=False),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.Column("request", sa.JSON(), nullable=False),
        sa.Column("instance", sa.Text(), nullable=False),
        sa.Column("ui_home", sa.Text()),
        sa.Column("idempotency_key", sa.Text()),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("outcome", sa.String(16)),
        sa.Column("started_at", sa.Double()),
        sa.Column("finished_at", sa.Double()),
        sa.Column("total", sa.Integer(), nullable=False),
        sa.Column("successful", sa.Integer(), nullable=False),
        sa.Column("failed", sa.Integer(), nullable=False),
        sa.Column("skipped", sa.Integer(), nullable=False),
        sa.Column("error", sa.JSON()),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("journal_offset", sa.BigInteger(), nullable=False),
        sa.Column("journal_seq", sa.BigInteger(), nullable=False),
        sa.Column("snapshot", sa.JSON()),
        sa.PrimaryKeyConstraint("task_id", name="pk_installs"),
    )
    op.create_index("ix_installs_created_at_task_id", "installs", ["created_at", "task_id"])
    op.create_index("ix_installs_instance_created_at", "installs", ["instance", "created_at"])
    op.create_index("ix_installs_state_created_at", "installs", ["state", "created_at"])
    op.create_index("ix_installs_idempotency_key_created_at", "installs", ["idempotency_key", "created_at"])


def _create_service_events() -> None:
    op.create_table(
        "service_events",
        sa.Column("id", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column("task_id", sa.String(36), nullable=False),
        sa.Column("event", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_service_events"),
        sa.ForeignKeyConstraint(
            ["task_id"], ["installs.task_id"], name="fk_service_events_task_id_installs", ondelete="CASCADE"
        ),
    )
    op.create_index("ix_service_events_task_id_id", "service_events", ["task_id", "id"])


def _create_host_keys() -> None:
    op.create_table(
        "host_keys",
        sa.Column("id", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column("host", sa.Text(), nullable=False),
        sa.Column("port", sa.Integer(), nullable=False),
        sa.Column("key_type", sa.Text(), nullable=False),
        sa.Column("key_base64", sa.Text(), nullable=False),
        sa.Column("sha256", sa.Text(), nullable=False),
        sa.Column("added_at", sa.Double(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_host_keys"),
        sa.UniqueConstraint(
            "host", "port", "key_type", "key_base64", name="uq_host_keys_host_port_key_type_key_base64"
        ),
    )
