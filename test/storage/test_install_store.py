"""The records of installs: stored as they are, changed in one commit, listed page by page, found again by key."""

from __future__ import annotations

import sqlite3
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import Engine

from app.domain.errors import InvalidRequest, TaskConflict, TaskNotFound
from app.protocol.states import Outcome, TaskState
from app.storage import InstallStore, StorageError, open_database
from app.storage.transactions import writing
from test.storage.records import new_record

UNKNOWN = "00000000-0000-4000-8000-000000000000"


def test_it_works(store: InstallStore) -> None:
    record = new_record()
    assert store.add(record) is record
    store.update(record.task_id, state=TaskState.RUNNING, revision=1)
    assert store.get(record.task_id) == replace(record, state=TaskState.RUNNING, revision=1)


def test_every_field_comes_back_as_it_was(store: InstallStore) -> None:
    record = new_record(
        request={"nested": [1, 2.5, None, True, {"ключ": "värde 🚀 \ud800"}]},
        ui_home='/home/it\'s "$(here)"',
        idempotency_key="k",
        state=TaskState.COMPLETED,
        outcome=Outcome.PARTIAL,
        started_at=1234567890.123456,
        finished_at=1234567899.5,
        total=34,
        successful=31,
        failed=2,
        skipped=1,
        error={"code": "runner_lost", "message": "…", "hint": ""},
        revision=118,
        journal_offset=2**40,
        journal_seq=2**33,
        snapshot={"nodes": []},
    )
    store.add(record)
    found = store.get(record.task_id)
    assert found == record
    assert found is not None
    assert (type(found.state), type(found.outcome)) == (TaskState, Outcome)


def test_an_unknown_install_is_none(store: InstallStore) -> None:
    assert store.get(UNKNOWN) is None


def test_a_task_id_is_stored_once(store: InstallStore) -> None:
    record = new_record()
    store.add(record)
    with pytest.raises(TaskConflict):
        store.add(replace(record, instance="another"))
    assert store.get(record.task_id) == record


def test_a_state_as_its_word_is_the_same_state(store: InstallStore) -> None:
    record = new_record()
    store.add(record)
    store.update(record.task_id, state="cancelled", outcome="none")
    found = store.get(record.task_id)
    assert found is not None
    assert (found.state, found.outcome) == (TaskState.CANCELLED, Outcome.NONE)


def test_a_column_can_be_emptied_again(store: InstallStore) -> None:
    record = new_record(error={"code": "x"}, snapshot={"a": 1}, outcome=Outcome.ALL)
    store.add(record)
    store.update(record.task_id, error=None, snapshot=None, outcome=None)
    assert store.get(record.task_id) == replace(record, error=None, snapshot=None, outcome=None)


@pytest.mark.parametrize("column", ["nonsense", "created_at", "of_task", "state; DROP TABLE installs"])
def test_a_column_that_cannot_be_changed_is_refused(store: InstallStore, column: str) -> None:
    record = new_record()
    store.add(record)
    with pytest.raises(ValueError, match=column):
        store.update(record.task_id, token=None, **{"revision": 5, column: "x"})
    assert store.get(record.task_id) == record


def test_changing_an_unknown_install_is_an_error(store: InstallStore) -> None:
    with pytest.raises(TaskNotFound):
        store.update(UNKNOWN, revision=1)


def test_a_change_is_whole_or_not_at_all(store: InstallStore) -> None:
    record = new_record()
    store.add(record)
    store.update(record.task_id, revision=7, snapshot={"phase": "connect"})
    with pytest.raises(StorageError):
        store.update(record.task_id, snapshot={"phase": "clone"}, revision=None)
    assert store.get(record.task_id) == replace(record, revision=7, snapshot={"phase": "connect"})


# --- listing ----------------------------------------------------------------------------------------------------------


def test_pages_hold_every_install_once_newest_first(store: InstallStore) -> None:
    """Also when many were created in the same moment, when the clock goes back, and when new ones come in between."""
    records = [new_record(created_at=1000.1 - number // 4) for number in range(23)]
    for record in records:
        store.add(record)
    seen = store.list(limit=5)
    while page := store.list(limit=5, before=store.cursor_of(seen[-1])):
        store.add(new_record(created_at=5000.0))
        seen += page
    assert seen == records[::-1]


def test_a_list_leaves_the_snapshots_where_they_are(store: InstallStore) -> None:
    record = new_record(snapshot={"nodes": ["x" * 30_000]}, revision=7)
    store.add(record)
    assert store.list() == [replace(record, snapshot=None)]
    assert store.get(record.task_id) == record


def test_a_list_can_be_of_one_state_or_one_instance(store: InstallStore) -> None:
    a = new_record(instance="root@a:22", created_at=1.0)
    b = new_record(instance="root@b:22", created_at=2.0, state=TaskState.RUNNING)
    c = new_record(instance="root@a:22", created_at=3.0, state=TaskState.RUNNING)
    for record in (a, b, c):
        store.add(record)
    assert store.list() == [c, b, a]
    assert store.list(state="running") == [c, b]
    assert store.list(instance="root@a:22") == [c, a]
    assert store.list(state=TaskState.QUEUED, instance="root@a:22") == [a]
    assert store.list(state="running", before=store.cursor_of(store.list()[0])) == [b]
    assert store.list(state="no such state") == []


@pytest.mark.parametrize("cursor", ["", "x", "%%%", "_", "1", "1_", "_a", "-1_a", "ключ_a", "²_a", "1" * 40 + "_a"])
def test_a_cursor_that_no_list_gave_is_refused(store: InstallStore, cursor: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        store.list(before=cursor)
    assert caught.value.field == "cursor"


def test_the_unfinished_come_in_the_order_in_which_they_were_accepted(store: InstallStore) -> None:
    """Every state that is not terminal counts as unfinished; a clock that goes back changes no order."""
    records = [new_record(created_at=100.0 - n, state=state) for n, state in enumerate(TaskState)]
    for record in records:
        store.add(record)
    ended = (TaskState.COMPLETED, TaskState.FAILED, TaskState.CANCELLED)
    assert store.unfinished() == [r for r in records if r.state not in ended]


# --- the same start twice ---------------------------------------------------------------------------------------------


def test_a_key_is_found_within_its_time(store: InstallStore) -> None:
    old, new = (new_record(idempotency_key="k", created_at=moment) for moment in (100.0, 200.0))
    store.add(old)
    store.add(new)
    store.add(new_record(idempotency_key=None))
    again, another = new_record(idempotency_key="k"), new_record(idempotency_key="another")
    assert store.add(again, same_key_since=50.0) == new
    assert store.add(again, same_key_since=199.9) == new
    assert store.add(again, same_key_since=200.0) == again
    assert store.add(another, same_key_since=0) == another


def test_the_same_key_at_once_is_stored_once(store: InstallStore) -> None:
    """Sixteen starts with one key at the same time are one install, and each of them is told which."""
    barrier = threading.Barrier(16)

    def start(_: int) -> str:
        record = new_record(idempotency_key="once")
        barrier.wait(10)
        return store.add(record, same_key_since=record.created_at - 86_400).task_id

    with ThreadPoolExecutor(16) as threads:
        told = set(threads.map(start, range(16)))
    assert len(told) == 1
    assert [r.task_id for r in store.list()] == list(told)


def test_without_a_key_every_start_is_its_own(store: InstallStore) -> None:
    for _ in range(2):
        store.add(new_record(), same_key_since=0.0)
    assert len(store.list()) == 2


# --- many at once, and a disk that refuses ----------------------------------------------------------------------------


def test_sixteen_threads_write_at_once(store: InstallStore) -> None:
    """Nobody is told that the database is busy, and nothing is lost."""
    barrier = threading.Barrier(16)

    def work(number: int) -> str:
        record = new_record(instance=f"thread {number}")
        barrier.wait(10)
        store.add(record)
        for revision in range(1, 21):
            store.update(record.task_id, revision=revision)
        store.update(record.task_id, state=TaskState.COMPLETED)
        return record.task_id

    with ThreadPoolExecutor(16) as threads:
        task_ids = list(threads.map(work, range(16)))
    assert {r.task_id for r in store.list(state="completed", limit=100) if r.revision == 20} == set(task_ids)


def test_a_write_is_seen_by_every_thread_at_once(store: InstallStore) -> None:
    record = new_record()
    store.add(record)
    with ThreadPoolExecutor(1) as thread:
        for revision in range(50):
            store.update(record.task_id, revision=revision)
            found = thread.submit(store.get, record.task_id).result(10)
            assert found is not None
            assert found.revision == revision


@pytest.mark.sqlite
def test_a_full_disk_is_told_and_costs_nothing_that_was_stored(store: InstallStore, engine: Engine) -> None:
    kept = new_record()
    store.add(kept)
    with writing(engine) as connection:
        connection.exec_driver_sql("PRAGMA max_page_count = 1")  # the size that it has now
    with pytest.raises(StorageError) as caught:
        store.add(new_record(request={"manifest": "x" * 1_000_000}))
    assert caught.value.code == "database_full"
    assert store.list() == [kept]
    with writing(engine) as connection:
        connection.exec_driver_sql("PRAGMA max_page_count = 1000000")
    store.add(new_record())


@pytest.mark.sqlite
def test_a_database_that_turned_read_only_is_told(engine: Engine) -> None:
    """By SQLite's own refusal, since a file's mode stops nobody who runs the tests as root."""
    with writing(engine) as connection:
        connection.exec_driver_sql("PRAGMA query_only = ON")
    with pytest.raises(StorageError) as caught:
        InstallStore(engine).add(new_record())
    assert caught.value.code == "database_read_only"


def test_a_lock_of_another_program_is_told_and_over_when_it_ends(database_file: Path, database_url: str) -> None:
    engine = open_database(database_url, busy_timeout=0.05)
    store, record = InstallStore(engine), new_record()
    with closing(sqlite3.connect(database_file, isolation_level=None)) as raw:
        raw.execute("BEGIN IMMEDIATE")
        with pytest.raises(StorageError) as caught:
            store.add(record)
        assert caught.value.code == "database_locked"
        assert store.get(record.task_id) is None
    store.add(record)
    assert store.get(record.task_id) == record
    engine.dispose()


def test_numbers_that_are_not_json_are_refused(store: InstallStore) -> None:
    record = new_record()
    store.add(record)
    with pytest.raises(StorageError):
        store.update(record.task_id, snapshot={"percent": float("nan")})
    assert store.get(record.task_id) == record
