"""What lies in the data folder, for processes on several machines. Nothing on SQLite."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    if op.get_bind().dialect.name != "postgresql":
        return
    op.execute("CREATE SEQUENCE document_revisions")
    op.create_table(
        "documents",
        sa.Column("name", sa.Text(), primary_key=True),
        sa.Column("revision", sa.BigInteger(), nullable=False, server_default=sa.text("nextval('document_revisions')")),
        sa.Column("written_at", sa.Double(), nullable=False),
        sa.Column("content", sa.LargeBinary(), nullable=False),
    )
    op.create_table(
        "task_logs",
        sa.Column("task_id", sa.String(36), primary_key=True),
        sa.Column("is_open", sa.Boolean(), nullable=False, server_default=sa.false()),
        sa.Column("written_by", sa.String(36)),
        sa.Column("is_cut", sa.Boolean(), nullable=False, server_default=sa.false()),
    )
    op.create_table(
        "log_files",
        sa.Column("task_id", sa.String(36), primary_key=True),
        sa.Column("name", sa.Text(), primary_key=True),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("base", sa.BigInteger(), nullable=False),
        sa.Column("is_full", sa.Boolean(), nullable=False),
    )
    op.create_table(
        "log_pieces",
        sa.Column("task_id", sa.String(36), primary_key=True),
        sa.Column("name", sa.Text(), primary_key=True),
        sa.Column("at", sa.BigInteger(), primary_key=True),
        sa.Column("content", sa.LargeBinary(), nullable=False),
    )
    # A key of 16384 bits is longer than what PostgreSQL takes into an index; SQLite takes any.
    op.drop_constraint("uq_host_keys_host_port_key_type_key_base64", "host_keys", type_="unique")
    op.execute("CREATE UNIQUE INDEX uq_host_keys_key ON host_keys (host, port, key_type, md5(key_base64))")
