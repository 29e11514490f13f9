"""A PostgreSQL that is killed while installs run: no worker ends, and nobody is taken for dead."""

from __future__ import annotations

import os
import shutil
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

import pytest
from sqlalchemy import text

from app.protocol.states import TERMINAL_TASK_STATES, TaskState
from app.standin.postgresql import USER, PostgreSQL
from app.storage.errors import StorageError
from app.storage.transactions import reading, writing
from app.sync.shared.queue_worker import Pace
from test.engines import process as process_module
from test.engines.conftest import Played, install
from test.engines.process import Process
from test.support.small_disk import small_disk_at
from test.support.waiting import wait_until

PACE = Pace(heartbeat=0.5, stalled=4.0, fetch=0.2, upkeep=0.2)
"""Workers find a database that is back within 3 s of each other."""


def passed(seconds: float) -> None:
    """Waits that long: for what must not happen meanwhile."""
    until = time.monotonic() + seconds
    wait_until(lambda: time.monotonic() >= until, seconds + 10)


def test_workers_outlive_a_database_that_is_away_for_longer_than_a_dead_one(server: PostgreSQL, tmp_path: Path) -> None:
    """What ran goes on where it ran, once; what was started before goes on waiting, and is begun afterwards."""
    played = Played(tmp_path, server.url())
    with (
        closing(Process(played.url, tmp_path, pace=PACE)) as one,
        closing(Process(played.url, tmp_path, pace=PACE)) as two,
    ):
        wait_until(lambda: one.engine.is_ready and two.engine.is_ready, 10)
        tasks = [one.start(install(f"root@127.0.0.1:{port}")) for port in range(1, 5)]
        later = one.start(install("root@127.0.0.1:1"))
        played.has("began", *tasks)
        server.kill()
        passed(1.5 * PACE.stalled)
        server.start()
        passed(1.5 * PACE.stalled)
        assert len(played.lines("began")) == 4
        played.end(*tasks)
        for task_id in tasks:
            assert played.ended(one, task_id).state is TaskState.FAILED
        played.has("began", later)
        played.end(later)
        played.ended(two, later)
        wait_until(lambda: one.engine.unfinished == 0, 10, "every job was finished")
        played.is_kept_once()
    wait_until(lambda: not [t for t in threading.enumerate() if t.name.startswith("task-")], 10, "no thread is left")


def test_a_worker_closes_in_time_while_its_database_is_away(server: PostgreSQL, tmp_path: Path) -> None:
    played = Played(tmp_path, server.url())
    process = Process(played.url, tmp_path)
    wait_until(lambda: process.engine.is_ready, 10)
    task_id = process.start(install())
    played.has("began", task_id)
    server.kill()
    began = time.monotonic()
    process.close()
    assert time.monotonic() - began < 9
    server.start()
    with closing(Process(played.url, tmp_path)) as other:
        wait_until(lambda: len(played.lines("began", task_id)) == 2, 20, "another has it")
        played.end(task_id)
        played.ended(other, task_id)
        played.is_kept_once()


def test_installs_go_on_while_the_database_cannot_be_written(server: PostgreSQL, tmp_path: Path) -> None:
    """As one that has become a standby: it answers, and refuses. Polls say what they know, nobody is taken for dead,
    and what ended meanwhile is kept once it can be."""
    played = Played(tmp_path, server.url())
    with (
        closing(Process(played.url, tmp_path, pace=PACE)) as one,
        closing(Process(played.url, tmp_path, pace=PACE)) as two,
    ):
        wait_until(lambda: one.engine.is_ready and two.engine.is_ready, 10)
        tasks = [one.start(install(f"root@127.0.0.1:{port}")) for port in range(1, 5)]
        later = one.start(install("root@127.0.0.1:1"))
        played.has("began", *tasks)
        server.sql("ALTER SYSTEM SET default_transaction_read_only = on", "SELECT pg_reload_conf()")
        wait_until(lambda: refusal(one) == "database_read_only", 10, "a start is refused")
        played.end(tasks[0])
        passed(1.5 * PACE.stalled)
        for process in (one, two):
            assert {process.state(task_id) for task_id in tasks[1:]} == {TaskState.RUNNING}
        assert TaskState.FAILED in {one.state(tasks[0]), two.state(tasks[0])}, "who runs it shows its end"
        server.sql("ALTER SYSTEM RESET default_transaction_read_only", "SELECT pg_reload_conf()")
        passed(1.5 * PACE.stalled)
        assert {len(played.lines("began", task_id)) for task_id in tasks} == {1}
        all_end(played, one, *tasks, later)


def test_installs_go_on_while_the_disk_of_the_database_is_full(server: PostgreSQL, tmp_path: Path) -> None:
    """Some of what is written still finds room in its tables, and some does not."""
    with small_database(server) as (url, disk):
        played = Played(tmp_path, url)
        with (
            closing(Process(url, tmp_path, pace=PACE)) as one,
            closing(Process(url, tmp_path, pace=PACE)) as two,
        ):
            wait_until(lambda: one.engine.is_ready and two.engine.is_ready, 10)
            tasks = [one.start(install(f"root@127.0.0.1:{port}")) for port in range(1, 5)]
            played.has("began", *tasks)
            fill(disk)
            wait_until(lambda: refusal(one) == "database_full", 30, "a start is refused")
            played.end(*tasks[:2])
            passed(1.5 * PACE.stalled)
            assert all(TaskState.FAILED in {one.state(each), two.state(each)} for each in tasks[:2])
            for process in (one, two):
                assert {process.state(task_id) for task_id in tasks[2:]} == {TaskState.RUNNING}
            (disk / "rest").unlink()
            passed(1.5 * PACE.stalled)
            assert {len(played.lines("began", task_id)) for task_id in tasks} == {1}
            all_end(played, two, *tasks)


def refusal(process: Process) -> str | None:
    """Why one more install is not taken; None where it is."""
    try:
        process.start(install("root@127.0.0.1:1"))
    except StorageError as exc:
        return exc.code
    return None


def all_end(played: Played, process: Process, *tasks: str) -> None:
    """Every run ends, every install does, once, and nothing is left in the queue. What was asked for and taken while
    the outage had not begun yet ends with them."""
    unended = [record.task_id for record in process.store.unfinished()]
    played.end(*tasks, *unended)
    for task_id in {*tasks, *unended}:
        assert played.ended(process, task_id, 30).state in TERMINAL_TASK_STATES
    wait_until(lambda: process.engine.unfinished == 0, 20, "every job was finished")
    played.is_kept_once()


@contextmanager
def small_database(server: PostgreSQL) -> Iterator[tuple[str, Path]]:
    """The address of a database on a disk of its own, with little room, and that disk."""
    place = server.folder / "small"
    place.mkdir()
    with small_disk_at(place, "size=40m") as disk:
        tables = disk / "tables"
        tables.mkdir()
        if os.geteuid() == 0:
            shutil.chown(tables, USER, USER)
            shutil.chown(disk, USER, USER)
        server.sql(f"CREATE TABLESPACE small LOCATION '{tables}'")
        server.sql("CREATE DATABASE small TEMPLATE template0 TABLESPACE small")
        yield server.url("small"), disk
        server.sql("DROP DATABASE small WITH (FORCE)", "DROP TABLESPACE small")


def fill(disk: Path) -> None:
    """Leaves no room there."""
    with suppress(OSError), (disk / "rest").open("wb", buffering=0) as file:
        while file.write(bytes(1 << 16)):
            pass


def test_an_install_that_ends_while_its_database_is_away_is_given_back_without_a_fault(
    server: PostgreSQL, tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The database is away for longer than its thread keeps the end."""
    monkeypatch.setattr(process_module, "_KEEP_SECONDS", 1.0)
    played = Played(tmp_path, server.url())
    with closing(Process(played.url, tmp_path, pace=PACE)) as one:
        wait_until(lambda: one.engine.is_ready, 10)
        task_id = one.start(install())
        played.has("began", task_id)
        server.kill()
        played.end(task_id)
        wait_until(lambda: "goes back into the queue" in caplog.text, 20)
        server.start()
        played.ended(one, task_id)
        wait_until(lambda: one.engine.unfinished == 0, 20, "every job was finished")
    assert not [record for record in caplog.records if record.exc_info]


def test_whoever_meets_an_install_that_has_ended_puts_its_things_away(server: PostgreSQL, tmp_path: Path) -> None:
    """Whoever ended it was killed before it could give the lease back."""
    played = Played(tmp_path, server.url())
    with closing(Process(played.url, tmp_path, works=False)) as web:
        task_id = web.start(install())
        with writing(web.database) as connection:
            connection.execute(text("UPDATE installs SET state = 'failed', lease_owner = 'gone', lease_token = 1"))
            connection.execute(
                text("INSERT INTO install_signals (task_id, kind, subject, value) VALUES (:id, 'cancel', '', '')"),
                {"id": task_id},
            )

        def left() -> list[int]:
            with reading(web.database) as connection:
                return [connection.execute(text(f"SELECT count(*) FROM {each}")).scalar_one() for each in _THINGS]

        assert left() == [1, 1]
        with closing(Process(played.url, tmp_path, pace=PACE)):
            wait_until(lambda: left() == [0, 0], 10)


_THINGS = ("installs WHERE lease_owner IS NOT NULL", "install_signals")
