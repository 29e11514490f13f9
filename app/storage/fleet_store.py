"""Fleets in the database: which instances each is for. How they stand is in the installs' records."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Engine, RowMapping, delete, func, insert, select

from app.domain.errors import TooManyFleets
from app.domain.limits import MAX_FLEETS
from app.domain.record import InstallRecord
from app.protocol.states import Outcome, TaskState
from app.storage.install_store import add_records
from app.storage.run_rows import note_group
from app.storage.schema import fleets, installs
from app.storage.transactions import adding, reading

_FLEETS = select(fleets.c.fleet_id, fleets.c.created_at, fleets.c.idempotency_key, fleets.c.instances)
_TASKS = select(
    installs.c.fleet_id,
    installs.c.fleet_position,
    installs.c.task_id,
    installs.c.state,
    installs.c.revision,
    installs.c.outcome,
    installs.c.auto_retry_open,
)


@dataclass(frozen=True, slots=True)
class Fleet:
    """One fleet. `instances`: `ssh_connection`, `ui_home` and `venv_path` of each, as accepted; `created_at`: Unix
    seconds."""

    fleet_id: str
    created_at: float
    idempotency_key: str | None
    instances: list[dict[str, Any]]


@dataclass(frozen=True, slots=True)
class FleetTask:
    """One of a fleet's installs, as its record has it. `position`: of its instance in the fleet, from 0 on;
    `retry_open`: whether an automatic retry of it may be due."""

    fleet_id: str
    position: int
    task_id: str
    state: TaskState
    revision: int
    outcome: Outcome | None = None
    retry_open: bool = False


class FleetExists(Exception):
    """The idempotency key was used for the fleet `fleet` a moment ago."""

    def __init__(self, fleet: Fleet) -> None:
        super().__init__(fleet.fleet_id)
        self.fleet = fleet


class FleetStore:
    """The fleets of one database. Every method may be called from any thread; StorageError when it fails."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def add(self, fleet: Fleet, records: Sequence[InstallRecord], *, same_key_since: float) -> None:
        """Stores a fleet with its installs, all or nothing. Raises FleetExists when its idempotency key was used after
        `same_key_since` (Unix seconds). Fleets from before that, whose installs are all forgotten, are forgotten too.
        """
        with adding(self._engine) as connection:
            known = _by_key(connection, fleet.idempotency_key, same_key_since)
            if known is not None:
                raise FleetExists(known)
            left = select(installs.c.task_id).where(installs.c.fleet_id == fleets.c.fleet_id)
            connection.execute(delete(fleets).where(fleets.c.created_at < same_key_since, ~left.exists()))
            recent = select(func.count()).select_from(fleets).where(fleets.c.created_at > same_key_since)
            if connection.execute(recent).scalar_one() >= MAX_FLEETS:
                raise TooManyFleets
            values = {"fleet_id": fleet.fleet_id, "created_at": fleet.created_at, "instances": fleet.instances}
            connection.execute(insert(fleets), {**values, "idempotency_key": fleet.idempotency_key})
            note_group(connection, fleet.fleet_id, "fleet", fleet.created_at)
            add_records(connection, records)

    def get(self, fleet_id: str) -> Fleet | None:
        """One fleet, or None."""
        with reading(self._engine) as connection:
            row = connection.execute(_FLEETS.where(fleets.c.fleet_id == fleet_id)).mappings().first()
        return None if row is None else _fleet(row)

    def with_key(self, key: str | None, since: float) -> Fleet | None:
        """The newest fleet with this idempotency key that was created after `since` (Unix seconds), or None."""
        with reading(self._engine) as connection:
            return _by_key(connection, key, since)

    def newest(self, limit: int) -> list[Fleet]:
        """Up to `limit` fleets, newest first."""
        query = _FLEETS.order_by(fleets.c.created_at.desc(), fleets.c.fleet_id).limit(limit)
        with reading(self._engine) as connection:
            return [_fleet(row) for row in connection.execute(query).mappings()]

    def tasks(self, fleet_ids: Collection[str]) -> list[FleetTask]:
        """The installs of these fleets, in the order in which they were accepted."""
        query = _TASKS.where(installs.c.fleet_id.in_(fleet_ids))
        with reading(self._engine) as connection:
            rows = connection.execute(query.order_by(installs.c.number, installs.c.created_at)).all()
        return [FleetTask(*row) for row in rows]


def _by_key(connection: Connection, key: str | None, since: float) -> Fleet | None:
    if key is None:
        return None
    query = _FLEETS.where(fleets.c.idempotency_key == key, fleets.c.created_at > since)
    row = connection.execute(query.order_by(fleets.c.created_at.desc())).mappings().first()
    return None if row is None else _fleet(row)


def _fleet(row: RowMapping) -> Fleet:
    return Fleet(**row)
