"""Fleets: one manifest for many instances. Each instance has a task of its own; a fleet is what they have in common."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from app.domain.errors import (
    FleetNotFound,
    IdempotencyConflict,
    InvalidRequest,
    NothingToRetry,
    TaskConflict,
    TaskError,
    TaskNotCancellable,
    TaskNotFound,
    TooManyTasks,
    all_wrong,
)
from app.domain.limits import IDEMPOTENCY_SECONDS
from app.domain.record import InstallRecord
from app.domain.request import InstallRequest
from app.domain.same_request import is_same
from app.domain.stored_request import store_request
from app.protocol import counts, progress_json
from app.protocol.reasons import for_people
from app.protocol.states import TERMINAL_TASK_STATES, TaskState
from app.storage.fleet_store import Fleet, FleetExists, FleetStore, FleetTask
from app.sync.installs.new_installs import Joining, Place
from app.sync.installs.progress_cache import InstallStatus
from app.sync.installs.retries import Retries
from app.sync.installs.service import Accepted, Installs

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

    def progress(self, fleet_id: str, since: int | None = None) -> dict[str, Any]:
        """The progress JSON of a fleet; with `since` equal to the revision only that nothing is new. Raises
        FleetNotFound."""
        fleet, tasks = self._fleet(fleet_id)
        status = {task.task_id: self._task_status(task) for task in tasks}
        revision = len(tasks) + sum(each.snapshot.revision for each in status.values() if each)
        newest = [(task, each) for task in _newest(tasks) if (each := status[task.task_id]) is not None]
        goes_on = any(not each.ended for _, each in newest)
        head = {"success": True, "fleet_id": fleet_id, "revision": revision, "in_progress": goes_on}
        if since is not None and since == revision:
            return {**head, "unchanged": True}
        return {
            **head,
            "completed": not goes_on,
            "created_at": progress_json.iso(fleet.created_at),
            **_totals([each for _, each in newest]),
            "instances": [_row(fleet, task, each) for task, each in newest],
        }

    def newest(self) -> list[dict[str, Any]]:
        """The newest fleets, newest first; those whose tasks are all forgotten are left out."""
        fleets = self._store.newest(LISTED)
        of_fleet: dict[str, list[FleetTask]] = {}
        for task in self._store.tasks([fleet.fleet_id for fleet in fleets]):
            of_fleet.setdefault(task.fleet_id, []).append(task)
        return [_listed(fleet, of_fleet[fleet.fleet_id]) for fleet in fleets if fleet.fleet_id in of_fleet]

    def cancel(self, fleet_id: str) -> list[dict[str, str]]:
        """Cancels what has not ended, and calls off automatic retries; the tasks that this changed. Raises
        FleetNotFound, TaskNotCancellable when there are none."""
        fleet, tasks = self._fleet(fleet_id)
        cancelled: dict[int, Accepted] = {}
        for task in _newest(tasks):
            state = self._cancelled(task)
            if state is not None:
                cancelled[task.position] = Accepted(task.task_id, state, deduplicated=True)
        if not cancelled:
            raise TaskNotCancellable("Every task of the fleet has already ended.")
        return _started(fleet, cancelled)

    def retry(self, fleet_id: str) -> list[dict[str, str]]:
        """Starts a retry of each task that ended and did not end well. Raises FleetNotFound, NothingToRetry,
        TaskConflict when those that may not end well still go on, TooManyTasks."""
        fleet, tasks = self._fleet(fleet_id)
        started: dict[int, Accepted] = {}
        refused: TaskError = NothingToRetry("Every task of the fleet ended well.")
        for task in _newest(tasks):
            try:
                started[task.position] = self._retries.retry(task.task_id)
            except (TaskConflict, TooManyTasks) as exc:
                refused = exc
            except (NothingToRetry, TaskNotFound):
                continue
        if not started:
            raise refused
        return _started(fleet, started)

    def _cancelled(self, task: FleetTask) -> TaskState | None:
        """The task's state after the cancel; None when there was nothing to cancel."""
        try:
            return self._installs.cancel(task.task_id)
        except TaskNotFound:
            return None
        except TaskNotCancellable:
            return task.state if self._retries.call_off(task.task_id) else None

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


def _no_twins(places: Sequence[Place]) -> None:
    """Raises InvalidRequest where one machine comes twice, however it is spelled."""
    seen: dict[Place, int] = {}
    wrong = []
    for index, place in enumerate(places):
        first = seen.setdefault(place, index)
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


def _totals(status: Sequence[InstallStatus]) -> dict[str, Any]:
    numbers = sum((counts.count(each.snapshot) for each in status), counts.Counts())
    states = [each.snapshot.state for each in status]
    percents = [each.snapshot.percent for each in status]
    return {
        "total_instances": len(status),
        "states": {state.value: states.count(state) for state in TaskState},
        "percent": round(sum(percents) / len(percents), 1) if percents else 0.0,
        **numbers.to_json(),
    }


def _row(fleet: Fleet, task: FleetTask, status: InstallStatus) -> dict[str, Any]:
    """One instance of a fleet's progress."""
    snapshot, numbers = status.snapshot, counts.count(status.snapshot)
    outcome = counts.outcome(snapshot)
    return {
        **fleet.instances[task.position],
        "task_id": task.task_id,
        "retry_of": status.retry_links.retry_of,
        "state": snapshot.state.value,
        "outcome": outcome.value if outcome else None,
        "percent": snapshot.percent,
        "phase": progress_json.phase_of(snapshot).value,
        "message": progress_json.message(snapshot),
        "message_code": progress_json.message_code(snapshot),
        "questions": progress_json.question_rows(snapshot),
        **numbers.to_json(),
        "error": for_people(snapshot.error.to_json()) if snapshot.error else None,
    }


def _listed(fleet: Fleet, tasks: Sequence[FleetTask]) -> dict[str, Any]:
    states = [task.state for task in _newest(tasks)]
    return {
        "fleet_id": fleet.fleet_id,
        "created_at": progress_json.iso(fleet.created_at),
        "total_instances": len(states),
        "in_progress": any(state not in TERMINAL_TASK_STATES for state in states),
        "states": {state.value: states.count(state) for state in TaskState},
    }
