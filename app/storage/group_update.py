"""Saves the progress of many installs in one transaction: one wait for the disk, however many they are.

Each row is written only while its install's lease has the writer's token, as if it were written alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Engine, bindparam, select, update

from app.domain.errors import TaskNotFound
from app.storage.errors import LeaseLost
from app.storage.schema import installs
from app.storage.transactions import writing

_TOKENS = (
    select(installs.c.task_id, installs.c.lease_token)
    .where(installs.c.task_id.in_(bindparam("of_tasks", expanding=True)))
    .order_by(installs.c.task_id)
    .with_for_update()
)
"""In the tasks' order, so that two processes that share a database cannot wait for each other in a circle. SQLite has
one writer at a time, and locks no rows."""
_UPDATE = update(installs).where(
    installs.c.task_id == bindparam("of_task"), installs.c.lease_token == bindparam("by_token")
)


@dataclass(frozen=True, slots=True)
class FencedRow:
    """What is to be in the row of an install, if its lease has this token. `values`: by column, of all rows the
    same."""

    task_id: str
    token: int
    values: Mapping[str, Any]


class GroupUpdate:
    """Writes such rows. Any thread."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def write(self, rows: Sequence[FencedRow]) -> dict[str, Exception]:
        """All of them in one commit; they are on disk when this returns. Those that were not written, by their task_id:
        LeaseLost, or TaskNotFound. Raises StorageError when none was."""
        with writing(self._engine) as connection:
            found = connection.execute(_TOKENS, {"of_tasks": [row.task_id for row in rows]}).all()
            tokens = {each.task_id: each.lease_token for each in found}
            ours = [row for row in rows if tokens.get(row.task_id) == row.token]
            if ours:
                connection.execute(_UPDATE, [_parameters(row) for row in sorted(ours, key=lambda row: row.task_id)])
        left = (row.task_id for row in rows if tokens.get(row.task_id) != row.token)
        return {task_id: LeaseLost() if task_id in tokens else TaskNotFound() for task_id in left}


def _parameters(row: FencedRow) -> dict[str, Any]:
    return {**row.values, "of_task": row.task_id, "by_token": row.token}
