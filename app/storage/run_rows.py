"""What the tables of runs and instances are told in the transaction that adds an install, a fleet or a workflow."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection, insert, select, update

from app.domain.host_port import join_host_port, split_host_port
from app.domain.record import InstallRecord
from app.storage.schema import installs, instances, runs

LINKS = ("retry_of", "rollback_of", "restart_of")
"""The fields of a request that name another install."""


def note_group(connection: Connection, run_id: str, kind: str, created_at: float) -> None:
    """A new fleet or workflow."""
    connection.execute(insert(runs), {"run_id": run_id, "kind": kind, "created_at": created_at})


def run_of(connection: Connection, request: Mapping[str, Any]) -> str | None:
    """The run that a request belongs to, since it repeats, undoes or follows one of its tasks."""
    linked = [request[name] for name in LINKS if isinstance(request.get(name), str)]
    query = select(installs.c.run_id).where(installs.c.task_id.in_(linked))
    return connection.execute(query).scalar() if linked else None


def note_install(connection: Connection, record: InstallRecord, run_id: str) -> None:
    """A new install of a run: the run and its fleet go on, and its instance is remembered."""
    going_on = {"state": None, "tone": None, "document": None, "changes": runs.c.changes + 1}
    if run_id == record.task_id:
        mine = {"run_id": run_id, "kind": "install", "created_at": record.created_at, "fleet_id": record.fleet_id}
        connection.execute(insert(runs), {**mine, "instance": record.instance})
    else:
        connection.execute(update(runs).where(runs.c.run_id == run_id).values(**going_on, instance=record.instance))
    of_run = select(runs.c.fleet_id).where(runs.c.run_id == run_id).scalar_subquery()
    connection.execute(update(runs).where(runs.c.run_id == of_run).values(**going_on))
    ssh_connection = record.request.get("ssh_connection")
    _note_instance(
        connection,
        record.instance,
        {
            "ssh_connection": ssh_connection if isinstance(ssh_connection, str) else None,
            "last_run_id": run_id,
        },
        record.created_at,
    )


def note_host_key(connection: Connection, host: str, port: int, at: float) -> None:
    """A host key was stored: its instance is remembered."""
    known = select(instances.c.instance_id).where(instances.c.host == host, instances.c.port == port)
    if connection.execute(known.limit(1)).first() is None:
        values = {"instance": join_host_port(host, port), "host": host, "port": port, "added_at": at}
        connection.execute(insert(instances), {**values, "instance_id": str(uuid.uuid4())})


def _note_instance(connection: Connection, instance: str, values: dict[str, Any], at: float) -> None:
    """By its name; or one of which only a host key was known until now, which gets its name."""
    host, port = host_and_port(instance)
    names = (instance,) if host is None else (instance, join_host_port(host, port or 0))
    for name in names:
        known = update(instances).where(instances.c.instance == name).values(**values, instance=instance)
        if connection.execute(known).rowcount:
            return
    place = {"instance": instance, "host": host, "port": port, "added_at": at}
    connection.execute(insert(instances), {**place, **values, "instance_id": str(uuid.uuid4())})


def host_and_port(instance: str) -> tuple[str | None, int | None]:
    """Of `user@host:port`; nothing of an alias as typed."""
    try:
        return split_host_port(instance.rpartition("@")[2])
    except ValueError:
        return None, None
