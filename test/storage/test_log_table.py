"""Logs that several processes share: two workers for a moment, a web process that reads, a database that was killed."""

from __future__ import annotations

import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import Any

import pytest
from sqlalchemy import Engine, delete, event, func, select, text, update

from app.domain.record import InstallRecord
from app.protocol.audit import SERVICE, read_commands
from app.protocol.states import TaskState
from app.storage import InstallStore, log_group
from app.storage.errors import StorageError
from app.storage.log_table import LogTable, SharedAudits
from app.storage.shared_tables import log_files, log_pieces
from app.storage.transactions import reading, writing
from app.sync.background_tasks import BackgroundTaskManager
from test.support.waiting import wait_until

TASK = "550e8400-e29b-41d4-a716-446655440000"


def _install(engine: Engine, ended_at: float | None) -> str:
    state = TaskState.RUNNING if ended_at is None else TaskState.COMPLETED
    record = InstallRecord(str(uuid.uuid4()), 1.0, {}, "h", state=state, finished_at=ended_at)
    InstallStore(engine).add(record)
    return record.task_id


def test_two_workers_of_one_run_write_each_byte_once(shared_engine: Engine) -> None:
    """One was cut off and does not know it: whatever it still sends is there already, or comes from the other."""
    text = "".join(f"line {number}\n" for number in range(300)).encode()

    def follow(step: int) -> None:
        with LogTable(shared_engine).writing(TASK) as writer:
            at = writer.sizes().get("run.log", 0)
            while at < len(text):
                at = writer.append("run.log", at, text[at : at + step])

    with ThreadPoolExecutor(3) as threads:
        list(threads.map(follow, (37, 61, 101)))
    assert LogTable(shared_engine).read(TASK, "run.log", 0, 1 << 20) == (text, len(text))


def test_a_piece_that_the_database_lost_is_sent_again(shared_engine: Engine) -> None:
    """Pieces are not synced to its disk: a power cut may cost the last ones, and never leaves a hole."""
    logs = LogTable(shared_engine)
    with logs.writing(TASK) as writer:
        writer.append("run.log", 0, b"one\n")
        writer.append("run.log", 4, b"two\n")
        with writing(shared_engine) as connection:
            connection.execute(delete(log_pieces).where(log_pieces.c.at == 4))
            connection.execute(update(log_files).values(size=4))
        assert writer.append("run.log", 8, b"three\n") == 4
        assert writer.append("run.log", 4, b"two\nthree\n") == 14
    assert logs.read(TASK, "run.log", 0, 100) == (b"one\ntwo\nthree\n", 14)


def test_another_process_knows_whether_more_may_come(shared_engine: Engine) -> None:
    """While somebody writes; where he was killed, while the run goes on and for a while after its end."""
    here, elsewhere = LogTable(shared_engine), LogTable(shared_engine)
    all_three = [_install(shared_engine, at) for at in (None, time.time(), time.time() - 3600)]
    with ExitStack() as written:
        for task_id in all_three:
            written.enter_context(here.writing(task_id)).append("run.log", 0, b"text\n")
        assert [elsewhere.is_written(task_id) for task_id in all_three] == [True, True, False]
        for task_id in all_three:
            elsewhere.close(task_id)
        texts = [here.read(task_id, "run.log", 0, 999)[0] for task_id in all_three]
        assert [b"whole on the instance" in each for each in texts] == [False, False, True]
    assert not any(map(elsewhere.is_written, all_three)), "they have left"


def test_who_was_cut_off_does_not_say_that_the_other_has_left(shared_engine: Engine) -> None:
    task_id = _install(shared_engine, None)
    with LogTable(shared_engine).writing(task_id):
        with LogTable(shared_engine).writing(task_id):
            pass
        assert not LogTable(shared_engine).is_written(task_id)
        with ExitStack() as newer:
            with LogTable(shared_engine).writing(task_id):
                newer.enter_context(LogTable(shared_engine).writing(task_id))
            assert LogTable(shared_engine).is_written(task_id)


def test_pieces_are_put_together_when_all_have_come(shared_engine: Engine) -> None:
    logs = LogTable(shared_engine)
    with logs.writing(TASK) as writer:
        for at in range(0, 200, 2):
            writer.append("nodes/one.log", at, b"x\n")
        writer.all_came()
    with reading(shared_engine) as connection:
        assert connection.execute(select(func.count()).select_from(log_pieces)).scalar() == 1
    assert logs.read(TASK, "nodes/one.log", 0, 999) == (b"x\n" * 100, 200)


@pytest.mark.parametrize("processes", [1, 4])
def test_commands_of_several_processes_each_have_their_line(shared_engine: Engine, processes: int) -> None:
    """A web process and a worker note what they run for one task."""

    def run(number: int) -> None:
        audit = SharedAudits(shared_engine).of(TASK)
        for each in range(5):
            audit.begin(["true", f"{number}-{each}"], "root", "a test")(0, "")

    with ThreadPoolExecutor(processes) as threads:
        list(threads.map(run, range(processes)))
    found, left_out = read_commands(SharedAudits(shared_engine).read(TASK), TASK, SERVICE)
    assert (len(found), left_out) == (5 * processes, 0)
    assert {tuple(each["argv"]) for each in found} == {("true", f"{n}-{e}") for n in range(processes) for e in range(5)}
    assert all(each["status"] == 0 for each in found)
    assert LogTable(shared_engine).sizes(TASK) == {}, "it is no log of the instance"
    LogTable(shared_engine).remove(TASK)
    assert SharedAudits(shared_engine).read(TASK) == b""


# -- many writers of one process ---------------------------------------------------------------------------------------


@pytest.fixture
def together(shared_engine: Engine) -> LogTable:
    """The logs of a process with many installs: a thread writes their pieces."""
    return LogTable(shared_engine, BackgroundTaskManager().start_task)


def test_the_pieces_of_many_installs_are_written_together(together: LogTable, shared_engine: Engine) -> None:
    """Each printed twenty lines; a transaction for each line would be four hundred."""
    commits: list[object] = []
    noted = commits.append
    tasks = [str(uuid.uuid4()) for _ in range(20)]
    with ExitStack() as opened:
        writers = [opened.enter_context(together.writing(task_id)) for task_id in tasks]
        event.listen(shared_engine, "commit", noted)
        for number in range(20):
            for writer in writers:
                assert writer.append("run.log", 2 * number, b"x\n") == 2 * number + 2
    event.remove(shared_engine, "commit", noted)
    assert {together.read(task_id, "run.log", 0, 99) for task_id in tasks} == {(b"x\n" * 20, 40)}
    assert len(commits) < 60, "each writer says once that it leaves"


def test_what_the_database_refuses_for_a_while_is_written_later_and_once(
    together: LogTable, shared_engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing more is taken of that task meanwhile, so that its instance waits."""
    monkeypatch.setattr(log_group, "REFUSED_SECONDS", 0.05)
    with together.writing(TASK) as writer:
        _sql(shared_engine, "ALTER TABLE log_pieces RENAME TO elsewhere")
        assert writer.append("run.log", 0, b"one\n") == 4
        with pytest.raises(StorageError):
            writer.append("run.log", 4, b"x" * log_group.MOST_BYTES)
        _sql(shared_engine, "ALTER TABLE elsewhere RENAME TO log_pieces")
        wait_until(lambda: together.read(TASK, "run.log", 0, 99) == (b"one\n", 4), 10)
        assert writer.append("run.log", 4, b"two\n") == 8
        writer.all_came()
    assert together.read(TASK, "run.log", 0, 99) == (b"one\ntwo\n", 8)


def test_a_piece_that_was_promised_and_lost_is_asked_for_or_told(together: LogTable, shared_engine: Engine) -> None:
    """The next answer says where the instance is to go on; where none comes any more, the log says what is missing."""
    with together.writing(TASK) as writer:
        writer.append("run.log", 0, b"one\n")
        wait_until(lambda: together.sizes(TASK) == {"run.log": 4}, 10)
        _sql(shared_engine, "DELETE FROM log_pieces", "UPDATE log_files SET size = 0")
        assert writer.append("run.log", 4, b"two\n") == 8, "nobody knows yet"
        wait_until(lambda: writer.append("run.log", 8, b"three\n") == 0, 10)
        assert writer.append("run.log", 0, b"one\ntwo\n") == 8
        wait_until(lambda: together.sizes(TASK) == {"run.log": 8}, 10)
        _sql(shared_engine, "DELETE FROM log_pieces", "UPDATE log_files SET size = 0")
        writer.append("run.log", 8, b"three\n")
        writer.all_came()
    assert b"not all of this task's logs came here" in together.read(TASK, "run.log", 0, 999)[0]


def test_one_task_that_two_threads_write_for_a_moment_has_each_byte_once(together: LogTable) -> None:
    """One of them has lost its line, and does not know it yet."""
    with together.writing(TASK) as one, together.writing(TASK) as other:
        for writer in (one, other):
            writer.append("run.log", 0, b"one\n")
            writer.append("run.log", 4, b"two\n")
    assert together.read(TASK, "run.log", 0, 99) == (b"one\ntwo\n", 8)


def test_a_fault_of_ours_ends_no_log(together: LogTable, monkeypatch: pytest.MonkeyPatch) -> None:
    """The thread is that of all installs: another takes its place, and tries again."""
    real = log_group.append_pieces
    calls: list[object] = []

    def append(*given: Any) -> Any:
        calls.append(given)
        if len(calls) == 1:
            raise ValueError("a bug")
        return real(*given)

    monkeypatch.setattr(log_group, "append_pieces", append)
    with together.writing(TASK) as writer:
        writer.append("run.log", 0, b"one\n")
        wait_until(lambda: calls, 10, "the fault has happened")
    assert together.read(TASK, "run.log", 0, 99) == (b"one\n", 4)


def _sql(engine: Engine, *statements: str) -> None:
    with writing(engine) as connection:
        for each in statements:
            connection.execute(text(each))
