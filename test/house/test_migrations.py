"""Schema changes are expand, then contract: while hosts are upgraded in turn, the version before goes on."""

from __future__ import annotations

from pathlib import Path

import pytest

from app.storage.schema import REVISIONS
from test.house.migrations import FIRST_HELD, RELEASED, VERSIONS, faults_of, taken_away

HELD = [path for path in sorted(VERSIONS.glob("[0-9]*.py")) if path.name[:4] >= FIRST_HELD]


def test_no_migration_takes_away_what_the_version_before_uses() -> None:
    """CONTRIBUTING.md, "A change of the schema", says how it is done."""
    assert [fault for path in HELD for fault in faults_of(path)] == []


def test_every_release_has_a_revision_that_there_is() -> None:
    assert set(RELEASED) <= set(REVISIONS) and list(RELEASED) == sorted(RELEASED)


@pytest.mark.parametrize(
    "line",
    [
        'op.drop_column("installs", "seal")',
        'op.drop_table("leases")',
        'op.drop_constraint("uq_one", "installs", type_="unique")',
        'op.rename_table("leases", "held")',
        'op.alter_column("installs", "seal", new_column_name="secret")',
        'op.alter_column("installs", "seal", nullable=False)',
        'op.alter_column("installs", "seal", type_=sa.Text())',
        'op.execute("ALTER TABLE installs DROP COLUMN seal")',
        'op.execute("alter table installs rename to tasks")',
        'op.execute("ALTER TABLE installs ALTER COLUMN seal SET NOT NULL")',
        'op.add_column("installs", sa.Column("must", sa.Text(), nullable=False))',
        'op.create_unique_constraint("one", "installs", ["seal"])',
        'with op.batch_alter_table("installs") as batch:\n        batch.drop_column("seal")',
    ],
)
def test_what_takes_away_is_noticed(tmp_path: Path, line: str) -> None:
    path = _migration(tmp_path, line)
    assert len(taken_away(path)) == len(faults_of(path, ("0050",))) == 1


def test_what_only_adds_is_taken(tmp_path: Path) -> None:
    """New tables, columns that may be empty or are filled by the database, indexes."""
    path = _migration(
        tmp_path,
        'op.create_table("new", sa.Column("a", sa.Text(), nullable=False))',
        'op.add_column("installs", sa.Column("b", sa.Text()))',
        'op.add_column("installs", sa.Column("c", sa.Text(), nullable=False, server_default=""))',
        'op.create_index("ix", "installs", ["b"])',
        'op.drop_index("ix_old")',
        'op.drop_constraint("fk_old", "installs", type_="foreignkey")',
        'op.execute("DROP INDEX IF EXISTS ix_older")',
    )
    assert faults_of(path) == []


def test_a_contraction_names_an_expansion_that_was_released(tmp_path: Path) -> None:
    """Of an earlier release, so that no program that still runs needs what goes."""
    line = 'op.drop_column("installs", "seal")'
    assert faults_of(_migration(tmp_path, line, contracts="0040"), ("0007", "0050")) == []
    assert faults_of(_migration(tmp_path, line, contracts="0098"), ("0007", "0050")) != []
    assert faults_of(_migration(tmp_path, line, contracts="0040"), ()) != []
    assert (
        faults_of(_migration(tmp_path, 'op.create_index("ix", "installs", ["b"])', contracts="0040"), ("0050",)) != []
    )


def _migration(folder: Path, *lines: str, contracts: str = "") -> Path:
    path = folder / "0099_example.py"
    named = f'CONTRACTS = "{contracts}"\n' if contracts else ""
    body = "".join(f"    {line}\n" for line in lines)
    downgrade = 'def downgrade():\n    op.drop_table("anything")\n'
    path.write_text(f"import sqlalchemy as sa\nfrom alembic import op\n{named}\ndef upgrade():\n{body}\n{downgrade}")
    return path
