"""Saving the progress of many installs together."""

from __future__ import annotations

import sqlite3
import threading
import uuid
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest
from sqlalchemy import Engine, event

from app.domain.record import InstallRecord
from app.protocol.snapshot import Snapshot, to_stored
from app.protocol.states import TaskState
from app.storage import InstallStore, open_database
from app.storage.errors import LeaseLost, StorageError
from app.storage.group_update import GroupUpdate
from app.sync.background_tasks import BackgroundTaskManager
from app.sync.installs import group_saver
from app.sync.installs.group_saver import GroupSaver, Save
from app.sync.installs.progress_cache import ProgressCache
from app.sync.installs.progress_writer import ProgressWriter
from app.sync.installs.recorder import Recorder
from app.sync.installs.snapshot_text import SnapshotText
from test.support.waiting import wait_until
from test.sync.conftest import SaverOf


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    made = open_database(f"sqlite:///{tmp_path / 'nodeferry.db'}", busy_timeout=0.05)
    yield made
    made.dispose()


class Installs:
    """Records, and what is saved of them."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.store = InstallStore(engine)
        self.over: list[Save] = []
        self.commits = 0
        event.listen(engine.get_execution_options()["nodeferry_writer"], "commit", self._count)

    def _count(self, _connection: object) -> None:
        self.commits += 1

    def add(self) -> str:
        """A new install."""
        record = InstallRecord(str(uuid.uuid4()), 1.0, {"ssh_connection": "h", "manifest": None}, "root@h:22")
        return self.store.add(record).task_id

    def record(self, task_id: str) -> InstallRecord:
        """As it is on disk."""
        found = self.store.get(task_id)
        assert found is not None
        return found

    def save(self, task_id: str, revision: int, *, token: int = 0, **values: object) -> Save:
        """What there is to be saved."""
        snapshot = Snapshot(task_id, 1.0, revision=revision, state=TaskState.RUNNING)
        text = SnapshotText()
        made = {"revision": revision, "state": snapshot.state, "snapshot": text.of(snapshot), **values}
        return Save(task_id, token, lambda: made, self.over.append)


@pytest.fixture
def installs(engine: Engine) -> Installs:
    return Installs(engine)


def _revisions(installs: Installs, tasks: Sequence[str]) -> list[int]:
    return [installs.record(task_id).revision for task_id in tasks]


def test_many_installs_are_one_commit(installs: Installs, saver_of: SaverOf) -> None:
    saver, tasks = saver_of(installs.engine, every=0.3), [installs.add() for _ in range(50)]
    saver.put(installs.save(tasks[0], 1))
    wait_until(lambda: installs.over, 5, "the first is saved at once")
    before = installs.commits
    for task_id in tasks:
        saver.put(installs.save(task_id, 7))
    wait_until(lambda: len(installs.over) == 51, 5, "all are saved")
    assert _revisions(installs, tasks) == [7] * 50
    assert installs.commits - before <= 2
    assert installs.record(tasks[3]).snapshot == to_stored(Snapshot(tasks[3], 1.0, revision=7, state=TaskState.RUNNING))


def test_only_the_newest_of_an_install_is_saved(installs: Installs, saver_of: SaverOf) -> None:
    saver, task_id = saver_of(installs.engine, every=0.3), installs.add()
    for revision in range(1, 30):
        saver.put(installs.save(task_id, revision))
    wait_until(lambda: installs.record(task_id).revision == 29, 5, "the newest is saved")
    assert len(installs.over) <= 2


def test_what_has_to_wait_is_saved_when_the_call_returns_and_nothing_older_comes_after_it(
    installs: Installs, saver_of: SaverOf
) -> None:
    """Many threads, each its own install: progress that need not wait, then a state that has to."""
    saver, tasks = saver_of(installs.engine, every=0.0), [installs.add() for _ in range(20)]
    late: list[str] = []

    def work(task_id: str) -> None:
        for revision in range(1, 40):
            if revision % 4:
                saver.put(installs.save(task_id, revision))
            else:
                saver.save(installs.save(task_id, revision))
                late.extend([task_id] if installs.record(task_id).revision != revision else [])
        saver.save(installs.save(task_id, 40))

    _in_threads(work, tasks)
    assert not late
    saver.close(5)
    assert _revisions(installs, tasks) == [40] * 20


def test_threads_that_wait_at_once_share_a_commit(installs: Installs, saver_of: SaverOf) -> None:
    saver, tasks = saver_of(installs.engine), [installs.add() for _ in range(40)]
    before = installs.commits
    with saver._committing:  # as if the disk took its time for an earlier one
        threads = [threading.Thread(target=saver.save, args=(installs.save(each, 3),)) for each in tasks]
        for thread in threads:
            thread.start()
        wait_until(lambda: len(saver._urgent) == 40, 5, "all wait")
    for thread in threads:
        thread.join(10)
    assert _revisions(installs, tasks) == [3] * 40
    assert installs.commits - before == 1


def test_a_lost_lease_is_its_own_install_s_only(installs: Installs, saver_of: SaverOf) -> None:
    """In one transaction with the others: its row stays as the other service has it."""
    saver, ours, lost, gone = saver_of(installs.engine), installs.add(), installs.add(), str(uuid.uuid4())
    saves = [installs.save(ours, 5), installs.save(lost, 5, token=7), installs.save(gone, 5)]
    for save in saves:
        saver.put(save)
    wait_until(lambda: len(installs.over) == 3, 5, "all are over")
    errors = {save.task_id: save.error for save in installs.over}
    assert errors[ours] is None
    assert isinstance(errors[lost], LeaseLost)
    assert errors[gone] is not None
    assert _revisions(installs, [ours, lost]) == [5, 0]


def test_what_was_put_is_saved_when_the_service_closes_and_what_comes_later_too(
    installs: Installs, saver_of: SaverOf
) -> None:
    saver, task_id = saver_of(installs.engine, every=3600.0), installs.add()
    for revision in (1, 2):
        saver.put(installs.save(task_id, revision))
    saver.close(5)
    assert installs.record(task_id).revision == 2
    saver.put(installs.save(task_id, 3))
    assert installs.record(task_id).revision == 3
    assert not [each for each in threading.enumerate() if each.name.startswith("task-saves-")]


def test_what_the_disk_refuses_is_tried_again_and_the_newest_of_it_is_saved(
    installs: Installs, saver_of: SaverOf, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(group_saver, "REFUSED_SECONDS", 0.1)
    saver, tasks = saver_of(installs.engine, every=0.0), [installs.add() for _ in range(5)]
    other = sqlite3.connect(tmp_path / "nodeferry.db", isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    for task_id in tasks:
        saver.put(installs.save(task_id, 1))
    waited = installs.save(tasks[0], 2)
    saver.save(waited)
    assert isinstance(waited.error, StorageError)
    wait_until(lambda: {save.task_id for save in installs.over} == set(tasks), 5, "all have heard of it")
    other.execute("ROLLBACK")
    other.close()
    wait_until(lambda: _revisions(installs, tasks) == [2, 1, 1, 1, 1], 10, "all are saved after that")


def test_one_that_the_database_never_takes_keeps_no_other_from_being_saved(
    installs: Installs, saver_of: SaverOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(group_saver, "REFUSED_SECONDS", 0.1)
    saver, tasks = saver_of(installs.engine, every=0.0), [installs.add() for _ in range(6)]
    with saver._committing:
        saver.put(installs.save(tasks[0], 1, total=None))  # the column has to have a number
        for task_id in tasks[1:]:
            saver.put(installs.save(task_id, 1, total=1))
    wait_until(lambda: _revisions(installs, tasks) == [0, 1, 1, 1, 1, 1], 10, "the others are saved")


def test_what_cannot_be_made_is_its_own_install_s_error(installs: Installs, saver_of: SaverOf) -> None:
    saver, tasks = saver_of(installs.engine), [installs.add(), installs.add()]

    def broken() -> dict[str, object]:
        raise ValueError("no number that JSON has")

    saver.put(Save(tasks[0], 0, broken, installs.over.append))
    saver.put(installs.save(tasks[1], 1))
    wait_until(lambda: len(installs.over) == 2, 5, "both are over")
    assert {save.task_id: type(save.error) for save in installs.over} == {tasks[0]: ValueError, tasks[1]: type(None)}


def test_a_service_that_gets_no_more_threads_saves_all_the_same(
    installs: Installs, monkeypatch: pytest.MonkeyPatch
) -> None:
    background = BackgroundTaskManager()

    def refused(*_args: object) -> str:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(background, "start_task", refused)
    saver, task_id = GroupSaver(GroupUpdate(installs.engine), background), installs.add()
    saver.put(installs.save(task_id, 4))
    assert installs.record(task_id).revision == 4


def _in_threads(work: Callable[[str], None], tasks: Sequence[str]) -> None:
    threads = [threading.Thread(target=work, args=(task_id,)) for task_id in tasks]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert not any(thread.is_alive() for thread in threads)


def test_a_recorder_that_has_lost_its_lease_shows_nothing_more(
    installs: Installs, saver_of: SaverOf, progress_writer: ProgressWriter
) -> None:
    """Also where it hears of that from the saver's thread."""
    cache, task_id = ProgressCache(), installs.add()
    recorder = Recorder(installs.record(task_id), cache, saver_of(installs.engine), progress_writer)
    recorder.hold(9)
    recorder._saver.put(recorder._unsaved())
    wait_until(lambda: recorder.lost, 5, "it has heard of it")
    assert cache.get(task_id) is None
    with pytest.raises(LeaseLost):
        recorder.save()
