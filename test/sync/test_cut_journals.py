"""The service's own path over a cut line: what it kept of a journal, killed, and attached again."""

from __future__ import annotations

import io
import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from app.domain.record import InstallRecord
from app.protocol.events import RunEnded, RunStarted, decode, encode
from app.protocol.snapshot import Problem, Snapshot, to_stored
from app.protocol.states import TaskState
from app.runner.daemon.follow import _send_lines
from app.runner.daemon.frames import Frames
from app.runner.daemon.journal_reader import whole_line
from app.storage.database import open_database
from app.storage.install_store import InstallStore
from app.sync.installs.group_saver import GroupSaver
from app.sync.installs.progress_cache import ProgressCache
from app.sync.installs.progress_writer import ProgressWriter
from app.sync.installs.recorder import Recorder
from test.protocol.events_for_tests import TASK_ID, Writer, listed, whole_run
from test.sync.conftest import SaverOf

pytestmark = pytest.mark.slow


def short_run() -> Writer:
    """Two packs, one of them failed."""
    run = Writer()
    run.emit(RunStarted(task_id=TASK_ID, version="1", pid=1))
    run.emit(listed("a", "b"))
    run.node("a", "cloned", commit="a" * 40)
    run.node("b", "failed", error=Problem("stalled", "m"))
    run.node("a", "installed")
    run.emit(RunEnded(state=TaskState.COMPLETED))
    return run


@pytest.fixture(params=[(short_run, 3), (whole_run, 17)], ids=["each-3rd-byte", "each-17th-byte"])
def journal(request: pytest.FixtureRequest) -> tuple[bytes, int]:
    """A journal, and the step between the bytes where it is cut; it is cut around the end of each line, too."""
    make, step = request.param
    return b"".join(encode(event) for event in make().told), step


@pytest.fixture
def store(tmp_path: Path) -> Iterator[InstallStore]:
    engine = open_database(f"sqlite:///{tmp_path / 'nodeferry.db'}")
    yield InstallStore(engine)
    engine.dispose()


class Services:
    """One service after the other on one data folder."""

    def __init__(self, store: InstallStore, saver: GroupSaver, progress_writer: ProgressWriter) -> None:
        self._store = store
        self._saver = saver
        self._progress_writer = progress_writer

    def attach(self, task_id: str) -> Recorder:
        """A service that has just been started has this of an install: what is in its record."""
        record = self._store.get(task_id) or self._store.add(InstallRecord(task_id, 1.0, {}, "root@h:22"))
        return Recorder(record, ProgressCache(), self._saver, self._progress_writer, now=lambda: 50.0)


def test_a_journal_cut_at_any_byte_and_attached_again_gives_the_same_record(
    journal: tuple[bytes, int],
    store: InstallStore,
    progress_writer: ProgressWriter,
    saver_of: SaverOf,
) -> None:
    """What was there up to the byte is sent by the runner's follower, folded and kept as its time is; the service is
    killed; the next one goes on from its record and has at the end what one without a cut has, revision and all."""
    content, step = journal
    services = Services(store, saver_of(store._engine, every=3600.0), progress_writer)  # nothing is saved by itself
    uncut = services.attach(f"{0:08d}-0000-0000-0000-000000000000")
    follow(uncut, content)
    assert uncut.ended
    ends = [at + beside for at, byte in enumerate(content) if byte == ord("\n") for beside in (0, 1)]
    for abort in sorted({*range(0, len(content) + 1, step), *ends}):
        task_id = f"{abort:08d}-1111-0000-0000-000000000000"
        first = services.attach(task_id)
        follow(first, content[:abort], saving=abort % 2 == 0)  # each event, or the states
        second = services.attach(task_id)
        assert second.offset <= first.offset
        assert second.snapshot.revision <= first.snapshot.revision
        follow(second, content)
        assert without_id(second.snapshot) == without_id(uncut.snapshot), abort
        last = store.get(task_id)
        assert last is not None
        assert (last.journal_offset, last.state.value) == (len(content), "completed")


def follow(recorder: Recorder, content: bytes, *, saving: bool = False) -> None:
    """As Installation does it: whole lines from the recorder's offset on, as the runner's `follow` sends them.
    `saving`: each is on disk before the next."""
    file = io.BytesIO(content)
    file.seek(recorder.offset)
    with tempfile.TemporaryFile() as sent:
        _send_lines(partial(whole_line, file), Frames("0", sent.fileno()))
        sent.seek(0)
        for frame in filter(None, sent.read().splitlines()):
            offset, _, line = frame.partition(b" j ")[2].partition(b" ")
            recorder.apply(decode(line), int(offset))
            if saving and not recorder.ended:
                recorder.save()


def without_id(snapshot: Snapshot) -> dict[str, object]:
    """The stored form, for comparing."""
    return {**to_stored(snapshot), "task_id": "", "created_at": 0}
