"""Tasks of the past: folded by the real recorder from a scenario's events, and stored as a service stores them."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from app.domain.address import parse_address
from app.domain.record import InstallRecord
from app.domain.request import InstallRequest, Request, RestartRequest, RollbackRequest
from app.domain.stored_request import store_request
from app.domain.workflow import Step, StepName, StepState, Workflow, WorkflowState
from app.protocol.event_body import Body
from app.protocol.events import (
    Attached,
    Connected,
    Connecting,
    Event,
    RunEnded,
    RunStarted,
    Uploaded,
    decode,
    encode,
)
from app.protocol.options import Options
from app.protocol.snapshot import to_stored
from app.protocol.states import NodeState, Outcome
from app.storage import ProgressFiles, open_database
from app.storage.fleet_store import Fleet, FleetStore
from app.storage.group_update import GroupUpdate
from app.storage.install_store import InstallStore
from app.storage.lease import Leases
from app.storage.log_files import LogFiles
from app.storage.workflow_store import WorkflowStore
from app.sync.background_tasks import BackgroundTaskManager
from app.sync.installs.group_saver import GroupSaver
from app.sync.installs.progress_cache import ProgressCache
from app.sync.installs.progress_writer import ProgressWriter
from app.sync.installs.recorder import Recorder, first_snapshot, snapshot_of
from test.support.database import put_database
from test.support.stage.run import BOOTED_SECONDS
from test.support.stage.story import Moment, Scenario

_CONNECT_SECONDS = 3.0


class History:
    """Writes into the data folder of a service, whether it runs or not."""

    def __init__(self, data_dir: Path) -> None:
        put_database(data_dir)
        self._engine = open_database(f"sqlite:///{data_dir / 'nodeferry.db'}")
        self._store = InstallStore(self._engine)
        self._leases = Leases(self._engine, "stage")
        self._logs = LogFiles(data_dir / "logs")
        self._writer = ProgressWriter(ProgressFiles(data_dir / "progress"), BackgroundTaskManager())
        self._saver = GroupSaver(GroupUpdate(self._engine), BackgroundTaskManager())

    def close(self) -> None:
        """Releases the database."""
        self._saver.close(5)
        self._writer.close(5)
        self._engine.dispose()

    def record(
        self, scenario: Scenario, command: str, instance: str, *, at: float, of: Mapping[str, str], **fields: Any
    ) -> InstallRecord:
        """A task that was accepted at `at` (Unix seconds) and has done nothing yet; not stored. `of`: the task that it
        follows, as `retry_of`, `rollback_of` or `restart_of`; `fields`: of the record."""
        for followed in map(self._store.get, of.values()):
            fields = {"run_id": followed.run_id, **fields} if followed else fields
        request = store_request(_request(scenario, command, of))
        task_id = fields.pop("task_id", None) or str(uuid.uuid4())
        first = to_stored(first_snapshot(task_id, at, request["manifest"]))
        return InstallRecord(task_id, at, request, instance, snapshot=first, **fields)

    def failed_of(self, task_id: str) -> set[str]:
        """The packs of a task that failed."""
        record = self._store.get(task_id)
        assert record is not None
        return {node.name for node in snapshot_of(record).nodes.values() if node.state is NodeState.FAILED}

    def folded(self, task_id: str) -> tuple[int, int]:
        """How many events of a task's journal were folded and kept, and the revision after them."""
        record = self._store.get(task_id)
        assert record is not None
        return record.journal_seq, record.revision

    def add(self, record: InstallRecord) -> None:
        """Stores a task, and links the one that it repeats."""
        self._store.add(record)
        repeated = record.request.get("retry_of")
        if repeated:
            self._store.update(repeated, retried_by=record.task_id)

    def fold(
        self, record: InstallRecord, scenario: Scenario, *, until: float | None = None, given_up: Body | None = None
    ) -> list[bytes]:
        """Everything that happens to a stored task, or what happens in the first `until` seconds of its run; the lines
        of its journal. `given_up`: how the service ends it then."""
        clock = _Clock(record.created_at)
        lease = self._leases.claim(record.task_id, record.lease_token)  # the service is not to take it up half-way
        assert lease is not None
        held = replace(record, lease_token=lease.token)
        recorder = Recorder(held, ProgressCache(), self._saver, self._writer, clock.now)
        recorder.without_seal()
        for body in (Connecting(1), Connected(record.instance), Uploaded(), Attached(0)):
            clock.at = record.created_at + _CONNECT_SECONDS
            recorder.emit(body)
        shown = [moment for moment in scenario.moments if until is None or moment.at <= until]
        lines: list[bytes] = []
        offset = 0
        for number, moment in enumerate((each for each in shown if each.body is not None), 1):
            clock.at = record.created_at + _CONNECT_SECONDS + moment.at
            lines.append(encode(event_of(moment, number, record.task_id, clock.at)))
            offset += len(lines[-1])
            recorder.apply(decode(lines[-1]), offset)
        if given_up is not None:
            recorder.emit(given_up)
        recorder.save()
        self._keep_logs(record.task_id, shown)
        self._leases.release(lease)
        return lines

    def _keep_logs(self, task_id: str, shown: list[Moment]) -> None:
        sizes: dict[str, int] = {}
        with self._logs.writing(task_id) as writer:
            for moment in shown:
                if moment.body is None:
                    at = sizes.get(moment.log, 0)
                    sizes[moment.log] = writer.append(moment.log, at, moment.text.encode())
            if not any(isinstance(moment.body, RunEnded) for moment in shown):
                return
            writer.all_came()

    def add_fleet(self, records: list[InstallRecord], at: float) -> str:
        """A fleet of these tasks, which it stores."""
        fleet_id = str(uuid.uuid4())
        kept = [replace(each, fleet_id=fleet_id, fleet_position=place) for place, each in enumerate(records)]
        rows = [
            {"ssh_connection": each.request["ssh_connection"], "ui_home": each.ui_home, "venv_path": None}
            for each in records
        ]
        FleetStore(self._engine).add(Fleet(fleet_id, at, None, rows), kept, same_key_since=0.0)
        return fleet_id

    def add_workflow(self, workflow_id: str, install: str, restart: str | None, *, at: float, seconds: float) -> None:
        """A workflow that has ended, whose install and restart were these tasks of its run."""
        record = self._store.get(install)
        assert record is not None
        good = StepState.SUCCESS if record.outcome is Outcome.ALL else StepState.PARTIAL
        steps = [
            Step(StepName.TEST_SSH, StepState.SUCCESS, "Connected", at, at + 2),
            Step(StepName.INSTALL, good, "", at + 2, at + seconds, install),
            Step(StepName.VERIFY, good, "", at + seconds, at + seconds, install),
            Step(StepName.RESTART, StepState.SUCCESS, "", at + seconds, at + seconds + 22, restart),
        ]
        workflow = Workflow(
            workflow_id,
            at,
            record.request,
            tuple(steps if restart else steps[:3]),
            state=WorkflowState.COMPLETED,
            finished_at=at + seconds + (22 if restart else 0),
        )
        WorkflowStore(self._engine).add(workflow)


class _Clock:
    """What the recorder takes for now."""

    def __init__(self, at: float) -> None:
        self.at = at

    def now(self) -> float:
        return self.at


def event_of(moment: Moment, number: int, task_id: str, wall: float) -> Event:
    """The moment as the runner would have written it."""
    assert moment.body is not None
    body = replace(moment.body, task_id=task_id) if isinstance(moment.body, RunStarted) else moment.body
    return Event(body, number, wall, BOOTED_SECONDS + moment.at)


def _request(scenario: Scenario, command: str, of: Mapping[str, str]) -> Request:
    shared: dict[str, Any] = {"ssh_connection": command, "address": parse_address(command)}
    shared["options"] = Options(**scenario.options)
    if scenario.kind == "rollback":
        return RollbackRequest(**shared, rollback_of=of["rollback_of"])
    if scenario.kind == "restart":
        return RestartRequest(**shared, restart_of=of.get("restart_of"))
    return InstallRequest(**shared, manifest=scenario.manifest(), retry_of=of.get("retry_of"))
