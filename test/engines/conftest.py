"""Services of one or more processes on each database."""

from __future__ import annotations

import signal
import subprocess
import sys
import uuid
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from app.domain.record import InstallRecord
from app.protocol.states import TERMINAL_TASK_STATES, TaskState
from app.standin.postgresql import PostgreSQL, programs
from test.engines.process import Process
from test.storage.records import REQUEST, new_record
from test.support.database import put_database
from test.support.waiting import wait_until


@dataclass
class Played:
    """The played instances, and what the database says."""

    folder: Path
    url: str

    def lines(self, what: str | None = None, task_id: str | None = None) -> list[list[str]]:
        """Of the log, in order: what happened, the task, the process, the token."""
        log = self.folder / "log"
        lines = [line.split() for line in log.read_text("utf-8").splitlines()] if log.exists() else []
        return [line for line in lines if what in (None, line[0]) and task_id in (None, line[1])]

    def has(self, what: str, *task_ids: str, timeout: float = 20.0) -> None:
        """Waits until this is in the log of each."""
        wait_until(lambda: all(self.lines(what, each) for each in task_ids), timeout, f"{what}: {task_ids}")

    def end(self, *task_ids: str) -> None:
        """The runs on the instances end."""
        for task_id in task_ids:
            (self.folder / task_id).touch()

    def ended(self, process: Process, task_id: str, timeout: float = 20.0) -> InstallRecord:
        """The record, once it says so."""

        def record() -> InstallRecord:
            found = process.store.get(task_id)
            assert found is not None
            return found

        wait_until(lambda: record().state in TERMINAL_TASK_STATES, timeout, f"{task_id} has ended")
        return record()

    def most_at_once(self, *task_ids: str) -> int:
        """How many of these have run at the same time at most, each counted once however often it was gone on with."""
        running: set[str] = set()
        most = 0
        for line in (self.folder / "log").read_text("utf-8").splitlines():
            what, task_id = line.split()[:2]
            if task_id in task_ids:
                running = running | {task_id} if what == "began" else running - {task_id}
                most = max(most, len(running))
        return most

    def is_kept_once(self) -> None:
        """No task has ended twice, and each new begin has a higher token than the one before."""
        assert not [task for task, times in Counter(line[1] for line in self.lines("ended")).items() if times > 1]
        for task_id in {line[1] for line in self.lines("began")}:
            tokens = [int(line[3]) for line in self.lines("began", task_id)]
            assert tokens == sorted(set(tokens))


@pytest.fixture
def server() -> Iterator[PostgreSQL]:
    """A PostgreSQL of the test's own, which it may kill."""
    if programs() is None:
        pytest.skip("There is no PostgreSQL here; `make test-deps` installs Debian's.")
    with PostgreSQL(durable=False) as started:
        yield started


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Its address."""
    if request.param == "postgresql":
        url: str = request.getfixturevalue("postgresql_url")
        return url
    put_database(tmp_path)
    return f"sqlite:///{tmp_path / 'nodeferry.db'}"


@pytest.fixture
def played(database: str, tmp_path: Path) -> Played:
    folder = tmp_path / "instances"
    folder.mkdir()
    return Played(folder, database)


@pytest.fixture
def process_of(played: Played) -> Iterator[Callable[..., Process]]:
    """Makes processes of the service, in this one."""
    with ExitStack() as opened:

        def make(**options: object) -> Process:
            process = Process(played.url, played.folder, **options)  # type: ignore[arg-type]
            opened.callback(process.close)
            wait_until(lambda: process.engine.is_ready, 20, "it works")
            return process

        yield make


@pytest.fixture
def child_of(played: Played) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Makes real processes of the service. `words`: as of test.engines.process."""
    children: list[subprocess.Popen[str]] = []

    def make(*words: str) -> subprocess.Popen[str]:
        argv = [sys.executable, "-m", "test.engines.process", played.url, str(played.folder), *words]
        child = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        children.append(child)
        assert child.stdout is not None
        assert child.stdout.readline() == "ready\n"
        return child

    yield make
    for child in children:
        if child.poll() is None:
            child.send_signal(signal.SIGCONT)
            child.kill()
        child.communicate()


def install(instance: str = "root@127.0.0.1:1", **changed: object) -> InstallRecord:
    """A new one on this instance."""
    return new_record(instance=instance, ui_home="/ComfyUI", state=TaskState.QUEUED, **changed)


def fleet(instances: Sequence[str], **limits: int) -> list[InstallRecord]:
    """Installs of a fleet with these limits."""
    of_all: dict[str, Any] = {"fleet_id": str(uuid.uuid4()), "request": {**REQUEST, "limits": limits}}
    return [install(each, **of_all, fleet_position=position) for position, each in enumerate(instances)]
