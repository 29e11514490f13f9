"""What the tables of runs and instances are told in the transaction that adds an install, a fleet or a workflow."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, bindparam, insert, select, update

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
    if not linked:
        return None
    return connection.execute(select(installs.c.run_id).where(installs.c.task_id.in_(linked))).scalar()


def note_installs(connection: Connection, placed: Sequence[tuple[InstallRecord, str]]) -> None:
    """New installs, each with its run: the runs and their fleets go on, and their instances are remembered."""
    began = [_new_run(record) for record, run_id in placed if run_id == record.task_id]
    joined = [{"of_run": run_id, "at": record.instance} for record, run_id in placed if run_id != record.task_id]
    if began:
        connection.execute(insert(runs), began)
    if joined:
        connection.execute(_GOES_ON.values(instance=bindparam("at")), joined)
    for fleet_id in _fleets_of(connection, [run_id for _, run_id in placed]):
        connection.execute(_GOES_ON, {"of_run": fleet_id})
    _note_instances(connection, placed)


_GOES_ON = (
    update(runs)
    .where(runs.c.run_id == bindparam("of_run"))
    .values(state=None, tone=None, document=None, changes=runs.c.changes + 1)
)
_AT_ONCE = 500
"""How many names a statement has at most."""


def _new_run(record: InstallRecord) -> dict[str, Any]:
    mine = {"run_id": record.task_id, "kind": "install", "created_at": record.created_at}
    return mine | {"fleet_id": record.fleet_id, "instance": record.instance}


def _fleets_of(connection: Connection, run_ids: Sequence[str]) -> set[str]:
    found: set[str] = set()
    for first in range(0, len(run_ids), _AT_ONCE):
        query = select(runs.c.fleet_id).where(runs.c.run_id.in_(run_ids[first : first + _AT_ONCE])).distinct()
        found.update(each for each in connection.execute(query).scalars() if each is not None)
    return found


def note_host_key(connection: Connection, host: str, port: int, at: float) -> None:
    """A host key was stored: its instance is remembered."""
    known = select(instances.c.instance_id).where(instances.c.host == host, instances.c.port == port)
    if connection.execute(known.limit(1)).first() is None:
        values = {"instance": join_host_port(host, port), "host": host, "port": port, "added_at": at}
        connection.execute(insert(instances), {**values, "instance_id": str(uuid.uuid4())})


def _note_instances(connection: Connection, placed: Sequence[tuple[InstallRecord, str]]) -> None:
    """By their names; or those of which only a host key was known until now, which get their names."""
    newest = {record.instance: (record, run_id) for record, run_id in placed}
    names = {name: each for each in newest for name in reversed(_names_of(each))}
    known: dict[str, str] = {}
    wanted = list(names)
    for first in range(0, len(wanted), _AT_ONCE):
        query = select(instances.c.instance).where(instances.c.instance.in_(wanted[first : first + _AT_ONCE]))
        for name in connection.execute(query).scalars():
            if known.get(names[name]) != names[name]:  # its own name counts before that of its address
                known[names[name]] = name
    again = [_remembered(*newest[each]) | {"known_as": name} for each, name in known.items()]
    new = [_remembered(*newest[each]) | _place(newest[each][0]) for each in newest if each not in known]
    if again:
        connection.execute(_SEEN_AGAIN, again)
    if new:
        connection.execute(insert(instances), new)


_SEEN_AGAIN = update(instances).where(instances.c.instance == bindparam("known_as"))
"""Executed with the columns that it sets."""


def _names_of(instance: str) -> tuple[str, ...]:
    host, port = host_and_port(instance)
    return (instance,) if host is None else (instance, join_host_port(host, port or 0))


def _remembered(record: InstallRecord, run_id: str) -> dict[str, Any]:
    typed = record.request.get("ssh_connection")
    ssh_connection = typed if isinstance(typed, str) else None
    return {"instance": record.instance, "ssh_connection": ssh_connection, "last_run_id": run_id}


def _place(record: InstallRecord) -> dict[str, Any]:
    host, port = host_and_port(record.instance)
    return {"host": host, "port": port, "added_at": record.created_at, "instance_id": str(uuid.uuid4())}


def host_and_port(instance: str) -> tuple[str | None, int | None]:
    """Of `user@host:port`; nothing of an alias as typed."""
    try:
        return split_host_port(instance.rpartition("@")[2])
    except ValueError:
        return None, None
