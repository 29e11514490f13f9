"""The places of fleets with limits in the shared queue: counted from its rows, whoever has died meanwhile."""

from __future__ import annotations

import random
import threading
import uuid
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from sqlalchemy import Engine, text

from app.domain.fleet_places import Group, Limit
from app.domain.record import InstallRecord
from app.domain.request import FleetLimits
from app.protocol.states import TaskState
from app.storage import InstallStore
from app.storage.install_store import add_records
from app.storage.shared_queue import SharedQueueStore, lock_of
from app.storage.signals import Cancel, SignalStore
from app.storage.transactions import adding
from app.sync.installs.exclusive_queue import ANY_UI_HOME, ExclusiveKey, ExclusiveQueue
from test.storage.records import REQUEST, new_record

pytestmark = pytest.mark.postgresql

_FETCH = text("SELECT queueing_lock FROM procrastinate_fetch_job_v2(ARRAY['installs'], :worker)")
_WORKER = text("SELECT worker_id FROM procrastinate_register_worker_v1()")
_FINISH = text("DELETE FROM procrastinate_jobs WHERE queueing_lock = :task_id AND status = 'doing'")
_DOING = text("SELECT id FROM procrastinate_jobs WHERE queueing_lock = :task_id AND status = 'doing'")
_SILENT = text("UPDATE procrastinate_workers SET last_heartbeat = now() - interval '1 hour'")


def fleet(*instances: str, fleet_id: str | None = None, **limits: int) -> list[InstallRecord]:
    """Records of one fleet, in its order."""
    named = fleet_id or str(uuid.uuid4())
    return [new_record(instance=each, fleet_id=named, request={**REQUEST, "limits": limits}) for each in instances]


class Queue:
    """The queue, and one worker that begins whatever it is given."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.store = SharedQueueStore(engine)
        with engine.begin() as connection:
            self.worker = connection.execute(_WORKER).scalar_one()

    def add(self, records: Sequence[InstallRecord]) -> list[str]:
        with adding(self.engine) as connection:
            add_records(connection, records)
        return [record.task_id for record in records]

    def fetch(self) -> list[str]:
        """Everything that may be begun now, in the order in which it is."""
        begun = []
        with self.engine.begin() as connection:
            while (task_id := connection.execute(_FETCH, {"worker": self.worker}).scalar()) is not None:
                begun.append(task_id)
        return begun

    def finish(self, task_id: str) -> None:
        """Its worker has ended it, and was killed before it could give its place to another."""
        with self.engine.begin() as connection:
            assert connection.execute(_FINISH, {"task_id": task_id}).rowcount == 1

    def end(self, task_id: str) -> None:
        self.finish(task_id)
        self.store.admit()

    def job(self, task_id: str) -> int:
        with self.engine.connect() as connection:
            return int(connection.execute(_DOING, {"task_id": task_id}).scalar_one())

    def held_up(self) -> dict[str, tuple[int, Limit | None]]:
        return {task_id: (place.position, place.limit) for task_id, place in self.store.positions().items()}


@pytest.fixture
def queue(engine: Engine) -> Queue:
    return Queue(engine)


def test_those_that_have_a_place_are_begun_and_the_others_know_why_not(queue: Queue) -> None:
    tasks = queue.add(fleet("a@h:1", "a@h:2", "a@i:1", "a@i:2", at_once=3, per_host=1))
    assert queue.fetch() == [tasks[0], tasks[2]]
    assert queue.held_up() == {tasks[1]: (1, Limit.PER_HOST), tasks[3]: (2, Limit.PER_HOST)}
    assert queue.store.numbers() == (2, 2)
    queue.end(tasks[2])
    assert queue.fetch() == [tasks[3]]


def test_a_worker_that_is_killed_after_an_end_leaves_the_place_to_whoever_looks_next(queue: Queue) -> None:
    tasks = queue.add(fleet("a@h:1", "a@h:2", at_once=1))
    assert queue.fetch() == tasks[:1]
    queue.finish(tasks[0])
    assert queue.fetch() == []
    queue.store.admit()
    assert queue.fetch() == tasks[1:]


def test_what_is_given_back_or_left_by_a_dead_worker_keeps_its_place_and_has_one(queue: Queue) -> None:
    tasks = queue.add(fleet("a@h:1", "a@h:2", "a@h:3", at_once=2))
    assert queue.fetch() == tasks[:2]
    assert queue.store.put_back(queue.job(tasks[0]), after=0.0)
    queue.store.admit()
    assert queue.held_up() == {tasks[0]: (1, None), tasks[2]: (2, Limit.AT_ONCE)}
    assert queue.fetch() == tasks[:1]
    with queue.engine.begin() as connection:
        connection.execute(_SILENT)
    assert set(queue.store.put_back_stalled(30, judge=True)) == set(tasks[:2])
    queue.store.admit()
    queue.worker = Queue(queue.engine).worker
    assert set(queue.fetch()) == set(tasks[:2])
    queue.end(tasks[0])
    assert queue.fetch() == tasks[2:]


def test_a_cancel_takes_who_waits_out_of_the_queue(queue: Queue) -> None:
    """Also one that has a place and no worker: then another one has it."""
    signals, tasks = SignalStore(queue.engine), queue.add(fleet("a@h:1", "a@h:2", "a@h:3", "a@h:4", at_once=1))
    assert signals.cancel_held(tasks[1:3]) == set(tasks[1:3])
    assert signals.cancel_held(tasks[:1]) == set()
    assert [(each.task_id, each.kind.value) for each in signals.pending(tasks)] == [(t, "cancel") for t in tasks[1:3]]
    assert signals.cancel(tasks[0], unqueue=True) is Cancel.UNQUEUED
    queue.store.admit()
    assert queue.fetch() == tasks[3:]


def test_one_whose_cancel_was_left_half_done_is_in_the_queue_again(queue: Queue) -> None:
    signals, tasks = SignalStore(queue.engine), queue.add(fleet("a@h:1", "a@h:2", at_once=1))
    assert signals.cancel_held(tasks) == {tasks[1]}
    assert queue.store.put_back_stalled(30, judge=False) == [tasks[1]]
    queue.store.admit()
    assert queue.fetch() == tasks[:1]
    assert queue.held_up() == {tasks[1]: (1, Limit.AT_ONCE)}


def test_a_history_that_is_brought_here_brings_its_limits(queue: Queue) -> None:
    """What had begun goes on, and counts, wherever it stands in its fleet."""
    waiting, begun, last = fleet("a@h:1", "a@h:2", "a@h:3", at_once=1)
    queue.add([waiting, begun, last])
    with queue.engine.begin() as connection:
        connection.execute(text("DELETE FROM procrastinate_jobs"))
        connection.execute(
            text("UPDATE installs SET state = 'running' WHERE task_id = :task_id"), {"task_id": begun.task_id}
        )
    assert queue.store.put_back_stalled(30, judge=False) == [waiting.task_id, begun.task_id, last.task_id]
    queue.store.admit()
    assert queue.fetch() == [begun.task_id]
    queue.end(begun.task_id)
    assert queue.fetch() == [waiting.task_id]


def test_retries_of_a_fleet_share_its_places(queue: Queue) -> None:
    [first, other] = fleet("a@h:1", "a@h:2", at_once=1)
    again = fleet("a@h:3", fleet_id=first.fleet_id, at_once=1)
    queue.add([first, other])
    queue.add(again)
    InstallStore(queue.engine).add(fleet("a@h:4", at_once=1)[0])
    begun = queue.fetch()
    assert len(begun) == 2 and begun[0] == first.task_id and again[0].task_id not in begun


def test_a_fleet_that_has_ended_leaves_nothing(queue: Queue) -> None:
    tasks = queue.add(fleet(*(f"a@h:{port}" for port in range(1, 8)), at_once=2))
    for task_id in tasks:
        assert task_id in [*queue.fetch(), task_id]
        queue.end(task_id)
    assert queue.store.numbers() == (0, 0)
    assert queue.store.positions() == {}


def test_however_many_end_and_begin_at_once_no_more_run_than_may(queue: Queue) -> None:
    """Eight that fetch and finish, and add to the fleet, at the same time."""
    fleet_id, at_once = str(uuid.uuid4()), 5
    barrier, seen, lock = threading.Barrier(8), list[int](), threading.Lock()
    running: set[str] = set()

    def work(number: int) -> None:
        mine = Queue(queue.engine)
        barrier.wait(10)
        mine.add(fleet(*(f"a@h{number}:{port}" for port in range(1, 7)), fleet_id=fleet_id, at_once=at_once))
        idle = 0
        while idle < 20:
            begun = mine.fetch()
            idle = 0 if begun else idle + 1
            with lock:
                running.update(begun)
                seen.append(len(running))
            for task_id in begun:
                with lock:
                    running.discard(task_id)
                mine.end(task_id)

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(work, range(8)))
    assert max(seen) <= at_once
    assert queue.store.numbers() == (0, 0)


@pytest.mark.parametrize("seed", range(6))
def test_it_admits_whom_the_embedded_queue_admits(queue: Queue, seed: int) -> None:
    """The same installs, ends and cancels, in the same order: the same run, and the same wait for the same limit."""
    dice, embedded, signals = random.Random(seed), ExclusiveQueue(1000), SignalStore(queue.engine)
    groups = [Group(str(uuid.uuid4()), dice.choice([None, 1, 3]), dice.choice([None, 1, 2])) for _ in range(3)]
    running: set[str] = set()
    waiting: list[str] = []
    for _ in range(60):
        what = dice.random()
        if what < 0.5:
            group = dice.choice([None, *groups])
            instance = f"a@h{dice.randrange(4)}:{dice.randrange(1, 4)}"
            record = _of(group, instance)
            queue.add([record])
            embedded.add(record.task_id, ExclusiveKey(lock_of(instance), ANY_UI_HOME), group)
            waiting.append(record.task_id)
        elif what < 0.8 and running:
            ended = dice.choice(sorted(running, key=queue.job))
            queue.end(ended)
            embedded.done(ended)
            running.remove(ended)
        elif waiting:
            cancelled = dice.choice(waiting)
            if not signals.cancel_held([cancelled]):
                assert signals.cancel(cancelled, unqueue=True) is Cancel.UNQUEUED
            queue.store.admit()
            assert embedded.remove(cancelled)
            waiting.remove(cancelled)
        begun = queue.fetch()
        assert begun == embedded.admit()
        running.update(begun)
        waiting = [task_id for task_id in waiting if task_id not in running]
        there = {each.task_id: (each.position, each.limit) for each in embedded.waiting()}
        assert queue.held_up() == there


def _of(group: Group | None, instance: str) -> InstallRecord:
    if group is None:
        return new_record(instance=instance)
    limits = FleetLimits(group.at_once, group.per_host)
    values: dict[str, Any] = {"fleet_id": group.name, "request": {**REQUEST, "limits": limits.to_json()}}
    return new_record(instance=instance, state=TaskState.QUEUED, **values)
