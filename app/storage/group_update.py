"""Saves the progress of many installs in one transaction: one wait for the disk, however many they are.

Each row is written only while its install's lease has the writer's token, as if it were written alone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Column, Connection, Engine, bindparam, select, update

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
            ours = sorted((row for row in rows if tokens.get(row.task_id) == row.token), key=lambda row: row.task_id)
            if ours and connection.dialect.name == "sqlite":
                _write_at_once(connection, ours)
            elif ours:
                connection.execute(_UPDATE, [_parameters(row) for row in ours])
        left = (row.task_id for row in rows if tokens.get(row.task_id) != row.token)
        return {task_id: LeaseLost() if task_id in tokens else TaskNotFound() for task_id in left}


def _parameters(row: FencedRow) -> dict[str, Any]:
    return {**row.values, "of_task": row.task_id, "by_token": row.token}


def _write_at_once(connection: Connection, rows: Sequence[FencedRow]) -> None:
    """One statement for all rows, which all are there: before each statement Python lets other threads run, and with a
    thousand installs many want to. An `UPDATE … FROM` would copy and sort the rows."""
    names = list(rows[0].values)
    makers = [_maker(connection, installs.c[name]) for name in names]
    values: list[Any] = []
    for row in rows:
        values += (row.task_id, row.token, *(make(row.values[name]) for name, make in zip(names, makers, strict=True)))
    given = ("task_id", "lease_token", *names)
    never = [c.name for c in installs.c if not c.nullable and c.server_default is None and c.name not in given]
    one = f"({', '.join(['?'] * len(given) + ['0'] * len(never))})"
    connection.exec_driver_sql(
        f"INSERT INTO installs ({', '.join((*given, *never))}) VALUES {', '.join([one] * len(rows))}"  # noqa: S608 - columns
        f" ON CONFLICT (task_id) DO UPDATE SET {', '.join(f'{name} = excluded.{name}' for name in names)}"
        " WHERE installs.lease_token = excluded.lease_token",
        tuple(values),
    )


def _maker(connection: Connection, column: Column[Any]) -> Callable[[Any], Any]:
    """Makes what the database has in a column of a value."""
    return column.type.dialect_impl(connection.dialect).bind_processor(connection.dialect) or (lambda value: value)
