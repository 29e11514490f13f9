"""A process that dies is told of, and its installs go on, long before it would be missed by its heartbeats alone; one
that lives is never told of, whatever happens to the database or to itself."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress

import psycopg
import pytest

from app.domain.run_summary import summary_of
from app.standin.postgresql import PostgreSQL
from app.standin.processes import processes_below
from app.storage.presence import NAME
from app.sync.installs.recorder import snapshot_of
from test.engines.conftest import Played, install
from test.engines.process import PRESENT, Process
from test.support.waiting import wait_until

MakeProcess = Callable[..., Process]
MakeChild = Callable[..., "subprocess.Popen[str]"]

SETTLED = PRESENT.settled + 0.5
"""After so long whoever looks judges."""
MISSED = PRESENT.gone + 2.0
"""After so long a dead one would be known."""
_END = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = %s"


@pytest.fixture
def database(server: PostgreSQL) -> str:
    """Its address."""
    return server.url()


def passed(seconds: float) -> None:
    """Waits that long: for what must not happen meanwhile."""
    until = time.monotonic() + seconds
    wait_until(lambda: time.monotonic() >= until, seconds + 30)


def is_told(process: Process, task_id: str) -> bool:
    record = process.store.get(task_id)
    assert record is not None
    waiting = snapshot_of(record).waiting
    return waiting is not None and waiting.code == "worker_gone"


def stopped(number: int, pids: list[int]) -> None:
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, number)


def running(played: Played, web: Process, child_of: MakeChild, *words: str) -> tuple[subprocess.Popen[str], str]:
    """A real process with an install that it runs."""
    child = child_of("present", *words)
    task_id = web.start(install())
    played.has("began", task_id)
    return child, task_id


def test_a_killed_process_is_told_of_though_no_worker_is_left_and_the_next_one_goes_on(
    played: Played, process_of: MakeProcess, child_of: MakeChild
) -> None:
    web = process_of(works=False, pace=PRESENT)
    child, task_id = running(played, web, child_of)
    passed(SETTLED)
    child.kill()
    wait_until(lambda: is_told(web, task_id), MISSED, "it is told")
    record = web.store.get(task_id)
    assert record is not None
    assert record.state.value == "interrupted"
    assert summary_of(snapshot_of(record)).sentence == "Its process is gone; on the machine the install goes on"
    other = process_of(pace=PRESENT)
    wait_until(lambda: len(played.lines("began", task_id)) == 2, 3, "another has it")
    wait_until(lambda: not is_told(web, task_id), 3, "it is told no more")
    played.end(task_id)
    played.ended(other, task_id)
    played.is_kept_once()


def test_the_next_process_of_the_same_folder_goes_on_at_once(
    played: Played, process_of: MakeProcess, child_of: MakeChild
) -> None:
    web = process_of(works=False, pace=PRESENT)
    child, task_id = running(played, web, child_of, "the same")
    passed(SETTLED)  # it has said that it is there
    child.kill()
    began = time.monotonic()
    other = process_of(pace=PRESENT, owner="the same")
    wait_until(lambda: len(played.lines("began", task_id)) == 2, 3, "it goes on")
    assert time.monotonic() - began < PRESENT.gone + 1.0
    played.end(task_id)
    played.ended(other, task_id)
    played.is_kept_once()


def test_one_of_the_same_name_that_lives_keeps_what_it_has(
    played: Played, process_of: MakeProcess, child_of: MakeChild
) -> None:
    """Two hosts that were copied from one."""
    web = process_of(works=False, pace=PRESENT)
    _, task_id = running(played, web, child_of, "the same")
    process_of(pace=PRESENT, owner="the same")
    passed(SETTLED + 1.0)
    assert len(played.lines("began", task_id)) == 1
    assert not is_told(web, task_id)


def _is_cut(server: PostgreSQL, child: subprocess.Popen[str]) -> None:
    """Its session of presence alone, again and again."""
    for _ in range(4):
        with psycopg.connect(server.url().replace("+psycopg", ""), autocommit=True) as connection:
            connection.execute(_END, [NAME])
        passed(0.5)
    assert child.poll() is None


def _is_frozen(_server: PostgreSQL, child: subprocess.Popen[str]) -> None:
    child.send_signal(signal.SIGSTOP)
    passed(MISSED)
    child.send_signal(signal.SIGCONT)


def _database_is_paused(server: PostgreSQL, _child: subprocess.Popen[str]) -> None:
    pids = [process.pid for process in processes_below(server.folder)]
    stopped(signal.SIGSTOP, pids)
    passed(MISSED)
    stopped(signal.SIGCONT, pids)


def _database_is_killed(server: PostgreSQL, _child: subprocess.Popen[str]) -> None:
    server.kill()
    passed(MISSED)
    server.start()


@pytest.mark.parametrize("happens", [_is_cut, _is_frozen, _database_is_paused, _database_is_killed])
def test_one_that_lives_is_never_told_of(
    played: Played,
    server: PostgreSQL,
    process_of: MakeProcess,
    child_of: MakeChild,
    happens: Callable[[PostgreSQL, subprocess.Popen[str]], None],
) -> None:
    web = process_of(works=False, pace=PRESENT)
    child, task_id = running(played, web, child_of)
    passed(SETTLED)
    happens(server, child)
    passed(SETTLED + MISSED)
    assert not is_told(web, task_id)
    assert len(played.lines("began", task_id)) == 1
    played.end(task_id)
    played.ended(web, task_id)
    played.is_kept_once()
