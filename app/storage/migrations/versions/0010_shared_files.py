"""What lies in the data folder, for processes on several machines. Nothing on SQLite."""

from __future__ import annotations

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    pass
