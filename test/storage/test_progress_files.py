"""Progress files: replaced as a whole, readable by their owner alone, never outside of their folder."""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from app.domain.errors import InvalidRequest
from app.storage import ProgressFiles, StorageError

TASK = "550e8400-e29b-41d4-a716-446655440000"
OTHER = "550e8400-e29b-41d4-a716-446655440001"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "of the service" / "progress"


@pytest.fixture
def files(folder: Path) -> ProgressFiles:
    return ProgressFiles(folder)


def test_it_works(files: ProgressFiles, folder: Path) -> None:
    files.write(TASK, {"revision": 1, "message": "Ö \ud800"})
    files.write(TASK, {"revision": 2, "message": "Ö \ud800"})
    assert files.read(TASK) == {"revision": 2, "message": "Ö \ud800"}
    assert [path.name for path in folder.iterdir()] == [f"{TASK}.json"]


def test_a_restarted_service_reads_what_the_last_one_wrote(files: ProgressFiles, folder: Path) -> None:
    files.write(TASK, {"revision": 7})
    assert ProgressFiles(folder).read(TASK) == {"revision": 7}


def test_the_folder_and_its_files_are_the_users_alone(files: ProgressFiles, folder: Path) -> None:
    files.write(TASK, {})
    assert folder.stat().st_mode & 0o777 == 0o700
    assert (folder / f"{TASK}.json").stat().st_mode & 0o777 == 0o600
    folder.chmod(0o755)
    assert ProgressFiles(folder).read(TASK) == {}
    assert folder.stat().st_mode & 0o777 == 0o700


def test_what_was_never_written_is_none_without_a_warning(
    files: ProgressFiles, caplog: pytest.LogCaptureFixture
) -> None:
    assert files.read(TASK) is None
    assert caplog.records == []


@pytest.mark.parametrize(
    "content", [b"", b'{"revision": 1', b"\xff\xfe\x00", b"[1, 2]", b"null", b"[" * 100_000], ids=lambda c: repr(c[:9])
)
def test_a_file_that_cannot_be_read_is_none_and_told_in_the_log(
    files: ProgressFiles, folder: Path, content: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    (folder / f"{TASK}.json").write_bytes(content)
    assert files.read(TASK) is None
    assert [record.levelno for record in caplog.records] == [logging.WARNING]
    assert TASK in caplog.text


def test_a_folder_in_the_files_place_is_told_when_reading_and_writing(
    files: ProgressFiles, folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (folder / f"{TASK}.json").mkdir()
    assert files.read(TASK) is None
    assert "cannot be read" in caplog.text
    with pytest.raises(StorageError) as caught:
        files.write(TASK, {"revision": 1})
    assert caught.value.code == "progress_unavailable"
    assert [path.name for path in folder.iterdir()] == [f"{TASK}.json"], "a draft was left"


def test_removing_takes_the_file_and_left_drafts_of_that_task_only(files: ProgressFiles, folder: Path) -> None:
    files.write(TASK, {})
    files.write(OTHER, {})
    (folder / f"{TASK}.999-1.tmp").write_bytes(b"{")
    files.remove(TASK)
    files.remove(TASK)
    assert files.read(TASK) is None
    assert [path.name for path in folder.iterdir()] == [f"{OTHER}.json"]


@pytest.mark.parametrize(
    "task_id",
    [
        "",
        "..",
        "../../etc/passwd",
        f"../{TASK}",
        f"{TASK}/../x",
        f"{TASK}\x00",
        f"{TASK}\n",
        f" {TASK}",
        "{" + TASK + "}",
        f"urn:uuid:{TASK}",
        TASK.replace("-", ""),
        TASK.replace("0", "\N{ARABIC-INDIC DIGIT ZERO}"),
        "*",
        None,
        5,
    ],
)
@pytest.mark.parametrize("use", ["write", "read", "remove"])
def test_a_task_id_that_is_no_uuid_never_becomes_a_file(
    files: ProgressFiles, folder: Path, task_id: str, use: str
) -> None:
    calls: dict[str, Callable[[], object]] = {
        "write": lambda: files.write(task_id, {}),
        "read": lambda: files.read(task_id),
        "remove": lambda: files.remove(task_id),
    }
    with pytest.raises(InvalidRequest) as caught:
        calls[use]()
    assert caught.value.field == "task_id"
    assert list(folder.parent.rglob("*")) == [folder]


def test_a_task_id_in_capitals_is_the_same_task(files: ProgressFiles) -> None:
    files.write(TASK.upper(), {"revision": 3})
    assert files.read(TASK) == {"revision": 3}


def test_a_reader_never_sees_half_a_file(files: ProgressFiles) -> None:
    """Sixteen threads replace one file while another reads it: every answer is one of those that were written."""
    files.write(TASK, {"writer": -1, "text": ""})
    barrier, done = threading.Barrier(17), threading.Event()

    def write(writer: int) -> None:
        barrier.wait(10)
        for _ in range(20):
            files.write(TASK, {"writer": writer, "text": str(writer) * 20_000})

    def read() -> list[bool]:
        barrier.wait(10)
        whole = []
        while not done.is_set():
            found = files.read(TASK)
            whole.append(found is not None and set(found["text"]) <= set(str(found["writer"])))
        return whole

    with ThreadPoolExecutor(17) as threads:
        reader = threads.submit(read)
        list(threads.map(write, range(16)))
        done.set()
        assert all(reader.result(10))


def test_a_folder_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError) as caught:
        ProgressFiles(tmp_path / "file" / "progress")
    assert caught.value.code == "progress_unavailable"
    assert caught.value.hint


def test_the_file_is_plain_json(files: ProgressFiles, folder: Path) -> None:
    files.write(TASK, {"percent": 31.0, "nodes": [{"name": "a"}]})
    assert json.loads((folder / f"{TASK}.json").read_text()) == {"percent": 31.0, "nodes": [{"name": "a"}]}
    with pytest.raises(ValueError, match="JSON"):
        files.write(TASK, {"percent": float("inf")})
