"""A database of an earlier release opens: what it holds is there, and what ran goes on."""

from __future__ import annotations

import json
import sqlite3
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest
from alembic import command
from alembic.config import Config
from sqlalchemy import create_engine

from app.domain.record import InstallRecord
from app.protocol.states import TaskState
from app.storage import DatabasePins, InstallStore, open_database
from app.storage.history import History
from app.storage.migration import MIGRATIONS, current_revision
from app.storage.schema import REVISIONS

pytestmark = pytest.mark.slow

REQUEST = {"ssh_connection": "root@ssh6.vast.ai -p 12345", "ui_home": "/workspace/ComfyUI", "manifest": None}
COLUMNS = "task_id, created_at, request, instance, state, started_at, total, successful, failed, skipped, revision"


@pytest.fixture
def first_release(database_file: Path) -> Path:
    """A file as the first release made it: three installs, of which one runs, an event and a pinned key."""
    database_file.parent.mkdir(mode=0o700)
    engine = create_engine(f"sqlite:///{database_file}")
    with engine.connect() as connection:
        config = Config()
        config.set_main_option("script_location", str(MIGRATIONS))
        config.set_main_option("path_separator", "os")
        config.attributes["connection"] = connection
        command.upgrade(config, "0001")
        connection.commit()
    engine.dispose()
    with closing(sqlite3.connect(database_file)) as raw, raw:
        raw.execute("PRAGMA journal_mode = WAL")
        for number, state in ((3, "queued"), (1, "completed"), (2, "running")):
            raw.execute(
                f"INSERT INTO installs ({COLUMNS}, journal_offset, journal_seq, snapshot) VALUES"
                " (?, ?, ?, 'root@ssh6.vast.ai:12345', ?, 5.0, 34, 3, 0, 0, 118, 4711, 42, ?)",
                (_task(number), float(number), json.dumps(REQUEST), state, json.dumps({"format": 1})),
            )
        for number in (1, 2):
            raw.execute("INSERT INTO service_events (task_id, event) VALUES (?, '{\"seq\": 1}')", (_task(number),))
        raw.execute("INSERT INTO host_keys VALUES (1, 'ssh6.vast.ai', 22, 'ssh-ed25519', 'AAAA', 'SHA256:x', 1, 'y')")
    return database_file


def _task(number: int) -> str:
    return f"6b8f0000-0000-4000-8000-{number:012d}"


def test_everything_is_there_and_in_its_order(first_release: Path, database_url: str) -> None:
    engine = open_database(database_url)
    store = InstallStore(engine)
    assert current_revision(engine) == REVISIONS[-1]
    assert [(r.task_id, r.number) for r in store.list()] == [(_task(n), n) for n in (3, 2, 1)]
    assert store.get(_task(2)) == InstallRecord(
        _task(2),
        2.0,
        REQUEST,
        "root@ssh6.vast.ai:12345",
        state=TaskState.RUNNING,
        started_at=5.0,
        total=34,
        successful=3,
        revision=118,
        journal_offset=4711,
        journal_seq=42,
        snapshot={"format": 1},
    )
    assert [key.sha256 for key in DatabasePins(engine).all()] == ["SHA256:x"]
    engine.dispose()


def test_what_ran_and_what_waited_goes_on_in_its_order(first_release: Path, database_url: str) -> None:
    """Nobody holds a lease of them; the next install that is accepted comes behind them."""
    engine = open_database(database_url)
    store = InstallStore(engine)
    assert [record.task_id for record in store.unfinished()] == [_task(2), _task(3)]
    store.add(InstallRecord(_task(4), 0.5, REQUEST, "root@h:22"))  # its clock is behind
    assert [record.task_id for record in store.unfinished()] == [_task(2), _task(3), _task(4)]
    engine.dispose()


def test_the_table_that_nothing_read_is_gone_and_its_rows_with_it(first_release: Path, database_url: str) -> None:
    """An install that had events can be removed, which a foreign key that stayed behind would refuse."""
    engine = open_database(database_url)
    removed, _ = History(engine).remove([_task(1)])
    engine.dispose()
    assert removed == [_task(1)]
    with closing(sqlite3.connect(first_release)) as raw:
        names = {name for (name,) in raw.execute("SELECT name FROM sqlite_master")}
        assert raw.execute("PRAGMA foreign_key_check").fetchall() == []
    assert not [name for name in names if "service_events" in name]


def test_two_threads_that_open_two_databases_each_get_all_of_theirs(tmp_path: Path) -> None:
    """What Alembic migrates is a global of its own: without a lock, tables land in the other's file."""
    both = threading.Barrier(2)

    def opened(name: str) -> str | None:
        both.wait(timeout=30)
        engine = open_database(f"sqlite:///{tmp_path}/{name}.db")
        revision = current_revision(engine)
        engine.dispose()
        return revision

    with ThreadPoolExecutor(2) as threads:
        assert list(threads.map(opened, ["a", "b"])) == [REVISIONS[-1]] * 2
