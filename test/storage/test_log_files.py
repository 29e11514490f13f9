"""The logs of tasks, in the service's data folder and in PostgreSQL: written at the byte where they end, bounded, and
nowhere else."""

from __future__ import annotations

import os
from pathlib import Path
from typing import cast

import pytest

from app.domain.errors import InvalidRequest
from app.storage import log_files
from app.storage.errors import StorageError
from app.storage.log_files import NO_MORE, LogFiles, Logs
from app.storage.log_table import LogTable

TASK = "550e8400-e29b-41d4-a716-446655440000"
HOSTILE = [
    "../x.log",
    "nodes/../../x.log",
    "/etc/x.log",
    "nodes//x.log",
    "a/b.log",
    "x.txt",
    ".log\n.log",
    "",
    "x\0.log",
]


@pytest.fixture
def files(tmp_path: Path) -> LogFiles:
    """Logs in a folder of their own."""
    return LogFiles(tmp_path / "logs")


@pytest.fixture(params=["folder", "postgresql"])
def logs(request: pytest.FixtureRequest) -> Logs:
    """Logs in a folder of their own, and in a database of their own."""
    if request.param == "folder":
        return cast("Logs", request.getfixturevalue("files"))
    return LogTable(request.getfixturevalue("shared_engine"))


def test_it_works(logs: Logs) -> None:
    """What is written is read back from any offset; nothing is there before."""
    assert logs.read(TASK, "run.log", 0, 100) == (b"", 0)
    with logs.writing(TASK) as writer:
        assert writer.append("run.log", 0, b"one\n") == 4
        assert writer.append("run.log", 4, b"two\n") == 8
        assert logs.is_written(TASK)
    assert not logs.is_written(TASK)
    assert logs.read(TASK, "run.log", 4, 2) == (b"tw", 8)
    assert logs.sizes(TASK) == {"run.log": 8}


def test_a_piece_that_comes_again_or_too_early_is_not_written(logs: Logs) -> None:
    """A reconnect may bring the same bytes; only those behind the last one are kept."""
    with logs.writing(TASK) as writer:
        writer.append("run.log", 0, b"one\n")
        assert writer.append("run.log", 0, b"one\n") == 4
        assert writer.append("run.log", 9, b"later\n") == 4
    with logs.writing(TASK) as again:
        assert again.sizes() == {"run.log": 4}
    assert logs.read(TASK, "run.log", 0, 100) == (b"one\n", 4)


def test_a_log_that_began_anew_goes_on_behind_a_mark(logs: Logs) -> None:
    """Offsets that readers have stay good, and the next connection knows how much of the new file is here."""
    with logs.writing(TASK) as writer:
        writer.append("run.log", 0, b"old\n")
        assert writer.append("run.log", 0, b"new\n", anew=True) == 4
    with logs.writing(TASK) as again:
        assert again.sizes() == {"run.log": 4}
        assert again.append("run.log", 4, b"more\n") == 9
    assert logs.read(TASK, "run.log", 0, 100)[0] == b"old\n\n[the log begins anew here]\nnew\nmore\n"


def test_a_log_takes_only_so_much_and_says_so(logs: Logs, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the instance sends."""
    monkeypatch.setattr(log_files, "FILE_BYTES", 10)
    with logs.writing(TASK) as writer:
        assert writer.append("run.log", 0, b"x" * 8) == 8
        assert writer.append("run.log", 8, b"x" * 8) == NO_MORE
        assert writer.append("run.log", 16, b"x" * 8) == NO_MORE
    with logs.writing(TASK) as again:
        assert again.sizes() == {"run.log": NO_MORE}
    kept, size = logs.read(TASK, "run.log", 0, 1000)
    assert kept.startswith(b"x" * 10 + b"\n[the log is cut off here") and size < 100


def test_all_logs_of_a_task_take_only_so_much(logs: Logs, monkeypatch: pytest.MonkeyPatch) -> None:
    """Bytes and files are bounded together."""
    monkeypatch.setattr(log_files, "TASK_BYTES", 100)
    monkeypatch.setattr(log_files, "MAX_FILES", 3)
    with logs.writing(TASK) as writer:
        kept = [writer.append(f"nodes/{n}.log", 0, b"x" * 80) for n in range(5)]
    assert kept == [80, NO_MORE, NO_MORE, NO_MORE, NO_MORE]
    assert len(logs.sizes(TASK)) == 3
    assert sum(logs.sizes(TASK).values()) < 400


@pytest.mark.parametrize("name", HOSTILE)
def test_a_name_from_outside_never_leaves_its_folder(files: LogFiles, tmp_path: Path, name: str) -> None:
    """Nothing is written and nothing is read, in whatever spelling."""
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs" / "x.log").write_text("not yours")
    with files.writing(TASK) as writer:
        assert writer.append(name, 0, b"evil") == NO_MORE
    assert files.read(TASK, name, 0, 100) == (b"", 0)
    assert {path.name for path in tmp_path.rglob("*") if path.is_file()} == {
        "x.log",
        "open",
    }  # ours: it says not all came
    assert (tmp_path / "logs" / "x.log").read_text() == "not yours"


def test_a_link_is_not_followed(files: LogFiles, tmp_path: Path) -> None:
    """A log that is one is neither read nor written."""
    (tmp_path / "secret").write_text("secret")
    with files.writing(TASK):
        os.symlink(tmp_path / "secret", tmp_path / "logs" / TASK / "run.log")
    with pytest.raises(StorageError):
        files.read(TASK, "run.log", 0, 100)
    with files.writing(TASK) as writer, pytest.raises(StorageError):
        writer.append("run.log", 6, b"evil")
    assert (tmp_path / "secret").read_text() == "secret"


@pytest.mark.parametrize("task_id", ["..", "../other", TASK + "/..", "{" + TASK + "}"])
def test_a_task_id_that_is_no_uuid_never_becomes_a_folder(logs: Logs, task_id: str) -> None:
    """It is refused."""
    with pytest.raises(InvalidRequest):
        logs.read(task_id, "run.log", 0, 10)


def test_only_the_user_reads_them(files: LogFiles, tmp_path: Path) -> None:
    """A log may say more than its task's progress."""
    with files.writing(TASK) as writer:
        writer.append("nodes/one.log", 0, b"text")
    folder = tmp_path / "logs" / TASK
    assert (folder.stat().st_mode & 0o77, (folder / "nodes" / "one.log").stat().st_mode & 0o77) == (0, 0)


def test_removed_logs_are_gone(logs: Logs) -> None:
    """Also when there never were any."""
    with logs.writing(TASK) as writer:
        writer.append("run.log", 0, b"text")
    logs.remove(TASK)
    logs.remove(TASK)
    assert logs.sizes(TASK) == {}


def test_blocks_end_where_lines_do(logs: Logs, monkeypatch: pytest.MonkeyPatch) -> None:
    """However the pieces came, and when they have been put together too."""
    monkeypatch.setattr(log_files, "BLOCK_BYTES", 12)
    with logs.writing(TASK) as writer:
        for at in range(0, 40, 4):
            writer.append("run.log", at, b"abc\n")
        assert list(logs.blocks(TASK, "run.log")) == [b"abc\n" * 3] * 3 + [b"abc\n"]
        writer.all_came()
    assert list(logs.blocks(TASK, "run.log")) == [b"abc\n" * 3] * 3 + [b"abc\n"]
    assert logs.read(TASK, "run.log", 6, 7) == (b"c\nabc\na", 40)
    assert logs.totals() == {TASK: 40}


def test_logs_that_are_too_large_together_are_cut(logs: Logs) -> None:
    """Each says so at its end."""
    with logs.writing(TASK) as writer:
        writer.append("run.log", 0, b"one\n")
        logs.cut_written()
        kept = [writer.append("run.log", 4, b"two\n"), writer.append("run.log", 8, b"three\n")]
        assert kept[-1] == NO_MORE
    assert b"the log is cut off here" in logs.read(TASK, "run.log", 0, 1000)[0]


def test_a_log_whose_rest_never_came_says_so_once(logs: Logs) -> None:
    with logs.writing(TASK) as writer:
        writer.append("run.log", 0, b"one\n")
        logs.close(TASK)
        assert logs.read(TASK, "run.log", 0, 1000)[0] == b"one\n", "it is still written"
    logs.close(TASK)
    logs.close(TASK)
    assert logs.read(TASK, "run.log", 0, 1000)[0].count(b"whole on the instance") == 1
