"""The commands of docs/cluster.md for backup and restore, run beside a service that writes."""

from __future__ import annotations

import re
import shlex
import subprocess
import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from sqlalchemy import Engine

from app.domain.hostkeys import HostKey
from app.domain.record import InstallRecord
from app.standin.postgresql import PostgreSQL, programs
from app.storage import DatabasePins, InstallStore, open_database
from app.storage.log_table import LogTable
from app.storage.shared_documents import SharedDocuments
from app.storage.shared_queue import SharedQueueStore
from test.support.waiting import wait_until

DOCS = Path(__file__).parents[2] / "docs" / "cluster.md"


def _commands(heading: str) -> list[str]:
    """The commands of the first block below a heading."""
    text = DOCS.read_text("utf-8").partition(f"{heading}\n")[2]
    found = re.search(r"```\n(.*?)```", text, re.DOTALL)
    assert found, heading
    return found[1].strip().splitlines()


def _run(command: str, places: dict[str, str], folder: Path) -> None:
    argv = shlex.split(command)
    for name, place in places.items():
        argv = [word.replace(name, place) for word in argv]
    found = programs()
    if found and (found / argv[0]).exists():
        argv[0] = str(found / argv[0])
    done = subprocess.run(argv, check=False, capture_output=True, cwd=folder, timeout=120)
    assert done.returncode == 0, done.stderr.decode()


@contextmanager
def _written(engine: Engine) -> Iterator[None]:
    """A service stores one install after the other meanwhile."""
    stop, stored = threading.Event(), []

    def write() -> None:
        while not stop.is_set():
            stored.append(InstallStore(engine).add(InstallRecord(str(uuid.uuid4()), 1.0, {}, "h")))

    thread = threading.Thread(target=write)
    thread.start()
    try:
        wait_until(lambda: len(stored) > 5, 20, "it writes")
        yield
    finally:
        stop.set()
        thread.join()


def test_a_backup_of_sqlite_beside_a_running_service_is_whole(database_url: str, database_file: Path) -> None:
    engine = open_database(database_url)
    with _written(engine):
        for command in _commands("### Backup of one process with SQLite"):
            _run(
                command,
                {"DATA_FOLDER": str(database_file.parent), "BACKUP": str(database_file.parent.parent / "b")},
                database_file.parent,
            )
    engine.dispose()
    restored = open_database(f"sqlite:///{database_file.parent.parent / 'b' / 'nodeferry.db'}")
    assert len(InstallStore(restored).list(limit=1000)) > 5
    restored.dispose()


@pytest.mark.slow
def test_a_backup_of_postgresql_is_whole_and_goes_on(
    shared_engine: Engine, postgresql: PostgreSQL, tmp_path: Path
) -> None:
    """With its queue, logs and documents; what gives numbers gives new ones."""
    documents, logs, task_id = SharedDocuments(lambda: shared_engine), LogTable(shared_engine), str(uuid.uuid4())
    documents.write("tokens.json", b"\0one")
    with logs.writing(task_id) as writer:
        writer.append("run.log", 0, b"\0\xff")
    DatabasePins(shared_engine).add_first(HostKey("h", 22, "t", "AAAA", "SHA256:x", 1.0, "a test"))
    target = f"restored_{uuid.uuid4().hex}"
    places = {
        "postgresql://DATABASE": shared_engine.url.set(drivername="postgresql").render_as_string(False),
        "postgresql://NEW": postgresql.url(target).replace("+psycopg", ""),
    }
    with _written(shared_engine):
        _run(_commands("### Backup of PostgreSQL")[0], places, tmp_path)
    postgresql.create(target)
    _run(_commands("### Restore")[-1], places, tmp_path)
    restored = open_database(postgresql.url(target))
    assert SharedDocuments(lambda: restored).read("tokens.json") == b"\0one"
    assert LogTable(restored).read(task_id, "run.log", 0, 9) == (b"\0\xff", 2)
    found = len(InstallStore(restored).list(limit=1000))
    assert found > 5 and SharedQueueStore(restored).numbers() == (0, found)
    InstallStore(restored).add(InstallRecord(str(uuid.uuid4()), 1.0, {}, "h"))
    DatabasePins(restored).add_first(HostKey("i", 22, "t", "AAAA", "SHA256:x", 1.0, "a test"))
    version = SharedDocuments(lambda: restored).version("tokens.json")
    SharedDocuments(lambda: restored).write("tokens.json", b"two")
    assert SharedDocuments(lambda: restored).version("tokens.json") != version
    restored.dispose()
    postgresql.drop(target)
