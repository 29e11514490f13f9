"""Processes that share a PostgreSQL, played by their parts in this one, each with connections of its own."""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest
from sqlalchemy import Engine

from app.domain.address import parse_address
from app.domain.record import InstallRecord
from app.domain.request import InstallRequest
from app.domain.stored_request import read_request, store_request
from app.protocol.event_body import Body
from app.protocol.states import TERMINAL_TASK_STATES
from app.remote.connector import SshConnector
from app.settings import Settings
from app.storage import DatabasePins, InstallStore, Leases, ProgressFiles, open_database
from app.storage.group_update import GroupUpdate
from app.storage.log_files import LogFiles
from app.sync.background_tasks import BackgroundTaskManager
from app.sync.installs.engine import Job, Records
from app.sync.installs.exclusive_queue import ExclusiveKey
from app.sync.installs.group_saver import GroupSaver
from app.sync.installs.job_runner import JobRunner
from app.sync.installs.lease_keeper import LeaseKeeper
from app.sync.installs.progress_writer import ProgressWriter
from app.sync.installs.recorder import Recorder
from app.sync.metrics import Metrics
from app.sync.shared.hearing import Hearing
from app.sync.shared.shared_progress import SharedProgress
from app.sync.shared.signals import SharedSignals
from test.support.waiting import wait_until


@dataclass
class Party:
    """One process: its connections, what it hears and says, and what it shows."""

    engine: Engine
    background: BackgroundTaskManager
    hearing: Hearing
    writer: ProgressWriter
    saver: GroupSaver
    jobs: JobRunner
    signals: SharedSignals

    @property
    def store(self) -> InstallStore:
        return InstallStore(self.engine)

    @property
    def progress(self) -> SharedProgress:
        return self.hearing.progress

    def listens(self) -> None:
        """Returns once it hears."""
        self.hearing.begin(Records(self.store.unfinished, self._unended, self._job_of))
        wait_until(lambda: self.hearing.is_live, 10, "it listens")

    def runs(self, task_id: str) -> Recorder:
        """This party takes an install up: its recorder, with the lease."""
        record = _record(self.store, task_id)
        recorder = Recorder(record, self.hearing.progress, self.saver, self.writer)
        lease = Leases(self.engine, str(id(self)), queued=True).claim(task_id, record.lease_token)
        assert lease is not None
        recorder.hold(lease.token)
        return recorder

    def job(self, task_id: str) -> Job:
        """As `runs`, with what is asked of the install."""
        recorder = self.runs(task_id)
        return Job(read_request(_record(self.store, task_id).request), ExclusiveKey.of(task_id, None), recorder)

    def _unended(self, task_id: str) -> InstallRecord | None:
        record = self.store.get(task_id)
        return None if record is None or record.state in TERMINAL_TASK_STATES else record

    def _job_of(self, record: InstallRecord) -> Job:
        recorder = Recorder(record, self.progress, self.saver, self.writer)
        return Job(read_request(record.request), ExclusiveKey.of(record.task_id, None), recorder)


def emit(recorder: Recorder, *bodies: Body) -> int:
    """The revision after these."""
    for body in bodies:
        recorder.emit(body)
    return recorder.snapshot.revision


def new_install(store: InstallStore, **fields: object) -> str:
    """An install that was accepted; its task_id."""
    task_id = str(uuid.uuid4())
    typed = "ssh root@host.example"
    request = InstallRequest(typed, parse_address(typed), manifest={"urls": ["https://github.com/owner/pack"]})
    record = InstallRecord(task_id, time.time(), store_request(request), f"root@{task_id}:22", **fields)  # type: ignore[arg-type]
    store.add(record)
    return task_id


def _record(store: InstallStore, task_id: str) -> InstallRecord:
    record = store.get(task_id)
    assert record is not None
    return record


Parties = Callable[[], Party]


@pytest.fixture
def parties(postgresql_url: str, tmp_path: Path) -> Iterator[Parties]:
    """Makes processes on one empty PostgreSQL; all are closed at the end, and no thread of theirs is left."""
    backgrounds: list[BackgroundTaskManager] = []
    with ExitStack() as opened:

        def make() -> Party:
            engine = open_database(postgresql_url)
            opened.callback(engine.dispose)
            background = BackgroundTaskManager()
            backgrounds.append(background)
            writer = ProgressWriter(ProgressFiles(tmp_path / uuid.uuid4().hex), background)
            hearing = Hearing(engine, background, memory_seconds=7200.0)
            jobs = _jobs(engine, background, tmp_path)
            jobs.while_held = hearing.runs(jobs.give_up)
            assert hearing._signals is not None
            saver = GroupSaver(GroupUpdate(engine), background)
            party = Party(engine, background, hearing, writer, saver, jobs, hearing._signals)
            opened.callback(lambda: _close(party))
            return party

        yield make
    wait_until(lambda: not any(map(has_threads, backgrounds)), 15, "threads are gone")


def has_threads(background: BackgroundTaskManager) -> bool:
    """Whether something that it has started runs."""
    return any(task["thread_alive"] for task in background.get_all_tasks().values())


def _jobs(engine: Engine, background: BackgroundTaskManager, folder: Path) -> JobRunner:
    closing, settings = threading.Event(), Settings(data_dir=folder)
    leases = Leases(engine, uuid.uuid4().hex, queued=True)
    return JobRunner(
        lease_keeper=LeaseKeeper(leases, background, closing, lambda: None),
        connector=SshConnector(DatabasePins(engine), settings.timeouts),
        settings=settings,
        logs=LogFiles(folder / "logs"),
        metrics=Metrics(),
        closing=closing,
    )


def _close(party: Party) -> None:
    party.hearing.close(3.0)
    party.saver.close(2.0)
    party.writer.close(2.0)
