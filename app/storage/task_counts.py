"""How many installs the database holds in each state, and whether it answers at all."""

from __future__ import annotations

from sqlalchemy import Engine, func, literal, select

from app.protocol.states import TaskState
from app.storage.schema import installs
from app.storage.transactions import check_writable, reading

_BY_STATE = select(installs.c.state, func.count()).group_by(installs.c.state)
_OLDEST_WAITING = select(func.min(installs.c.created_at)).where(installs.c.state == TaskState.QUEUED)
_ANY = select(literal(1)).select_from(installs).limit(1)


class TaskCounts:
    """Looks at the database. Every method may be called from any thread and raises StorageError when it fails."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def by_state(self) -> dict[TaskState, int]:
        """Every state, also those that no install is in."""
        with reading(self._engine) as connection:
            found = {row[0]: row[1] for row in connection.execute(_BY_STATE)}
        return {state: found.get(state, 0) for state in TaskState}

    def oldest_waiting(self) -> float | None:
        """When the install was accepted that waits longest (Unix seconds); None when none waits."""
        with reading(self._engine) as connection:
            oldest: float | None = connection.execute(_OLDEST_WAITING).scalar()
        return oldest

    def check(self) -> None:
        """Asks the smallest question about the installs, and writes where the last write was refused."""
        check_writable(self._engine)
        with reading(self._engine) as connection:
            connection.execute(_ANY).first()
