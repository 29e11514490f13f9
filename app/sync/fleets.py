"""Fleets: one manifest for many instances. Each instance has a task of its own; a fleet is what they have in common."""

from __future__ import annotations

import time
import uuid
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from app.domain.errors import (
    FleetNotFound,
    IdempotencyConflict,
    InvalidRequest,
    NothingToRetry,
    TaskConflict,
    TaskNotCancellable,
    TaskNotFound,
    TooManyTasks,
)
from app.domain.limits import IDEMPOTENCY_SECONDS
from app.domain.record import InstallRecord
from app.domain.request import InstallRequest
from app.domain.same_request import is_same
from app.domain.stored_request import store_request
from app.domain.wrong_entries import all_wrong
from app.protocol import progress_json
from app.protocol.states import TERMINAL_TASK_STATES, Outcome, TaskState
from app.storage.fleet_store import Fleet, FleetExists, FleetStore, FleetTask
from app.sync.installs.new_installs import Accepted, Joining, Place
from app.sync.installs.progress_cache import InstallStatus
from app.sync.installs.retries import Retries
from app.sync.installs.service import Installs

LISTED = 100


@dataclass(frozen=True, slots=True)
class FleetRequest:
    """A fleet as asked for: a request for each instance, checked."""

    requests: tuple[InstallRequest, ...]
    idempotency_key: str | None = None


@dataclass(frozen=True, slots=True)
class AcceptedFleet:
    """The answer to a start. `deduplicated`: the idempotency key was used before, and this is that fleet."""

    fleet_id: str
    tasks: list[dict[str, str]]
    deduplicated: bool


@dataclass(frozen=True, slots=True)
class Changed:
    """What a cancel or a retry of a fleet did: to these tasks; and how many others it left as they are, by the code of
    the reason."""

    tasks: list[dict[str, str]]
    left: Mapping[str, int]


class Fleets:
    """The fleets of one service. Every method may be called from any thread; StorageError when the database fails."""

    def __init__(
        self, installs: Installs, retries: Retries, store: FleetStore, now: Callable[[], float] = time.time
    ) -> None:
        """`now`: Unix seconds."""
        self._installs = installs
        self._retries = retries
        self._store = store
        self._now = now

    def start(self, asked: FleetRequest) -> AcceptedFleet:
        """Accepts an install for each instance, all or none. Raises TooManyTasks, TooManyFleets, ServiceClosing,
        IdempotencyConflict."""
        since = self._now() - IDEMPOTENCY_SECONDS
        known = self._store.with_key(asked.idempotency_key, since)
        if known is not None:
            return self._deduplicated(known, asked)
        fleet = Fleet(str(uuid.uuid4()), self._now(), asked.idempotency_key, _instances(asked))

        def keep(records: Sequence[InstallRecord]) -> Sequence[InstallRecord]:
            placed = [replace(each, fleet_position=i) for i, each in enumerate(records)]
            self._store.add(fleet, placed, same_key_since=since)
            return placed

        try:
            accepted = self._installs.accept(asked.requests, keep, Joining(fleet_id=fleet.fleet_id, check=_no_twins))
        except FleetExists as exists:
            return self._deduplicated(exists.fleet, asked)
        return AcceptedFleet(fleet.fleet_id, _started(fleet, dict(enumerate(accepted))), deduplicated=False)

    def newest(self) -> list[dict[str, Any]]:
        """The newest fleets, newest first; those whose tasks are all forgotten are left out."""
        fleets = self._store.newest(LISTED)
        of_fleet: dict[str, list[FleetTask]] = {}
        for task in self._store.tasks([fleet.fleet_id for fleet in fleets]):
            of_fleet.setdefault(task.fleet_id, []).append(task)
        return [_listed(fleet, of_fleet[fleet.fleet_id]) for fleet in fleets if fleet.fleet_id in of_fleet]

    def cancel(self, fleet_id: str) -> Changed:
        """Cancels what has not ended, and calls off automatic retries. Raises FleetNotFound, TaskNotCancellable when
        there is nothing of that."""
        fleet, tasks = self._fleet(fleet_id)
        newest = _newest(tasks)
        goes_on = [task.task_id for task in newest if task.state not in TERMINAL_TASK_STATES]
        states = self._installs.cancel_all(goes_on)
        for task in newest:
            if task.task_id not in states and task.retry_open and self._called_off(task):
                states[task.task_id] = task.state
        if not states:
            raise TaskNotCancellable("Every task of the fleet has already ended.")
        found = {
            task.position: Accepted(task.task_id, states[task.task_id], deduplicated=True)
            for task in newest
            if task.task_id in states
        }
        return Changed(_started(fleet, found), {"task_not_cancellable": len(newest) - len(found)})

    def retry(self, fleet_id: str) -> Changed:
        """Starts a retry of each task that ended and did not end well. Raises FleetNotFound, NothingToRetry,
        TaskConflict when those that may not end well still go on, TooManyTasks."""
        fleet, tasks = self._fleet(fleet_id)
        newest = _newest(tasks)
        unwell = [task for task in newest if task.outcome is not Outcome.ALL]
        result = self._retries.retry_all([task.task_id for task in unwell], fleet_id)
        left = Counter(exc.code for exc in result.left.values())
        if not result.started:
            for kind in (TooManyTasks, TaskConflict):
                if left[kind.code]:
                    raise next(exc for exc in result.left.values() if exc.code == kind.code)
            raise NothingToRetry("Every task of the fleet ended well.")
        left[NothingToRetry.code] += len(newest) - len(unwell)
        found = {task.position: result.started[task.task_id] for task in unwell if task.task_id in result.started}
        return Changed(_started(fleet, found), left)

    def _called_off(self, task: FleetTask) -> bool:
        try:
            return self._retries.call_off(task.task_id)
        except TaskNotFound:  # forgotten since it was listed
            return False

    def _deduplicated(self, fleet: Fleet, asked: FleetRequest) -> AcceptedFleet:
        if fleet.instances != _instances(asked) or not self._asks_the_same(fleet, asked):
            raise IdempotencyConflict(field="idempotency_key")
        tasks = {
            task.position: Accepted(task.task_id, status.snapshot.state if status else task.state, deduplicated=True)
            for task in _newest(self._store.tasks([fleet.fleet_id]))
            for status in [self._task_status(task)]
        }
        return AcceptedFleet(fleet.fleet_id, _started(fleet, tasks), deduplicated=True)

    def _asks_the_same(self, fleet: Fleet, asked: FleetRequest) -> bool:
        """Whether what is left of the fleet's own tasks was asked for as now. What they all have in common, each of
        them tells."""
        for task in self._store.tasks([fleet.fleet_id]):
            try:
                kept = self._installs.look(task.task_id)[0].request
            except TaskNotFound:  # forgotten since it was listed
                continue
            if kept.get("retry_of") is None:
                return is_same(kept, store_request(asked.requests[task.position]))
        return True

    def _fleet(self, fleet_id: str) -> tuple[Fleet, list[FleetTask]]:
        fleet = self._store.get(fleet_id)
        tasks = [] if fleet is None else self._store.tasks([fleet_id])
        if fleet is None or not tasks:
            raise FleetNotFound(field="fleet_id")
        return fleet, tasks

    def _task_status(self, task: FleetTask) -> InstallStatus | None:
        try:
            return self._installs.status(task.task_id)
        except TaskNotFound:  # forgotten since it was listed
            return None


def _no_twins(works: Sequence[Place]) -> None:
    """Raises InvalidRequest where one machine comes twice, however it is spelled."""
    seen: dict[tuple[str, str], int] = {}
    wrong = []
    for index, place in enumerate(works):
        first = seen.setdefault((place.instance.lower(), place.key.ui_home), index)
        if first != index:
            message = (
                f"ssh_connections[{index}] is the same instance and ui_home as ssh_connections[{first}]: "
                f"{place.instance}."
            )
            wrong.append(InvalidRequest(message, field=f"ssh_connections[{index}]"))
    if wrong:
        raise all_wrong(wrong)


def _instances(asked: FleetRequest) -> list[dict[str, Any]]:
    return [
        {"ssh_connection": request.ssh_connection, "ui_home": request.ui_home, "venv_path": request.venv_path}
        for request in asked.requests
    ]


def _newest(tasks: Sequence[FleetTask]) -> list[FleetTask]:
    """The newest task of each instance, in the fleet's order: a retry takes the place of what it repeats."""
    newest = {task.position: task for task in tasks}
    return [newest[position] for position in sorted(newest)]


def _started(fleet: Fleet, tasks: Mapping[int, Accepted]) -> list[dict[str, str]]:
    return [
        {
            "ssh_connection": fleet.instances[position]["ssh_connection"],
            "task_id": tasks[position].task_id,
            "state": tasks[position].state.value,
        }
        for position in sorted(tasks)
    ]


def _listed(fleet: Fleet, tasks: Sequence[FleetTask]) -> dict[str, Any]:
    states = [task.state for task in _newest(tasks)]
    return {
        "fleet_id": fleet.fleet_id,
        "created_at": progress_json.iso(fleet.created_at),
        "total_instances": len(states),
        "in_progress": any(state not in TERMINAL_TASK_STATES for state in states),
        "states": {state.value: states.count(state) for state in TaskState},
    }
