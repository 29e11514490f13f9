"""What is forgotten when: records and progress files after `history_days`, and never what is still needed."""

from __future__ import annotations

import os
import time
import uuid
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import Engine

from app.domain.errors import TaskNotFound
from app.domain.record import InstallRecord
from app.domain.workflow import Workflow, WorkflowState
from app.protocol import progress_json
from app.protocol.snapshot import to_stored
from app.protocol.states import TaskState
from app.settings import Settings
from app.storage import InstallStore, ProgressFiles
from app.storage.fleet_store import Fleet, FleetStore
from app.storage.history import History
from app.storage.log_files import LogFiles
from app.storage.workflow_store import WorkflowStore
from app.sync.installs.progress_cache import ProgressCache
from app.sync.installs.retention import DAY, Pruned, Retention
from test.sync.conftest import Bench, BenchFactory

NOW = 1_800_000_000.0
REQUEST: dict[str, object] = {"ssh_connection": "root@h", "ui_home": None, "manifest": None, "options": {}}
WHOLE_REQUEST = REQUEST | {"venv_path": None, "idempotency_key": None}


def _add(engine: Engine, ended_days_ago: float | None, now: float = NOW, **request: object) -> str:
    """An install that ended so long ago, or has not; its task_id."""
    record = _record(ended_days_ago, now, **request)
    InstallStore(engine).add(record)
    return record.task_id


def _record(ended_days_ago: float | None, now: float, **request: object) -> InstallRecord:
    task_id = str(uuid.uuid4())
    at = None if ended_days_ago is None else now - ended_days_ago * DAY
    state = TaskState.RUNNING if at is None else TaskState.COMPLETED
    snapshot = to_stored(progress_json.initial(task_id, 1.0, auto_installer=False)) | {
        "state": state.value,
        "finished_at": at,
    }
    return InstallRecord(task_id, 1.0, REQUEST | request, "root@h:22", state=state, finished_at=at, snapshot=snapshot)


@pytest.fixture
def engine(bench: Bench) -> Engine:
    return bench.service.engine


@pytest.fixture
def files(tmp_path: Path) -> ProgressFiles:
    return ProgressFiles(tmp_path / "files")


@pytest.fixture
def logs(tmp_path: Path) -> LogFiles:
    return LogFiles(tmp_path / "logs")


@pytest.fixture
def retention(engine: Engine, files: ProgressFiles, logs: LogFiles) -> Retention:
    settings = Settings(history_days=90, log_days=30)
    return Retention(History(engine), files, ProgressCache(), settings, now=lambda: NOW, logs=logs)


def test_logs_go_before_their_records_do(retention: Retention, engine: Engine, logs: LogFiles) -> None:
    """After `log_days`, with their record, and where there is no record; never those of a run that goes on."""
    old, middle, young, running = (_add(engine, days) for days in (91, 31, 29, None))
    nobody = str(uuid.uuid4())
    for task_id in (old, middle, young, running, nobody):
        with logs.writing(task_id) as writer:
            writer.append("run.log", 0, b"x" * 100)
    done = retention.prune(90)
    assert (done.records, done.logs) == (1, 3)
    assert logs.tasks() == sorted((young, running))


def test_a_log_whose_rest_never_came_says_so_once(retention: Retention, engine: Engine, logs: LogFiles) -> None:
    """The service was killed before the last of it: nothing more comes, and what is here is not all. What is whole,
    and what goes on, is left as it is."""
    abort, whole, running = _add(engine, 5), _add(engine, 5), _add(engine, None)
    for task_id in (abort, whole, running):
        with logs.writing(task_id) as writer:
            writer.append("run.log", 0, b"a line\n")
            if task_id == whole:
                writer.all_came()
    for _ in range(2):
        retention.prune(90)
    told = {task_id: logs.read(task_id, "run.log", 0, 1000)[0] for task_id in (abort, whole, running)}
    assert told[whole] == told[running] == b"a line\n"
    assert told[abort].startswith(b"a line\n")
    assert told[abort].count(b"whole on the instance") == 1


def test_fleets_and_workflows_go_with_what_they_were_for(retention: Retention, engine: Engine) -> None:
    """A fleet as soon as none of its installs is left, a workflow that has ended by its age."""
    old = NOW - 91 * DAY
    fleets, workflows = FleetStore(engine), WorkflowStore(engine)
    kept = replace(_record(None, NOW), fleet_id="kept", fleet_position=0)
    fleets.add(Fleet("kept", old, None, [{}]), [kept], same_key_since=0.0)
    fleets.add(Fleet("gone", old, None, [{}]), [], same_key_since=0.0)
    fleets.add(Fleet("young", NOW, None, [{}]), [], same_key_since=0.0)
    done, blocked, fresh = (str(uuid.uuid4()) for _ in range(3))
    states = {done: (old, "completed"), blocked: (old, "blocked"), fresh: (NOW, "completed")}
    for workflow_id, (at, state) in states.items():
        workflows.add(Workflow(workflow_id, at, WHOLE_REQUEST, (), state=WorkflowState(state)))
    retention.prune(90)
    assert {fleet.fleet_id for fleet in fleets.newest(9)} == {"kept", "young"}
    assert {workflow.workflow_id for workflow in workflows.newest(9)} == {blocked, fresh}


def _left(engine: Engine) -> set[str]:
    return {record.task_id for record in InstallStore(engine).list(limit=100)}


def test_the_old_are_removed_with_their_files_and_the_young_stay(
    retention: Retention, engine: Engine, files: ProgressFiles, tmp_path: Path
) -> None:
    """Counted from the end of the install, however long ago it was started."""
    old, young, running = _add(engine, 91), _add(engine, 89), _add(engine, None)
    for task_id in (old, young, running):
        files.write(task_id, {"some": "progress"})
    done = retention.prune(90)
    assert (done.records, done.progress_files, done.kept) == (1, 1, 0)
    assert done.bytes > 500
    assert _left(engine) == {young, running}
    assert {path.stem for path in (tmp_path / "files").iterdir()} == {young, running}
    assert retention.prune(90) == Pruned(0, 0, 0, 0, 0)


def test_what_is_still_referred_to_stays_and_is_counted(retention: Retention, engine: Engine) -> None:
    """A rollback that stays needs its install; a retry what it repeats, and what that repeats."""
    install = _add(engine, 200)
    rollback = _add(engine, None, rollback_of=install)
    first = _add(engine, 150)
    second = _add(engine, 140, retry_of=first)
    third = _add(engine, 5, retry_of=second)
    alone = _add(engine, 150)
    undone = _add(engine, 130, rollback_of=alone)
    done = retention.prune(90)
    assert (done.records, done.kept) == (2, 3)
    assert _left(engine) == {install, rollback, first, second, third}
    assert not {alone, undone} & _left(engine)


def test_files_of_no_record_are_removed_once_they_are_old(
    retention: Retention, files: ProgressFiles, tmp_path: Path
) -> None:
    """They are left over from a database that was moved away."""
    old, young = str(uuid.uuid4()), str(uuid.uuid4())
    for task_id, days in ((old, 92), (young, 90.5)):
        files.write(task_id, {})
        os.utime(tmp_path / "files" / f"{task_id}.json", (NOW - days * DAY,) * 2)
    assert retention.prune(90).progress_files == 1
    assert [path.stem for path in (tmp_path / "files").iterdir()] == [young]


def test_a_task_that_was_forgotten_is_not_found_any_more(bench: Bench, engine: Engine) -> None:
    """Memory forgets it too."""
    task_id = _add(engine, 3, now=time.time())
    assert bench.installs.progress(task_id)["state"] == "completed"
    assert bench.service.retention.prune(2).records == 1
    with pytest.raises(TaskNotFound):
        bench.installs.progress(task_id)


@pytest.mark.parametrize(("days", "left"), [(90.0, 1), (0.0, 2)])
def test_the_service_prunes_by_itself(
    bench_factory: BenchFactory, monkeypatch: pytest.MonkeyPatch, days: float, left: int
) -> None:
    """Soon after its start and then once an hour, as long as `history_days` is not 0."""
    bench = bench_factory(history_days=days)
    engine = bench.service.engine
    _add(engine, 100, now=time.time())
    _add(engine, 1, now=time.time())
    bench.service.retention.prune_if_due()
    assert len(_left(engine)) == left
    _add(engine, 100, now=time.time())
    bench.service.retention.prune_if_due()
    assert len(_left(engine)) == left + 1  # not due yet
