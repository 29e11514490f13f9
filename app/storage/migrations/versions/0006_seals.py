"""The secret of each run's seal; a run that an earlier version has started has none."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("installs", sa.Column("seal", sa.Text()))
