"""What processes that share a database tell each other. Nothing on SQLite."""

from __future__ import annotations

from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

_TABLES = (
    """
    CREATE TABLE install_signals (
        number bigint GENERATED ALWAYS AS IDENTITY,
        task_id varchar(36) NOT NULL REFERENCES installs ON DELETE CASCADE,
        kind varchar(8) NOT NULL,
        subject text NOT NULL,
        value text NOT NULL,
        created_at timestamptz NOT NULL DEFAULT now(),
        PRIMARY KEY (task_id, kind, subject)
    )
    """,
    # What a crash of the database takes from it is there again with the next word from a runner.
    "CREATE UNLOGGED TABLE install_heard (task_id varchar(36) PRIMARY KEY, heard_at timestamptz NOT NULL)",
    "CREATE TABLE followed_up (key text PRIMARY KEY, at timestamptz NOT NULL DEFAULT now())",
    "CREATE INDEX ix_installs_finished_at ON installs (finished_at)",
)


def upgrade() -> None:
    if op.get_bind().dialect.name == "postgresql":
        for statement in _TABLES:
            op.execute(statement)
