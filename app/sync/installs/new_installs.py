"""Installs that were just accepted: where each works, and its record."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from app.domain.errors import RemoteError
from app.domain.fleet_places import Group
from app.domain.host_port import join_host_port
from app.domain.record import InstallRecord
from app.domain.request import Request
from app.domain.stored_request import store_request
from app.protocol.events import Event, Queued, Source
from app.protocol.reducer import reduce
from app.protocol.seal import new_secret
from app.protocol.snapshot import to_stored
from app.protocol.states import TaskState
from app.remote.connector import SshConnector
from app.sync.installs.engine import Engine
from app.sync.installs.exclusive_queue import ExclusiveKey
from app.sync.installs.recorder import first_snapshot


@dataclass(frozen=True, slots=True)
class Accepted:
    """The answer to a start. `deduplicated`: the idempotency key was used before, and this is that task."""

    task_id: str
    state: TaskState
    deduplicated: bool


@dataclass(frozen=True, slots=True)
class Place:
    """Where an install works: the instance's name, and what nobody else may work on meanwhile."""

    instance: str
    key: ExclusiveKey


def _anywhere(_workplaces: Sequence[Place]) -> None:
    pass


@dataclass(frozen=True, slots=True)
class Joining:
    """What new installs are a part of: a run, a fleet. `check`: raises InvalidRequest where they may not be accepted
    together."""

    run_id: str | None = None
    fleet_id: str | None = None
    check: Callable[[Sequence[Place]], None] = _anywhere


def place_of(request: Request, connector: SshConnector) -> Place:
    """Opens no connection."""
    try:
        endpoint = connector.resolve(request.address)
    except RemoteError:  # a configuration that cannot be used: connecting will say so
        return Place(str(request.address), ExclusiveKey.of(str(request.address), request.ui_home))
    key = ExclusiveKey.of(join_host_port(endpoint.host, endpoint.port), request.ui_home)
    return Place(str(endpoint), key)


def group_of(request: Request, fleet_id: str | None) -> Group | None:
    """The group of an install whose fleet has limits."""
    return Group.of(fleet_id, request.limits)


def new_records(
    requests: Sequence[Request], workplaces: Sequence[Place], engine: Engine, now: float, joining: Joining
) -> list[InstallRecord]:
    """Their records. What those will wait for that cannot run at once stands in them."""
    ids = [str(uuid.uuid4()) for _ in requests]
    groups = [group_of(request, joining.fleet_id) for request in requests]
    keys = [place.key for place in workplaces]
    waiting = engine.foresee(list(zip(ids, keys, groups, strict=True)))
    return [
        _new_record(task_id, request, place.instance, now, waiting=waiting.get(task_id), joining=joining)
        for task_id, request, place in zip(ids, requests, workplaces, strict=True)
    ]


def _new_record(
    task_id: str, request: Request, instance: str, now: float, *, waiting: Queued | None, joining: Joining
) -> InstallRecord:
    stored = store_request(request)
    snapshot = first_snapshot(task_id, now, stored["manifest"])
    if waiting is not None:
        event = Event(waiting, snapshot.service_seq + 1, now, time.monotonic(), Source.SERVICE)
        snapshot = reduce(snapshot, event, now)
    return InstallRecord(
        task_id,
        now,
        stored,
        instance,
        ui_home=request.ui_home,
        idempotency_key=request.idempotency_key,
        revision=snapshot.revision,
        snapshot=to_stored(snapshot),
        auto_retry_open=request.options.auto_retry > request.retry_number,
        fleet_id=joining.fleet_id,
        seal=new_secret(),
        run_id=joining.run_id,
    )
