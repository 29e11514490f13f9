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

from app.domain.record import InstallRecord
from app.protocol.event_body import Body
from app.storage import InstallStore, Leases, ProgressFiles, open_database
from app.sync.background_tasks import BackgroundTaskManager
from app.sync.installs.progress_writer import ProgressWriter
from app.sync.installs.recorder import Recorder
from app.sync.shared.hearing import Hearing
from app.sync.shared.shared_progress import SharedProgress
from test.support.waiting import wait_until


@dataclass
class Party:
    """One process: its connections, what it hears and says, and what it shows."""

    engine: Engine
    background: BackgroundTaskManager
    hearing: Hearing
    writer: ProgressWriter

    @property
    def store(self) -> InstallStore:
        return InstallStore(self.engine)

    @property
    def progress(self) -> SharedProgress:
        return self.hearing.progress

    def listens(self) -> None:
        """Returns once it hears."""
        self.hearing.begin()
        wait_until(lambda: self.hearing.is_live, 10, "it listens")

    def runs(self, task_id: str) -> Recorder:
        """This party takes an install up: its recorder, with the lease."""
        record = self.store.get(task_id)
        assert record is not None
        recorder = Recorder(record, self.hearing.progress, self.store, self.writer)
        lease = Leases(self.engine, str(id(self)), queued=True).claim(task_id, record.lease_token)
        assert lease is not None
        recorder.hold(lease.token)
        return recorder


def emit(recorder: Recorder, *bodies: Body) -> int:
    """The revision after these."""
    for body in bodies:
        recorder.emit(body)
    return recorder.snapshot.revision


def new_install(store: InstallStore, **fields: object) -> str:
    """An install that was accepted; its task_id."""
    task_id = str(uuid.uuid4())
    request = {"ssh_connection": "ssh root@host.example", "manifest": {"urls": ["https://github.com/owner/pack"]}}
    store.add(InstallRecord(task_id, time.time(), request, f"root@{task_id}:22", **fields))  # type: ignore[arg-type]
    return task_id


Parties = Callable[[], Party]


@pytest.fixture
def parties(postgresql_url: str, tmp_path: Path) -> Iterator[Parties]:
    """Makes processes on one empty PostgreSQL; all are closed at the end, and no thread of theirs is left."""
    with ExitStack() as opened:

        def make() -> Party:
            engine = open_database(postgresql_url)
            opened.callback(engine.dispose)
            background = BackgroundTaskManager()
            writer = ProgressWriter(ProgressFiles(tmp_path / uuid.uuid4().hex), background)
            party = Party(engine, background, Hearing(engine, background, memory_seconds=7200.0), writer)
            opened.callback(lambda: _close(party))
            return party

        yield make
    wait_until(lambda: not [t for t in threading.enumerate() if t.name.startswith("task-")], 15, "threads are gone")


def _close(party: Party) -> None:
    party.hearing.close(3.0)
    party.writer.close(2.0)
