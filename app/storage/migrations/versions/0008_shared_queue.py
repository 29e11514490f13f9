"""The queue of installs that several processes share: Procrastinate's tables. Nothing on SQLite."""

from __future__ import annotations

from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    if op.get_bind().dialect.name != "postgresql":
        return
    from procrastinate.schema import SchemaManager

    # As its own driver runs it: SQLAlchemy would read the colons and percent signs in it.
    op.get_bind().connection.cursor().execute(SchemaManager.get_schema())
