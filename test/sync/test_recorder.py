"""Folding and keeping one install's events."""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest

from app.domain.record import InstallRecord
from app.protocol.event_body import Body
from app.protocol.events import Connecting, Event, GivenUp, RunEnded, Warned
from app.protocol.json_fields import ProtocolFault
from app.protocol.snapshot import Problem
from app.protocol.states import TaskState
from app.storage.database import open_database
from app.storage.install_store import InstallStore
from app.sync.installs.group_saver import GroupSaver
from app.sync.installs.progress_cache import ProgressCache
from app.sync.installs.progress_writer import ProgressWriter
from app.sync.installs.recorder import Recorder
from test.support.waiting import wait_until
from test.sync.conftest import SaverOf

TASK = "11111111-2222-3333-4444-555555555555"


@pytest.fixture
def store(tmp_path: Path) -> Iterator[InstallStore]:
    engine = open_database(f"sqlite:///{tmp_path / 'nodeferry.db'}")
    yield InstallStore(engine)
    engine.dispose()


@pytest.fixture
def record(store: InstallStore) -> InstallRecord:
    return store.add(InstallRecord(TASK, 1.0, {"ssh_connection": "h", "manifest": None}, "root@h:22"))


@pytest.fixture
def saver(store: InstallStore, saver_of: SaverOf) -> GroupSaver:
    return saver_of(store._engine)


@pytest.fixture
def recorder(record: InstallRecord, saver: GroupSaver, progress_writer: ProgressWriter) -> Recorder:
    return _recorder(record, saver, progress_writer)


def _recorder(record: InstallRecord, saver: GroupSaver, progress_writer: ProgressWriter) -> Recorder:
    return Recorder(record, ProgressCache(), saver, progress_writer, now=lambda: 50.0)


Locked = Callable[[], AbstractContextManager[tuple[Recorder, sqlite3.Connection]]]


@pytest.fixture
def locked(record: InstallRecord, tmp_path: Path, progress_writer: ProgressWriter, saver_of: SaverOf) -> Locked:
    """A recorder whose end met a database that another program has locked, and that program's connection."""

    @contextmanager
    def made() -> Iterator[tuple[Recorder, sqlite3.Connection]]:
        engine = open_database(f"sqlite:///{tmp_path / 'nodeferry.db'}", busy_timeout=0.05)
        recorder = _recorder(record, saver_of(engine), progress_writer)
        other = sqlite3.connect(tmp_path / "nodeferry.db", isolation_level=None)
        try:
            other.execute("BEGIN EXCLUSIVE")
            recorder.emit(GivenUp(state=TaskState.FAILED, error=Problem("c", "m")))
            yield recorder, other
        finally:
            other.close()
            engine.dispose()

    return made


def _event(seq: int, body: Body | None = None) -> Event:
    return Event(body or Warned("c", f"warning {seq}"), seq, 1.0, 1.0)


def _shown(progress_cache: ProgressCache) -> int:
    status = progress_cache.get(TASK)
    assert status is not None
    return status.snapshot.revision


def _stored(store: InstallStore) -> InstallRecord:
    found = store.get(TASK)
    assert found is not None
    return found


def test_offset_and_snapshot_are_kept_together(
    record: InstallRecord, store: InstallStore, saver: GroupSaver, progress_writer: ProgressWriter
) -> None:
    """A recorder that goes on from the record has exactly what was folded up to its offset."""
    first = _recorder(record, saver, progress_writer)
    first.emit(Connecting(attempt=1))
    first.apply(_event(1), 100)
    first.apply(_event(2), 200)
    first.save()
    kept = _stored(store)
    assert (kept.journal_offset, kept.journal_seq, kept.revision) == (200, 2, 3)
    again = _recorder(kept, saver, progress_writer)
    assert again.offset == 200
    assert again.snapshot.warnings == first.snapshot.warnings
    assert again.snapshot.revision == first.snapshot.revision


def test_a_state_is_kept_at_once_and_progress_now_and_then(recorder: Recorder, store: InstallStore) -> None:
    """Many events are one write; a change of state does not wait."""
    recorder.emit(Connecting(attempt=1))
    assert _stored(store).state.value == "running"
    for seq in range(1, 20):
        recorder.apply(_event(seq), seq)
    assert _stored(store).journal_seq < 19
    recorder.apply(_event(20, RunEnded(TaskState.COMPLETED)), 20)
    kept = _stored(store)
    assert (kept.state.value, kept.journal_seq, kept.finished_at) == ("completed", 20, 50.0)


def test_polls_see_nothing_that_a_kill_could_take_back(
    record: InstallRecord, store: InstallStore, saver: GroupSaver, progress_writer: ProgressWriter
) -> None:
    """What the board shows is in the database at that moment; hence no revision falls after a restart."""
    progress_cache = ProgressCache()
    recorder = Recorder(record, progress_cache, saver, progress_writer)
    recorder.emit(Connecting(attempt=1))
    for seq in range(1, 50):
        recorder.apply(_event(seq), seq)
        status = progress_cache.get(TASK)
        assert status is not None
        assert status.snapshot.revision <= _stored(store).revision <= recorder.snapshot.revision
    wait_until(lambda: _shown(progress_cache) == recorder.snapshot.revision, 5, "the last of it is shown")


def test_a_missing_journal_event_is_not_passed_over(recorder: Recorder) -> None:
    recorder.apply(_event(1), 1)
    with pytest.raises(ProtocolFault):
        recorder.apply(_event(3), 3)


@pytest.mark.parametrize(("seq", "offset"), [(2, 20), (1, 30), (3, 20), (3, 5)])
def test_a_journal_that_repeats_itself_or_shrinks_is_refused(recorder: Recorder, seq: int, offset: int) -> None:
    """A follower is asked for what is new, so that nothing honest comes twice."""
    recorder.apply(_event(1), 10)
    recorder.apply(_event(2), 20)
    before = recorder.snapshot
    with pytest.raises(ProtocolFault):
        recorder.apply(_event(seq), offset)
    assert (recorder.snapshot, recorder.offset) == (before, 20)


def test_after_the_end_nothing_happens(recorder: Recorder, store: InstallStore) -> None:
    recorder.emit(GivenUp(state=TaskState.FAILED, error=Problem("c", "m")))
    revision = recorder.snapshot.revision
    recorder.emit(Connecting(attempt=2))
    assert recorder.snapshot.revision == revision
    assert _stored(store).state.value == "failed"


def test_a_database_that_refuses_does_not_stop_the_install(locked: Locked, caplog: pytest.LogCaptureFixture) -> None:
    """Memory goes on, the log says it, and the next save has everything."""
    with locked() as (recorder, other):
        assert recorder.ended
        assert "could not be saved" in caplog.text
        other.execute("ROLLBACK")
        recorder.save()
        assert other.execute("SELECT state FROM installs").fetchall() == [("failed",)]


def test_an_end_that_the_disk_refused_is_kept_once_it_takes_it(
    locked: Locked, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else the record would say running, and whoever finds it would take the install up again after its end."""
    monkeypatch.setattr("app.sync.installs.recorder.REFUSED_SECONDS", 0.1)
    with locked() as (recorder, other):
        asked = threading.Event()

        def keep() -> None:
            asked.set()
            recorder.save_end(threading.Event(), 20.0)

        keeping = threading.Thread(target=keep)
        keeping.start()
        assert asked.wait(5)
        assert recorder.ended
        other.execute("ROLLBACK")
        keeping.join(20)
        assert not keeping.is_alive()
    with sqlite3.connect(tmp_path / "nodeferry.db") as reader:
        assert reader.execute("SELECT state FROM installs").fetchall() == [("failed",)]
    reader.close()


@pytest.mark.parametrize(("stopped", "seconds"), [(True, 60.0), (False, 0.3)])
def test_the_wait_to_keep_an_end_is_over_when_the_service_closes_and_at_its_deadline(
    locked: Locked, monkeypatch: pytest.MonkeyPatch, stopped: bool, seconds: float
) -> None:
    monkeypatch.setattr("app.sync.installs.recorder.REFUSED_SECONDS", 0.1)
    stop = threading.Event()
    if stopped:
        stop.set()
    with locked() as (recorder, _):
        began = time.monotonic()
        recorder.save_end(stop, seconds)
        assert time.monotonic() - began < 5
