"""The ended installs of a database: which there are, and removing them."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from sqlalchemy import ColumnElement, Connection, Engine, Text, cast, delete, func, select

from app.domain.workflow import ENDED_WORKFLOW
from app.protocol.states import TERMINAL_TASK_STATES
from app.storage.run_rows import LINKS
from app.storage.schema import fleets, host_keys, installs, instances, runs, workflows
from app.storage.shared_manifests import forget_unused
from app.storage.transactions import reading, writing

_AT_ONCE = 100
"""How many are removed in one transaction: whoever has an install to write waits no longer than that takes."""
_ENDED = sorted(TERMINAL_TASK_STATES)


@dataclass(frozen=True, slots=True)
class Past:
    """An install as its history sees it. `ended_at`: Unix seconds, None while it has not; `refers_to`: the install
    that it undoes, repeats or belongs to; `keyed_at`: when its idempotency key was used, 0 where it has none."""

    task_id: str
    ended_at: float | None
    refers_to: tuple[str, ...]
    keyed_at: float = 0.0


class History:
    """The history of one database. Every method may be called from any thread; StorageError when it fails."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def all(self) -> list[Past]:
        """Every install there is."""
        links = [installs.c.request[name].as_string().label(name) for name in LINKS]
        names = ("task_id", "state", "created_at", "finished_at", "idempotency_key")
        query = select(*(installs.c[name] for name in names), *links)
        with reading(self._engine) as connection:
            rows = connection.execute(query).mappings().all()
        return [
            Past(
                row["task_id"],
                (row["finished_at"] or row["created_at"]) if row["state"] in TERMINAL_TASK_STATES else None,
                tuple(row[name] for name in LINKS if row[name]),
                0.0 if row["idempotency_key"] is None else row["created_at"],
            )
            for row in rows
        ]

    def count(self) -> int:
        """How many installs there are."""
        with reading(self._engine) as connection:
            return int(connection.execute(select(func.count()).select_from(installs)).scalar_one())

    def remove(self, task_ids: Collection[str]) -> tuple[list[str], int]:
        """Removes ended installs; which ones were removed, and the bytes of their JSON.

        The database's file does not shrink; the room in it is used again.
        """
        removed: list[str] = []
        size = 0
        wanted = list(task_ids)
        lengths = [func.coalesce(func.length(cast(installs.c[name], Text)), 0) for name in ("request", "snapshot")]
        json_bytes = (lengths[0] + lengths[1]).label("bytes")
        for first in range(0, len(wanted), _AT_ONCE):
            these = installs.c.task_id.in_(wanted[first : first + _AT_ONCE]), installs.c.state.in_(_ENDED)
            with writing(self._engine) as connection:
                rows = connection.execute(select(installs.c.task_id, json_bytes).where(*these)).all()
                connection.execute(delete(installs).where(*these))
                connection.execute(delete(runs).where(runs.c.kind == "install", ~_has_installs()))
            removed += [row.task_id for row in rows]
            size += sum(row.bytes for row in rows)
        return removed, size

    def remove_groups(self, before: float) -> int:
        """Removes the fleets from before then (Unix seconds) whose installs are all gone, and the workflows from before
        then that have ended; how many there were."""
        left = select(installs.c.task_id).where(installs.c.fleet_id == fleets.c.fleet_id)
        with writing(self._engine) as connection:
            empty = connection.execute(delete(fleets).where(fleets.c.created_at < before, ~left.exists()))
            forget_unused(connection)
            over = workflows.c.state.in_(sorted(state.value for state in ENDED_WORKFLOW))
            ended = connection.execute(delete(workflows).where(workflows.c.created_at < before, over))
            _forget_groups(connection)
        return empty.rowcount + ended.rowcount

    def remove_groups_over(self, most: int, before: float) -> None:
        """Removes the oldest fleets from before then (Unix seconds) whose installs are all gone, and the oldest
        workflows from before then that have ended, where there are more than `most` of them."""
        left = select(installs.c.task_id).where(installs.c.fleet_id == fleets.c.fleet_id)
        over = workflows.c.state.in_(sorted(state.value for state in ENDED_WORKFLOW))
        with writing(self._engine) as connection:
            fleet, workflow = (fleets, fleets.c.fleet_id, ~left.exists()), (workflows, workflows.c.workflow_id, over)
            for table, key, gone in (fleet, workflow):
                newest = select(key).order_by(table.c.created_at.desc()).limit(most)
                connection.execute(delete(table).where(table.c.created_at < before, gone, key.not_in(newest)))
            _forget_groups(connection)


def _has_installs() -> ColumnElement[bool]:
    return select(installs.c.task_id).where(installs.c.run_id == runs.c.run_id).exists()


def _forget_groups(connection: Connection) -> None:
    """Removes the runs of groups that are gone, and the instances of which neither a run nor a host key is left. An
    install of a workflow that is gone is a run without it."""
    for kind, table, key in (("fleet", fleets, fleets.c.fleet_id), ("workflow", workflows, workflows.c.workflow_id)):
        left = select(key).where(key == runs.c.run_id).select_from(table).exists()
        connection.execute(delete(runs).where(runs.c.kind == kind, ~left, ~_has_installs()))
    has_run = select(runs.c.run_id).where(runs.c.run_id == instances.c.last_run_id).exists()
    address = (host_keys.c.host == instances.c.host, host_keys.c.port == instances.c.port)
    has_key = select(host_keys.c.id).where(*address).exists()
    connection.execute(delete(instances).where(~has_run, ~has_key))
