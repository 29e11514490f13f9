"""Progress files: replaced as a whole, readable by their owner alone, never outside of their folder."""

from __future__ import annotations

import json
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from app.domain.errors import InvalidRequest
from app.storage import ProgressFiles, StorageError

TASK = "550e8400-e29b-41d4-a716-446655440000"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "of the service" / "progress"


@pytest.fixture
def files(folder: Path) -> ProgressFiles:
    return ProgressFiles(folder)


def _read(folder: Path) -> Any:
    return json.loads((folder / f"{TASK}.json").read_bytes())


def test_it_works(files: ProgressFiles, folder: Path) -> None:
    files.write(TASK, {"revision": 1, "message": "Ö \ud800"})
    files.write(TASK, {"revision": 2, "message": "Ö \ud800"})
    assert _read(folder) == {"revision": 2, "message": "Ö \ud800"}
    assert [path.name for path in folder.iterdir()] == [f"{TASK}.json"]


def test_the_folder_and_its_files_are_the_users_alone(files: ProgressFiles, folder: Path) -> None:
    files.write(TASK, {})
    assert folder.stat().st_mode & 0o777 == 0o700
    assert (folder / f"{TASK}.json").stat().st_mode & 0o777 == 0o600
    folder.chmod(0o755)
    ProgressFiles(folder)
    assert _read(folder) == {}
    assert folder.stat().st_mode & 0o777 == 0o700


def test_a_folder_in_the_files_place_is_told(files: ProgressFiles, folder: Path) -> None:
    (folder / f"{TASK}.json").mkdir()
    with pytest.raises(StorageError) as caught:
        files.write(TASK, {"revision": 1})
    assert caught.value.code == "progress_unavailable"
    assert [path.name for path in folder.iterdir()] == [f"{TASK}.json"], "a draft was left"


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
def test_a_task_id_that_is_no_uuid_never_becomes_a_file(files: ProgressFiles, folder: Path, task_id: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        files.write(task_id, {})
    assert caught.value.field == "task_id"
    assert list(folder.parent.rglob("*")) == [folder]


def test_a_task_id_in_capitals_is_the_same_task(files: ProgressFiles, folder: Path) -> None:
    files.write(TASK.upper(), {"revision": 3})
    assert _read(folder) == {"revision": 3}


def test_a_reader_never_sees_half_a_file(files: ProgressFiles, folder: Path) -> None:
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
            found = _read(folder)
            whole.append(set(found["text"]) <= set(str(found["writer"])))
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
