"""Leases: one writer an install, whatever clocks, processes and late wakers do."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace

import pytest
from sqlalchemy import Engine

from app.protocol.states import TaskState
from app.storage import InstallStore, Leases
from app.storage.errors import LeaseLost
from test.storage.records import new_record

TASK = "6b8f0000-0000-4000-8000-000000000001"


class Clock:
    """Unix seconds that a test moves."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def ours(engine: Engine, clock: Clock) -> Leases:
    return Leases(engine, "here:/data", now=clock, seconds=30, margin=5)


@pytest.fixture
def theirs(engine: Engine, clock: Clock) -> Leases:
    return Leases(engine, "there:/data", now=clock, seconds=30, margin=5)


@pytest.fixture(autouse=True)
def running(store: InstallStore) -> None:
    store.add(new_record(task_id=TASK, state=TaskState.RUNNING))


def test_who_has_read_something_older_than_what_is_there_gets_no_lease(store: InstallStore, engine: Engine) -> None:
    """A worker that was only cut off may save once more, after its successor has read the record and before it claims:
    the successor reads again, else it would write something older over that."""
    queued = Leases(engine, "there:/data", queued=True)
    known = store.get(TASK)
    assert known is not None
    store.update(TASK, token=known.lease_token, revision=known.revision + 1)
    assert queued.claim(TASK, known.lease_token, known.revision) is None
    assert queued.claim(TASK, known.lease_token, known.revision + 1) is not None


def test_an_install_has_one_holder_at_a_time(ours: Leases, theirs: Leases, clock: Clock) -> None:
    """Another owner gets it when its time and the margin are over, not before."""
    assert ours.claim(TASK, 0) is not None
    clock.now += 34.9
    assert theirs.claim(TASK, 1) is None
    assert theirs.stalled() == []
    clock.now += 0.2
    assert theirs.stalled() == [TASK]
    taken = theirs.claim(TASK, 1)
    assert taken is not None
    assert taken.token == 2


def test_a_lease_that_is_renewed_stays(ours: Leases, theirs: Leases, clock: Clock) -> None:
    lease = ours.claim(TASK, 0)
    assert lease is not None
    for _ in range(5):
        clock.now += 29
        assert ours.renew([lease]) == []
        assert theirs.claim(TASK, 1) is None


def test_a_lease_that_is_given_back_is_free_at_once(ours: Leases, theirs: Leases) -> None:
    lease = ours.claim(TASK, 0)
    assert lease is not None
    ours.release(lease)
    assert theirs.stalled() == [TASK]
    assert theirs.claim(TASK, 1) is not None


def test_the_lease_of_a_dead_predecessor_is_taken_over_at_once(ours: Leases) -> None:
    """The same owner is the same data folder, whose lock one service holds at a time."""
    first = ours.claim(TASK, 0)
    again = ours.claim(TASK, 1)
    assert first is not None and again is not None
    assert again.token > first.token


def test_who_has_read_an_older_record_may_not_claim(ours: Leases, theirs: Leases) -> None:
    """What it knows of the install is out of date, though the lease is free: it would take the revision back."""
    lease = theirs.claim(TASK, 0)
    assert lease is not None
    theirs.release(lease)
    assert ours.claim(TASK, 0) is None
    assert ours.claim(TASK, 1) is not None


@pytest.mark.parametrize("state", [TaskState.COMPLETED, TaskState.FAILED, TaskState.CANCELLED])
def test_what_has_ended_is_nobodys_to_claim(store: InstallStore, ours: Leases, state: TaskState) -> None:
    store.update(TASK, state=state)
    assert ours.claim(TASK, 0) is None
    assert ours.stalled() == []


def test_an_unknown_install_cannot_be_claimed(ours: Leases) -> None:
    assert ours.claim("6b8f0000-0000-4000-8000-00000000ffff", 0) is None


def test_a_writer_that_was_overtaken_changes_nothing(
    store: InstallStore, ours: Leases, theirs: Leases, clock: Clock
) -> None:
    """Neither state nor lease: not with its token, and not by giving the lease back late."""
    lost = ours.claim(TASK, 0)
    clock.now += 36
    held = theirs.claim(TASK, 1)
    assert lost is not None and held is not None
    store.update(TASK, token=held.token, revision=50)
    before = store.get(TASK)
    with pytest.raises(LeaseLost):
        store.update(TASK, token=lost.token, revision=3, state=TaskState.FAILED)
    assert ours.renew([lost]) == [lost]
    ours.release(lost)
    assert store.get(TASK) == before
    assert theirs.renew([held]) == []
    assert ours.claim(TASK, held.token) is None


def test_a_lease_says_nothing_of_the_other_columns(store: InstallStore, ours: Leases) -> None:
    before = store.get(TASK)
    lease = ours.claim(TASK, 0)
    assert before is not None and lease is not None
    ours.renew([lease])
    ours.release(lease)
    assert store.get(TASK) == replace(before, lease_token=1)


OVERTAKER = """
import sys, time
from app.storage import InstallStore, Leases, open_database
engine = open_database(sys.argv[1])
task_id = sys.argv[2]
lease = Leases(engine, "another:/data", now=lambda: time.time() + 36).claim(task_id, 1)
InstallStore(engine).update(task_id, token=lease.token, revision=77)
print(lease.token)
"""


@pytest.mark.slow
@pytest.mark.sqlite
def test_of_two_processes_on_one_file_the_one_with_the_newer_token_wins(
    store: InstallStore, engine: Engine, database_url: str
) -> None:
    """The first one's lease is over by the other's clock; what it writes afterwards changes nothing."""
    lease = Leases(engine, "here:/data").claim(TASK, 0)
    assert lease is not None
    store.update(TASK, token=lease.token, revision=10)
    other = subprocess.run(
        [sys.executable, "-c", OVERTAKER, database_url, TASK], capture_output=True, text=True, timeout=60, check=False
    )
    assert other.stdout.strip() == "2", other.stderr
    with pytest.raises(LeaseLost):
        store.update(TASK, token=lease.token, revision=11)
    record = store.get(TASK)
    assert record is not None
    assert (record.revision, record.lease_token) == (77, 2)


def test_where_a_queue_says_who_works_a_claim_asks_for_no_time(store: InstallStore, engine: Engine) -> None:
    """Whoever the queue gives an install to has it, though the one before has not let go; that one writes nothing."""
    before = Leases(engine, "there:/data", queued=True).claim(TASK, 0)
    assert before is not None
    after = Leases(engine, "here:/data", queued=True).claim(TASK, before.token)
    assert after is not None
    assert after.token == before.token + 1
    with pytest.raises(LeaseLost):
        store.update(TASK, token=before.token, revision=9)
    assert Leases(engine, "third:/data", queued=True).claim(TASK, before.token) is None
