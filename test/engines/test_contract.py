"""What an engine promises, on threads and SQLite, and on Procrastinate and PostgreSQL."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable

import pytest
from sqlalchemy import select

from app.protocol.states import TaskState
from app.storage.errors import StorageError
from app.storage.lease import Lease
from app.storage.schema import installs
from app.storage.transactions import reading
from test.engines.conftest import Played, install
from test.engines.process import Process
from test.support.waiting import wait_until

MakeProcess = Callable[..., Process]
MakeChild = Callable[[], "subprocess.Popen[str]"]
_HELPERS = 4
"""Threads that all installs of a process share, and that begin with the first one."""


def test_what_is_started_runs_and_ends(played: Played, process_of: MakeProcess) -> None:
    process = process_of()
    task_id = process.start(install())
    played.has("began", task_id)
    wait_until(lambda: process.engine.numbers == (1, 0), 5, "one runs")
    assert process.engine.knows(task_id)
    assert process.engine.unfinished == 1
    played.end(task_id)
    assert played.ended(process, task_id).state is TaskState.FAILED
    wait_until(lambda: process.engine.unfinished == 0, 5, "nothing is left")
    assert not process.engine.knows(task_id)


def test_one_at_a_time_runs_on_an_instance_in_their_order(played: Played, process_of: MakeProcess) -> None:
    """Those of other instances run beside them; who waits is told behind whom."""
    process = process_of()
    tasks = [process.start(install()) for _ in range(4)]
    other = process.start(install("root@127.0.0.1:2"))
    played.has("began", tasks[0], other)
    place = process.engine.place_of(tasks[2])
    assert place is not None
    assert (place.position, place.behind) == (2, tasks[0])
    for task_id in tasks:
        played.has("began", task_id)
        played.end(task_id)
    played.end(other)
    played.has("ended", *tasks)  # said when the record says so already
    order = [tuple(line[:2]) for line in played.lines() if line[1] != other]
    assert order == [(what, task_id) for task_id in tasks for what in ("began", "ending", "ended")]
    assert process.engine.place_of(tasks[0]) is None


def test_a_lease_that_the_database_kept_from_being_given_back_is_given_back_later(
    played: Played, process_of: MakeProcess, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """An install ends while another program has its row. (Found by `make prove-chaos`, a locked table.)"""
    process = process_of()
    task_id = process.start(install())
    played.has("began", task_id)

    def refuse(*_leases: Lease) -> None:
        raise StorageError("The database was busy for too long.")

    with monkeypatch.context() as refusing:
        refusing.setattr(process.keeper._leases, "release", refuse)
        played.end(task_id)
        wait_until(lambda: "leases that could not be given back yet: 1; The database was busy" in caplog.text, 10)
    wait_until(lambda: owner_of(process, task_id) is None, 10, "it is given back")


def owner_of(process: Process, task_id: str) -> str | None:
    """Who has the install's lease."""
    with reading(process.database) as connection:
        query = select(installs.c.lease_owner).where(installs.c.task_id == task_id)
        owner: str | None = connection.execute(query).scalar_one()
        return owner


def test_no_more_than_max_running_run_at_once(played: Played, process_of: MakeProcess) -> None:
    process = process_of(max_running=3)
    tasks = [process.start(install(f"root@127.0.0.1:{port}")) for port in range(1, 8)]
    played.has("began", *tasks[:3])
    assert process.engine.numbers == (3, 4)
    assert {line[1] for line in played.lines("began")} == set(tasks[:3])
    for number, task_id in enumerate(tasks):
        played.end(task_id)
        played.ended(process, task_id)
        played.has("began", *tasks[: number + 4])
    assert [line[1] for line in played.lines("began")][3:] == tasks[3:]
    played.is_kept_once()


def test_an_install_that_waits_has_no_thread(played: Played, process_of: MakeProcess) -> None:
    """Nor does it cost one later."""
    process = process_of(max_running=2)
    before = threading.active_count()
    tasks = [process.start(install(f"root@127.0.0.1:{port}")) for port in range(1, 51)]
    played.has("began", *tasks[:2])
    wait_until(lambda: process.engine.numbers == (2, 48), 5, "two run")
    own = {f"task-{task_id}" for task_id in tasks}
    assert own & {thread.name for thread in threading.enumerate()} == {f"task-{task_id}" for task_id in tasks[:2]}
    assert threading.active_count() <= before + 2 + _HELPERS


def test_a_cancel_ends_what_waits_at_once_and_what_runs(played: Played, process_of: MakeProcess) -> None:
    process = process_of()
    running, waiting, last = (process.start(install()) for _ in range(3))
    played.has("began", running)
    assert process.engine.cancel(waiting)
    assert played.ended(process, waiting, 3).state is TaskState.CANCELLED
    assert process.engine.cancel(running)
    assert played.ended(process, running, 3).state is TaskState.CANCELLED
    played.has("began", last)
    played.end(last)
    played.ended(process, last)
    assert not played.lines("began", waiting)
    wait_until(lambda: not process.engine.cancel(running), 5, "nobody has it any more")


def test_who_closes_lets_go_and_the_next_process_goes_on(played: Played, process_of: MakeProcess) -> None:
    """At once: what was let go of is nobody's."""
    first = process_of()
    running, waiting = (first.start(install()) for _ in range(2))
    played.has("began", running)
    began = time.monotonic()
    first.engine.close(5.0)
    assert time.monotonic() - began < 4
    assert first.store.get(running).state is TaskState.RUNNING  # type: ignore[union-attr]
    second = process_of()
    wait_until(lambda: len(played.lines("began", running)) == 2, 5, "the next one has it")
    played.end(running)
    played.has("began", waiting)
    played.end(waiting)
    played.ended(second, waiting)
    played.is_kept_once()


def test_a_killed_process_s_installs_are_gone_on_with_by_another(
    played: Played, process_of: MakeProcess, child_of: MakeChild
) -> None:
    """Before those that wait on the same instance; nothing is lost, nothing ends twice."""
    child = child_of()
    record, later = install(), install()
    process = None
    if played.url.startswith("postgresql"):
        process = process_of(works=False)
        tasks = [process.start(record), process.start(later)]
        played.has("began", tasks[0])
        child.kill()
    else:  # one process at a time: it finds them when it starts
        child.kill()
        process = process_of()
        tasks = [process.start(record), process.start(later)]
        played.has("began", tasks[0])
        process.engine.close(5.0)
    other = process_of()
    wait_until(lambda: len(played.lines("began", tasks[0])) == 2, 20, "another has it")
    assert not played.lines("began", tasks[1])
    played.end(*tasks)
    for task_id in tasks:
        played.ended(other, task_id)
    played.is_kept_once()


def test_a_process_that_was_frozen_changes_nothing_afterwards(
    played: Played, process_of: MakeProcess, child_of: MakeChild
) -> None:
    """Another has its install by then; neither the record, nor the queue, nor what is next on the instance moves."""
    if not played.url.startswith("postgresql"):
        return  # one process has SQLite to itself; that it writes nothing is held by test_lease_keeper
    watching = process_of(works=False)
    frozen = child_of()
    task_id, later = watching.start(install()), watching.start(install())
    played.has("began", task_id)
    os.kill(frozen.pid, signal.SIGSTOP)
    other = process_of()
    wait_until(lambda: len(played.lines("began", task_id)) == 2, 40, "another has it")  # it may hold its row's lock
    os.kill(frozen.pid, signal.SIGCONT)
    played.end(task_id)
    ended = played.ended(other, task_id)
    played.has("began", later)
    played.has("ended", task_id)
    quiet = time.monotonic() + 2.0  # until what the frozen one still had to say is said
    wait_until(lambda: time.monotonic() > quiet, 10)
    assert other.store.get(task_id) == ended
    assert len(played.lines("ended", task_id)) == 1
    assert len(played.lines("began", later)) == 1
    played.end(later)
    played.ended(other, later)
    played.is_kept_once()
