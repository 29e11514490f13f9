"""What a person asks of an install in one process, and another one runs."""

from __future__ import annotations

import threading
import time
from functools import partial

import pytest
from sqlalchemy import text

from app.protocol.events import Connecting, GivenUp, Uploaded
from app.protocol.states import TaskState
from app.standin.postgresql import PostgreSQL
from app.storage.listening import NAME
from app.storage.signals import Kind, SignalStore
from app.sync.installs.engine import Job
from test.shared.conftest import Parties, Party, emit, new_install
from test.support.waiting import wait_until

_KILL = text("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = :name")


def _asked(party: Party, task_id: str) -> list[tuple[str, str, str]]:
    return [(each.kind.value, each.subject, each.value) for each in party.hearing.store.pending([task_id])]


def _queued(party: Party, task_id: str) -> int:
    query = text("SELECT count(*) FROM procrastinate_jobs WHERE queueing_lock = :task_id AND status = 'todo'")
    with party.engine.connect() as connection:
        return int(connection.execute(query, {"task_id": task_id}).scalar_one())


def _taken_up(party: Party, task_id: str) -> Job:
    """As a worker has it: its job is out of the queue, and its instance was told to begin."""
    with party.engine.begin() as connection:
        connection.execute(
            text("UPDATE procrastinate_jobs SET status = 'doing' WHERE queueing_lock = :t"), {"t": task_id}
        )
    job = party.job(task_id)
    emit(job.recorder, Connecting(1), Uploaded())
    return job


def _has_skip(job: Job, package: str) -> bool:
    return package in job.skips.drain()


def test_it_works(parties: Parties) -> None:
    """All four get there, each well within two seconds."""
    works, web = parties(), parties()
    task_id = new_install(works.store)
    works.listens()
    web.listens()
    job = _taken_up(works, task_id)
    with works.signals.holding(job):
        began = time.monotonic()
        assert web.signals.skip(task_id, "torch-scatter")
        wait_until(lambda: "torch-scatter" in job.skips.drain(), 2)
        assert web.signals.answer(task_id, "q", "yes") == "yes"
        wait_until(lambda: job.answers.known() == {"q": "yes"}, 2)
        resting = threading.Thread(target=job.cancel.pause, args=[30.0, threading.Event()])
        resting.start()

        def is_woken() -> bool:
            web.signals.wake(task_id)
            resting.join(0.2)
            return not resting.is_alive()

        wait_until(is_woken, 5)
        assert web.signals.cancel(task_id)
        assert job.cancel.wait(2)
        assert time.monotonic() - began < 6
        emit(job.recorder, GivenUp(TaskState.CANCELLED))
    assert _asked(works, task_id) == []


@pytest.mark.quiet
def test_a_cancel_is_there_within_two_seconds(parties: Parties) -> None:
    """Of fifty installs at once, each."""
    works, web = parties(), parties()
    works.listens()
    web.listens()
    jobs = [_taken_up(works, new_install(works.store)) for _ in range(50)]
    held = [works.signals.holding(job) for job in jobs]
    for each in held:
        each.__enter__()
    delays = []
    for job in jobs:
        began = time.monotonic()
        assert web.signals.cancel(job.task_id)
        assert job.cancel.wait(2)
        delays.append(time.monotonic() - began)
    assert max(delays) < 2.0
    for each in held:
        each.__exit__(None, None, None)


def test_the_first_answer_holds_whoever_gives_it(parties: Parties) -> None:
    """Asked at once of several processes, all are given the same."""
    works, *webs = parties(), parties(), parties(), parties()
    task_id = new_install(works.store)
    for web in webs:
        web.listens()
    held: list[str | None] = []
    begin = threading.Barrier(len(webs))

    def answer(web: Party, word: str) -> None:
        begin.wait()
        held.append(web.signals.answer(task_id, "q", word))

    threads = [threading.Thread(target=answer, args=[web, f"word {place}"]) for place, web in enumerate(webs)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(held)) == 1
    assert held[0] in {"word 0", "word 1", "word 2"}
    assert webs[0].signals.answer(task_id, "q", "another") == held[0]


def test_what_was_asked_before_anybody_ran_it_is_known_to_whoever_does(parties: Parties) -> None:
    works, web = parties(), parties()
    task_id = new_install(works.store)
    web.listens()
    job = _taken_up(works, task_id)
    assert web.signals.cancel(task_id)
    with works.signals.holding(job):  # it listens to nobody
        assert job.cancel.is_set()


def test_what_a_dead_worker_was_asked_the_next_one_is_asked(parties: Parties) -> None:
    dead, web, lives = parties(), parties(), parties()
    task_id = new_install(dead.store)
    dead.listens()
    web.listens()
    job = _taken_up(dead, task_id)
    with dead.signals.holding(job):
        assert web.signals.skip(task_id, "flash-attn")
        assert web.signals.cancel(task_id)
        assert job.cancel.wait(2)  # and it dies here, before its instance is told
    again = lives.job(task_id)
    with lives.signals.holding(again):
        assert again.cancel.is_set()
        assert again.skips.drain() == ["flash-attn"]


def test_an_install_that_no_worker_has_ends_at_once_where_it_was_asked(parties: Parties) -> None:
    """And is not queued any more."""
    web, other = parties(), parties()
    task_id = new_install(web.store)
    web.listens()
    other.listens()
    assert _queued(web, task_id) == 1
    ended: list[str] = []
    web.jobs.when_ended = ended.append
    assert web.signals.cancel(task_id)
    record = web.store.get(task_id)
    assert record is not None
    assert record.state is TaskState.CANCELLED
    assert _queued(web, task_id) == 0
    assert ended == [task_id]
    assert other.progress.wait(task_id, lambda status: status.ended, 5)
    assert not web.signals.cancel(task_id)
    assert web.signals.answer(task_id, "q", "yes") is None


def test_one_whose_instance_has_begun_is_left_to_the_next_worker(parties: Parties) -> None:
    """Its worker has died: ended here, it would go on there."""
    web = parties()
    task_id = new_install(web.store)
    web.listens()
    emit(web.runs(task_id), Connecting(1), Uploaded())
    assert web.signals.cancel(task_id)
    assert _queued(web, task_id) == 1
    assert _asked(web, task_id) == [("cancel", "", "")]


def test_a_cancel_that_meets_the_worker_that_begins_is_lost_to_neither(parties: Parties) -> None:
    """Whoever gets the job first: the install is cancelled once."""
    works, web = parties(), parties()
    works.listens()
    web.listens()
    for _ in range(10):
        task_id = new_install(works.store)
        begin = threading.Barrier(2)
        seen: list[bool] = []

        def work(of: str = task_id, at: threading.Barrier = begin, found: list[bool] = seen) -> None:
            at.wait()
            query = text("UPDATE procrastinate_jobs SET status = 'doing' WHERE queueing_lock = :t AND status = 'todo'")
            with works.engine.begin() as connection:
                if not connection.execute(query, {"t": of}).rowcount:
                    return
            job = works.job(of)
            with works.signals.holding(job):
                found.append(job.cancel.wait(2))
                emit(job.recorder, GivenUp(TaskState.CANCELLED))

        thread = threading.Thread(target=work)
        thread.start()
        begin.wait()
        assert web.signals.cancel(task_id)
        thread.join()
        record = works.store.get(task_id)
        assert record is not None
        assert record.state is TaskState.CANCELLED
        assert seen in ([], [True])


def test_what_is_asked_while_a_worker_hears_nothing_gets_there(parties: Parties) -> None:
    """Its connection was ended; whatever it missed it reads."""
    works, web = parties(), parties()
    works.listens()
    web.listens()
    job = _taken_up(works, new_install(works.store))
    with works.signals.holding(job):
        for attempt in range(3):
            with works.engine.begin() as connection:
                connection.execute(_KILL, {"name": NAME})
            assert web.signals.skip(job.task_id, f"package-{attempt}")
            wait_until(partial(_has_skip, job, f"package-{attempt}"), 2)


@pytest.mark.quiet
def test_a_cancel_outlives_postgresql(parties: Parties, postgresql: PostgreSQL) -> None:
    """Asked just before it was killed: it is there when the database is back, without being asked again."""
    works, web = parties(), parties()
    works.listens()
    web.listens()
    job = _taken_up(works, new_install(works.store))
    with works.signals.holding(job):
        SignalStore(web.engine).add(job.task_id, Kind.SKIP, "p")
        wait_until(lambda: "p" in job.skips.drain(), 2)
        wait_until(lambda: works.hearing.is_live, 5)
        postgresql.kill()
        try:
            wait_until(lambda: not works.hearing.is_live, 10)
            assert works.signals.cancel(job.task_id)  # its own process needs no database for that
            assert job.cancel.is_set()
        finally:
            postgresql.start()
        wait_until(lambda: works.hearing.is_live and web.hearing.is_live, 15)
        assert web.signals.skip(job.task_id, "q")
        wait_until(lambda: "q" in job.skips.drain(), 2)
        assert job.skips.drain() == []  # `p` is not done again
