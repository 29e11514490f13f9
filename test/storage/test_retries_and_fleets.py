"""Retries and fleets in the database: tied in one transaction, all or nothing."""

from __future__ import annotations

from dataclasses import replace

import pytest
from sqlalchemy import Engine

from app.domain.errors import TaskConflict
from app.domain.record import InstallRecord
from app.protocol.states import TaskState
from app.storage.fleet_store import Fleet, FleetExists, FleetStore
from app.storage.install_store import InstallStore
from app.storage.retry_store import RetryStore
from test.storage.records import new_record


def _ended(engine: Engine, **fields: object) -> InstallRecord:
    record = replace(new_record(), state=TaskState.FAILED, **fields)  # type: ignore[arg-type]
    return InstallStore(engine).add(record)


def test_a_retry_and_what_it_repeats_name_each_other(engine: Engine) -> None:
    """In one transaction: there is no moment at which one is there without the other."""
    first, second = _ended(engine, auto_retry_open=True), new_record()
    assert RetryStore(engine).add(second, first.task_id, replacing=None)
    known = InstallStore(engine).get(first.task_id)
    assert known is not None
    assert (known.retried_by, known.auto_retry_open) == (second.task_id, False)
    assert InstallStore(engine).get(second.task_id) is not None


def test_of_two_that_retry_at_once_one_does(engine: Engine) -> None:
    """The other stores nothing."""
    first, second, third = _ended(engine), new_record(), new_record()
    store = RetryStore(engine)
    assert store.add(second, first.task_id, replacing=None)
    assert not store.add(third, first.task_id, replacing=None)
    assert InstallStore(engine).get(third.task_id) is None
    assert store.add(third, first.task_id, replacing=second.task_id)


def test_an_automatic_retry_happens_once_and_only_while_it_is_open(engine: Engine) -> None:
    store = RetryStore(engine)
    open_one, closed = _ended(engine, auto_retry_open=True), _ended(engine)
    assert store.open() == [open_one.task_id]
    assert not store.add_automatic(new_record(), closed.task_id)
    assert store.add_automatic(new_record(), open_one.task_id)
    assert not store.add_automatic(new_record(), open_one.task_id)
    assert store.open() == []


def test_what_has_not_ended_is_not_retried(engine: Engine) -> None:
    running = InstallStore(engine).add(replace(new_record(), state=TaskState.RUNNING, auto_retry_open=True))
    assert RetryStore(engine).open() == []
    assert not RetryStore(engine).add_automatic(new_record(), running.task_id)


def test_a_fleet_is_stored_with_all_of_its_installs_or_not_at_all(engine: Engine) -> None:
    """One record that cannot be stored takes everything back."""
    taken = InstallStore(engine).add(new_record())
    store = FleetStore(engine)
    records = [replace(new_record(), fleet_id="f", fleet_position=n) for n in range(2)]
    with pytest.raises(TaskConflict):
        store.add(Fleet("f", 5.0, "k", [{}, {}]), [*records, taken], same_key_since=0.0)
    assert store.get("f") is None
    assert InstallStore(engine).get(records[0].task_id) is None
    store.add(Fleet("f", 5.0, "k", [{}, {}]), records, same_key_since=0.0)
    assert [task.task_id for task in store.tasks(["f"])] == [record.task_id for record in records]
    with pytest.raises(FleetExists):
        store.add(Fleet("g", 6.0, "k", [{}]), [new_record()], same_key_since=0.0)


def test_a_fleet_whose_installs_are_forgotten_is_forgotten_with_the_next(engine: Engine) -> None:
    store = FleetStore(engine)
    store.add(Fleet("old", 5.0, None, []), [], same_key_since=0.0)
    store.add(
        Fleet("new", 10.0, None, [{}]), [replace(new_record(), fleet_id="new", fleet_position=0)], same_key_since=7
    )
    assert [fleet.fleet_id for fleet in store.newest(10)] == ["new"]
