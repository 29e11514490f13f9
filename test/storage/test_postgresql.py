"""PostgreSQL: a server that goes and comes back, processes that open it at once, and what its errors are called."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress

import psycopg
import pytest
from sqlalchemy import Engine, text

from app.standin.postgresql import PostgreSQL, programs
from app.storage import InstallStore, StorageError, open_database
from app.storage.postgresql import problem_of
from app.storage.shared_queue import SharedQueueStore
from app.storage.transactions import adding
from test.storage.records import new_record

pytestmark = pytest.mark.postgresql

OPENER = "import sys; from app.storage import open_database; open_database(sys.argv[1]).dispose()"


@pytest.fixture
def server() -> Iterator[PostgreSQL]:
    """One that a test may kill."""
    if programs() is None:
        pytest.skip("There is no PostgreSQL here; `make test-deps` installs Debian's.")
    with PostgreSQL(durable=False, max_connections=20) as started:
        yield started


def test_a_server_that_was_killed_and_came_back_is_used_again(server: PostgreSQL) -> None:
    """While it is away that is told with words; nothing has to be opened anew."""
    engine = open_database(server.url())
    store = InstallStore(engine)
    record = new_record()
    store.add(record)
    server.kill()
    with pytest.raises(StorageError) as caught:
        store.get(record.task_id)
    assert caught.value.code == "database_unavailable"
    assert "does not answer" in caught.value.message
    server.start()
    assert store.get(record.task_id) == record
    store.update(record.task_id, revision=2)
    engine.dispose()


def test_connections_that_were_ended_in_the_middle_are_told_and_made_anew(engine: Engine) -> None:
    store = InstallStore(engine)
    store.add(new_record())
    ended = text("SELECT pg_terminate_backend(pg_backend_pid())")
    with pytest.raises(StorageError) as caught, adding(engine) as connection:
        connection.execute(ended)
    assert (caught.value.code, "being restarted" in caught.value.message) == ("database_unavailable", True)
    assert len(store.list()) == 1


def test_a_server_without_room_for_connections_says_what_to_raise(server: PostgreSQL) -> None:
    with ExitStack() as opened:
        with suppress(psycopg.OperationalError):
            while True:
                opened.enter_context(psycopg.connect(server.url().replace("+psycopg", "")))
        with pytest.raises(StorageError) as caught:
            open_database(server.url())
    assert "takes no more connections" in caught.value.message
    assert "max_connections" in caught.value.hint


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (psycopg.errors.AdminShutdown(), "database_unavailable"),
        (psycopg.errors.QueryCanceled(), "database_locked"),
        (psycopg.errors.LockNotAvailable(), "database_locked"),
        (psycopg.errors.SerializationFailure(), "database_locked"),
        (psycopg.errors.DeadlockDetected(), "database_locked"),
        (psycopg.errors.DiskFull(), "database_full"),
        (psycopg.errors.ReadOnlySqlTransaction(), "database_read_only"),
        (psycopg.errors.InsufficientPrivilege(), "database_read_only"),
        (psycopg.OperationalError('FATAL:  password authentication failed for user "x"'), "database_unavailable"),
        (psycopg.errors.UniqueViolation(), None),
    ],
)
def test_an_error_of_the_server_has_a_code_of_ours(error: psycopg.Error, code: str | None) -> None:
    problem = problem_of(error)
    assert (problem.code if problem else None) == code


def test_what_cannot_be_reached_is_named_without_its_password() -> None:
    with pytest.raises(StorageError) as caught:
        open_database("postgresql://user:secret@127.0.0.1:1/name")
    assert "127.0.0.1:1/name does not answer" in caught.value.message
    assert "secret" not in str(caught.value)


def test_an_unknown_database_is_told_so(postgresql: PostgreSQL) -> None:
    with pytest.raises(StorageError) as caught:
        open_database(postgresql.url("no_such"))
    assert "There is no database" in caught.value.message


def test_processes_that_open_an_empty_database_at_once_all_get_it(empty_postgresql_url: str) -> None:
    opened = [
        subprocess.Popen([sys.executable, "-c", OPENER, empty_postgresql_url], stderr=subprocess.PIPE, text=True)
        for _ in range(4)
    ]
    assert [(each.communicate(timeout=60)[1], each.returncode) for each in opened] == [("", 0)] * 4


def test_numbers_and_jobs_are_in_one_order_however_many_add_at_once(engine: Engine) -> None:
    store, barrier = InstallStore(engine), threading.Barrier(8)

    def add(_: int) -> None:
        barrier.wait(10)
        for _again in range(4):
            store.add(new_record())

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(add, range(8)))
    records = store.unfinished()
    assert [record.number for record in records] == list(range(1, 33))
    with engine.connect() as connection:
        query = text("SELECT queueing_lock FROM procrastinate_jobs ORDER BY id")
        assert list(connection.execute(query).scalars()) == [record.task_id for record in records]


def test_a_record_and_its_job_are_there_together_or_not_at_all(engine: Engine) -> None:
    store, queue, record = InstallStore(engine), SharedQueueStore(engine), new_record()
    store.add(record)
    with pytest.raises(StorageError):
        store.add(new_record(created_at=float("nan"), snapshot={"percent": float("nan")}))
    assert queue.numbers() == (0, 1)
    assert len(store.list()) == 1


def test_installs_without_a_job_get_one(engine: Engine) -> None:
    """As a history has them that was brought here."""
    store, queue, record = InstallStore(engine), SharedQueueStore(engine), new_record()
    store.add(record)
    with engine.begin() as connection:
        connection.execute(text("DELETE FROM procrastinate_jobs"))
    assert queue.put_back_stalled(30, judge=False) == [record.task_id]
    assert queue.put_back_stalled(30, judge=False) == []
    assert queue.numbers() == (0, 1)
