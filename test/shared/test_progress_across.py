"""What one process shows of an install that another one runs."""

from __future__ import annotations

import statistics
import threading
import time
from collections.abc import Collection
from dataclasses import replace
from functools import partial

import pytest
from sqlalchemy import text

from app.protocol.events import Connecting, GivenUp, Warned
from app.protocol.states import TaskState
from app.standin.postgresql import PostgreSQL
from app.storage.errors import StorageError
from app.storage.signals import SignalStore
from app.sync.installs.progress_cache import InstallStatus
from app.sync.shared import shared_progress
from test.shared.conftest import Parties, Party, emit, new_install
from test.support.waiting import wait_until

_KILL = text("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'nodeferry-listener'")


def _revision(party: Party, task_id: str) -> int:
    status = party.progress.get(task_id)
    assert status is not None
    return status.snapshot.revision


def _is_live_again(party: Party, connections: int) -> bool:
    return party.hearing.is_live and party.hearing.connections > connections


def _is_later(seen: int, status: InstallStatus) -> bool:
    return status.snapshot.revision > seen


def _reads(party: Party) -> list[str]:
    """The task_ids of the records that the party reads from now on."""
    reads: list[str] = []
    before = party.progress._read

    def read(task_id: str) -> InstallStatus | None:
        reads.append(task_id)
        return before(task_id)

    party.progress._read = read
    return reads


def test_it_works(parties: Parties) -> None:
    """Whoever waits in one process is woken by what happens in another."""
    works, web = parties(), parties()
    task_id = new_install(works.store)
    web.listens()
    recorder = works.runs(task_id)
    known = _revision(web, task_id)
    said = threading.Timer(0.2, emit, [recorder, Connecting(1)])
    said.start()
    assert web.progress.wait(task_id, lambda status: status.snapshot.revision > known, 5)
    said.join()
    assert _revision(web, task_id) == recorder.snapshot.revision


def test_what_has_no_news_is_answered_from_memory(parties: Parties) -> None:
    """However many polls there are, the record is read once for each news."""
    works, web = parties(), parties()
    task_id = new_install(works.store)
    web.listens()
    recorder = works.runs(task_id)
    reads = _reads(web)
    for _ in range(50):
        _revision(web, task_id)
    assert len(reads) == 1
    emit(recorder, Connecting(1))
    wait_until(lambda: _revision(web, task_id) == recorder.snapshot.revision, 5)
    for _ in range(50):
        _revision(web, task_id)
    assert len(reads) <= 3  # of the news of its lease's first snapshot, and of the event


def test_what_a_poll_can_be_answered_from_at_once_reads_nothing(parties: Parties) -> None:
    """An install that another process runs: not before somebody has waited for its record, nor with news of it."""
    works, web = parties(), parties()
    web.listens()
    recorder = works.runs(new_install(works.store))
    emit(recorder, Connecting(1))
    reads = _reads(web)
    assert web.progress.known(recorder.task_id) is None
    assert not reads
    wait_until(lambda: web.progress.get(recorder.task_id) is web.progress.known(recorder.task_id), 5, "it is known")
    reads.clear()
    emit(recorder, Warned("x", "y"))
    wait_until(lambda: web.progress.known(recorder.task_id) is None, 5, "there is something newer to read")
    assert not reads
    assert works.progress.known(recorder.task_id) is works.progress.get(recorder.task_id) is not None


def test_what_was_saved_by_one_who_died_before_he_could_say_so_is_shown(parties: Parties) -> None:
    """Nobody hears of it ever; whoever asks has it all the same, after a while."""
    works, web = parties(), parties()
    task_id = new_install(works.store)
    web.listens()
    web.progress._untold_seconds = 0.3
    recorder = works.runs(task_id)
    before = _revision(web, task_id)
    works.hearing._news.close(5)
    emit(recorder, Connecting(1), GivenUp(TaskState.FAILED, None))
    assert web.progress.wait(task_id, lambda status: status.ended, 5)
    assert _revision(web, task_id) == recorder.snapshot.revision > before


def test_news_that_could_not_be_said_are_said_later(parties: Parties) -> None:
    """A line that was cut for one process only makes nobody else read everything again."""
    works, web = parties(), parties()
    task_id = new_install(works.store)
    web.listens()
    recorder = works.runs(task_id)
    _revision(web, task_id)
    works.hearing._news._store = store = _RefusesOnce(works.engine)
    revision = emit(recorder, Connecting(1))
    wait_until(lambda: _revision(web, task_id) == revision, 5)
    assert store.has_refused


class _RefusesOnce(SignalStore):
    """Its first word is lost."""

    has_refused = False

    def notify(self, channel: str, payloads: Collection[str]) -> None:
        if not self.has_refused:
            self.has_refused = True
            raise StorageError("The line was cut.")
        super().notify(channel, payloads)


def test_many_readers_of_one_install_read_its_record_once(parties: Parties) -> None:
    works, web = parties(), parties()
    task_id = new_install(works.store)
    web.listens()
    reads = _reads(web)
    begin = threading.Barrier(16)

    def ask() -> None:
        begin.wait()
        _revision(web, task_id)

    threads = [threading.Thread(target=ask) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(reads) == 1


@pytest.mark.quiet
def test_news_are_there_well_under_a_second(parties: Parties) -> None:
    """From an event's commit in one process to a waiter of another, at the 95th percentile."""
    works, web = parties(), parties()
    task_id = new_install(works.store)
    web.listens()
    recorder = works.runs(task_id)
    delays: list[float] = []
    seen = _revision(web, task_id)
    for attempt in range(1, 101):
        saved: list[float] = []

        def say(number: int = attempt, at: list[float] = saved) -> None:
            emit(recorder, Connecting(number))
            at.append(time.monotonic())

        speaker = threading.Thread(target=say)
        speaker.start()
        assert web.progress.wait(task_id, partial(_is_later, seen), 5)
        now = time.monotonic()
        speaker.join()
        seen = _revision(web, task_id)
        delays.append(max(0.0, now - saved[0]))
    assert statistics.quantiles(delays, n=20)[18] < 0.5, sorted(delays)[-10:]


def test_a_hundred_installs_are_said_in_few_notifications(parties: Parties, monkeypatch: pytest.MonkeyPatch) -> None:
    """A commit with one waits for every other in the database."""
    works, web = parties(), parties()
    recorders = [works.runs(new_install(works.store)) for _ in range(20)]
    web.listens()
    sent: list[int] = []
    notify = works.hearing.store.notify

    def counted(channel: str, payloads: Collection[str]) -> None:
        sent.append(1)
        notify(channel, payloads)

    monkeypatch.setattr(works.hearing.store, "notify", counted)
    began = time.monotonic()
    for _ in range(10):
        for recorder in recorders:
            emit(recorder, Connecting(1))
    seconds = time.monotonic() - began
    wait_until(lambda: all(_revision(web, each.task_id) == each.snapshot.revision for each in recorders), 5)
    assert len(sent) <= 10 * seconds + 3, (len(sent), seconds)


def test_when_the_runner_was_heard_is_known_elsewhere(parties: Parties) -> None:
    """With news, without any, and for whoever comes to look later; whatever the clocks of the hosts say."""
    works, web, late = parties(), parties(), parties()
    task_id = new_install(works.store)
    web.listens()
    recorder = works.runs(task_id)
    _revision(web, task_id)
    recorder.heartbeat()

    def heard_ago(party: Party) -> float:
        status = party.progress.get(task_id)
        return time.time() - status.heard_at if status is not None and status.heard_at is not None else 1e9

    wait_until(lambda: heard_ago(web) < 1.0, 5, "a heartbeat is news")
    works.hearing.store.note_heard({task_id: 40.0})
    assert 39.0 < heard_ago(late) < 45.0
    works.hearing.store.note_heard({task_id: 90.0})
    assert 39.0 < heard_ago(late) < 45.0  # the last word counts, in whichever order they come


def test_a_heartbeat_is_noted_for_whoever_comes_later(parties: Parties, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.sync.shared.progress_news.NOTED_SECONDS", 0.1)
    works, late = parties(), parties()
    recorder = works.runs(new_install(works.store))

    def is_noted() -> bool:
        recorder.heartbeat()
        status = late.progress.get(recorder.task_id)
        return status is not None and status.heard_at is not None

    wait_until(is_noted, 5)


def test_a_read_that_was_overtaken_by_news_is_not_passed_off_as_new(parties: Parties) -> None:
    """The news come between the read and its keeping, of an install that was unknown until then."""
    works, web = parties(), parties()
    task_id = new_install(works.store)
    web.listens()
    recorder = works.runs(task_id)
    read = web.progress._read

    def slowly(of_task: str) -> InstallStatus | None:
        found = read(of_task)
        newest = emit(recorder, Connecting(1))
        web.progress.receive([f"{of_task} {newest} -"])
        web.progress._read = read
        return found

    web.progress._read = slowly
    assert _revision(web, task_id) < recorder.snapshot.revision
    assert _revision(web, task_id) == recorder.snapshot.revision


def test_a_revision_never_falls(parties: Parties) -> None:
    """Whatever comes late."""
    works, web = parties(), parties()
    task_id = new_install(works.store)
    web.listens()
    recorder = works.runs(task_id)
    old = web.progress.get(task_id)
    emit(recorder, Connecting(1), Warned("a", "b"))
    wait_until(lambda: _revision(web, task_id) == recorder.snapshot.revision, 5)
    assert old is not None
    assert web.progress.learn(old).snapshot.revision == recorder.snapshot.revision
    assert _revision(web, task_id) == recorder.snapshot.revision


def test_without_a_listener_each_poll_reads(parties: Parties) -> None:
    """Nothing old is passed off as new."""
    works, web = parties(), parties()
    task_id = new_install(works.store)
    recorder = works.runs(task_id)
    for attempt in range(5):
        emit(recorder, Connecting(attempt + 1))
        assert _revision(web, task_id) == recorder.snapshot.revision
    ended = threading.Timer(0.2, emit, [recorder, GivenUp(TaskState.FAILED)])
    ended.start()
    assert web.progress.wait(task_id, lambda status: status.ended, 5)
    ended.join()


def test_a_link_to_a_retry_is_news_of_an_ended_install(parties: Parties) -> None:
    works, web = parties(), parties()
    task_id = new_install(works.store)
    web.listens()
    recorder = works.runs(task_id)
    emit(recorder, GivenUp(TaskState.FAILED))
    wait_until(lambda: (web.progress.get(task_id) or recorder).ended, 5)
    works.store.update(task_id, retried_by="another")
    status = works.progress.get(task_id)
    assert status is not None
    works.progress.link_retry(task_id, replace(status.retry_links, retried_by="another"))

    def link() -> str | None:
        status = web.progress.get(task_id)
        return None if status is None else status.retry_links.retried_by

    wait_until(lambda: link() == "another", 5)


def test_whoever_takes_an_install_over_is_followed(parties: Parties) -> None:
    """The old process shows what the new one writes, and what it writes itself changes nothing."""
    old, new = parties(), parties()
    task_id = new_install(old.store)
    old.listens()
    recorder = old.runs(task_id)
    emit(recorder, Connecting(1))
    newer = new.runs(task_id)
    emit(newer, Warned("a", "b"))
    recorder.lose()
    wait_until(lambda: _revision(old, task_id) == newer.snapshot.revision, 5)


def test_a_listener_whose_connection_is_ended_listens_again_and_misses_nothing(parties: Parties) -> None:
    """What was said meanwhile is read."""
    works, web = parties(), parties()
    task_id = new_install(works.store)
    web.listens()
    recorder = works.runs(task_id)
    for attempt in range(1, 6):
        _revision(web, task_id)
        connections = web.hearing.connections
        with works.engine.begin() as connection:
            connection.execute(_KILL)
        emit(recorder, Connecting(attempt))
        wait_until(lambda: _revision(web, task_id) == recorder.snapshot.revision, 5)
        wait_until(partial(_is_live_again, web, connections), 10)
        assert web.progress.wait(task_id, lambda status: status.snapshot.revision == recorder.snapshot.revision, 1)


@pytest.mark.quiet
def test_while_postgresql_is_away_what_was_known_is_said_and_grows_old(
    parties: Parties, postgresql: PostgreSQL
) -> None:
    """Polls end at once, nothing new is made up, and what is unknown is an error; when it is back, so is all that
    happened."""
    works, web = parties(), parties()
    task_id, unknown = new_install(works.store), new_install(works.store)
    web.listens()
    recorder = works.runs(task_id)
    recorder.heartbeat()
    emit(recorder, Connecting(1))
    wait_until(lambda: _revision(web, task_id) == recorder.snapshot.revision, 5)
    known = _revision(web, task_id)
    postgresql.kill()
    try:
        wait_until(lambda: not web.hearing.is_live, 10)
        for _ in range(20):
            began = time.monotonic()
            assert _revision(web, task_id) == known
            with pytest.raises(StorageError):
                web.progress.get(unknown)
            assert time.monotonic() - began < 2.0
        assert not web.progress.wait(task_id, lambda status: status.ended, 0.3)
        emit(recorder, Warned("a", "b"))  # its own process shows it, and nobody else
        assert _revision(works, task_id) > known
        assert _revision(web, task_id) == known
    finally:
        postgresql.start()
    wait_until(lambda: web.hearing.is_live, 15)
    assert _revision(web, unknown) == 0
    emit(recorder, GivenUp(TaskState.FAILED))
    assert web.progress.wait(task_id, lambda status: status.ended, 5)


def test_what_goes_on_elsewhere_and_nobody_asks_for_is_forgotten(
    parties: Parties, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By time and by number."""
    works, web = parties(), parties()
    web.listens()
    known = [new_install(works.store) for _ in range(6)]
    for task_id in known:
        web.progress.get(task_id)
    assert len(web.progress._statuses) == 6
    monkeypatch.setattr(shared_progress, "MAX_OTHERS", 3)
    web.progress.get(new_install(works.store))
    assert known[0] not in web.progress._statuses
    web.progress.drop_ended(time.monotonic() + shared_progress.UNASKED_SECONDS + 1)
    assert not web.progress._statuses
    assert not web.progress._others
