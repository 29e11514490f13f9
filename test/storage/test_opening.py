"""Opening a database: made, migrated, found as it was left, or refused in plain words."""

from __future__ import annotations

import logging
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Engine

from app.storage import InstallStore, StorageError, open_database, shared_tables
from app.storage.filelock import file_lock
from app.storage.migration import MIGRATIONS, current_revision
from app.storage.schema import REVISIONS, metadata
from app.storage.transactions import reading
from test.storage.records import new_record

pytestmark = pytest.mark.slow


def run_python(program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", program, *arguments], capture_output=True, text=True, timeout=60, check=False
    )


def refusal(url: str) -> StorageError:
    with pytest.raises(StorageError) as caught:
        open_database(url, busy_timeout=0.05).dispose()
    assert caught.value.message
    assert caught.value.hint
    return caught.value


def test_a_new_database_has_the_newest_schema(engine: Engine) -> None:
    assert current_revision(engine) == REVISIONS[-1]


def test_what_was_stored_is_there_after_opening_again(database_url: str) -> None:
    record = new_record()
    first = open_database(database_url)
    InstallStore(first).add(record)
    first.dispose()
    second = open_database(database_url)
    assert InstallStore(second).get(record.task_id) == record
    second.dispose()


def test_an_added_install_survives_a_kill_of_the_service(database_url: str) -> None:
    """What `add` has returned from is on disk: a kill -9 right after it loses nothing."""
    program = """
import os, signal, sys
from app.storage import InstallStore, open_database
from test.storage.records import new_record
InstallStore(open_database(sys.argv[1])).add(new_record(task_id="6b8f0000-0000-4000-8000-000000000001"))
os.kill(os.getpid(), signal.SIGKILL)
"""
    killed = run_python(program, database_url)
    assert killed.returncode == -9, killed.stderr
    engine = open_database(database_url)
    assert InstallStore(engine).get("6b8f0000-0000-4000-8000-000000000001") is not None
    engine.dispose()


def test_only_the_user_can_read_it(database_url: str, database_file: Path) -> None:
    engine = open_database(database_url)
    InstallStore(engine).add(new_record())
    assert database_file.parent.stat().st_mode & 0o777 == 0o700
    modes = {path.name: path.stat().st_mode & 0o777 for path in database_file.parent.iterdir()}
    assert "nodeferry.db-wal" in modes
    assert set(modes.values()) == {0o600}, modes
    engine.dispose()


@pytest.mark.sqlite
def test_sqlite_is_set_up_to_lose_nothing(engine: Engine) -> None:
    with reading(engine) as connection:
        found = {
            name: connection.exec_driver_sql(f"PRAGMA {name}").scalar()
            for name in ("journal_mode", "busy_timeout", "synchronous", "foreign_keys")
        }
    assert found == {"journal_mode": "wal", "busy_timeout": 5000, "synchronous": 2, "foreign_keys": 1}


def test_the_migrations_make_the_tables_that_the_code_uses(engine: Engine) -> None:
    """Both databases have the same; PostgreSQL also what lies in a folder elsewhere, and indexes of its own."""
    is_shared = engine.dialect.name == "postgresql"
    described = [metadata, shared_tables.metadata] if is_shared else [metadata]
    names = {name for each in described for name in each.tables}
    with engine.connect() as connection:
        mine = {"compare_type": True, "include_name": lambda name, kind, _: kind != "table" or name in names}
        context = MigrationContext.configure(connection, opts=mine)
        found = compare_metadata(context, described)  # type: ignore[arg-type]  # it takes several
    own = [
        ("remove_index", "uq_host_keys_key"),
        ("remove_index", "ix_installs_finished_at"),
        ("add_constraint", "host_keys"),
    ]
    told = [
        (what, thing.table.name if what == "add_constraint" else getattr(thing, "name", "")) for what, thing in found
    ]
    assert sorted(told) == sorted(own if is_shared else [])


def test_the_known_revisions_are_the_migrations_there_are() -> None:
    script = ScriptDirectory(str(MIGRATIONS))
    assert tuple(reversed([each.revision for each in script.walk_revisions()])) == REVISIONS


def test_migrating_leaves_logging_alone(database_url: str) -> None:
    ours, root = logging.getLogger("app.test_of_logging"), logging.getLogger()
    before = (root.level, list(root.handlers), ours.disabled)
    open_database(database_url).dispose()
    assert (root.level, list(root.handlers), ours.disabled) == before


@pytest.mark.sqlite
def test_a_database_that_is_up_to_date_opens_without_alembic(engine: Engine, database_url: str) -> None:
    program = """
import sys
from app.storage import open_database
open_database(sys.argv[1]).dispose()
assert not [name for name in sys.modules if name.startswith("alembic")]
"""
    opened = run_python(program, database_url)
    assert opened.returncode == 0, opened.stderr


@pytest.mark.slow
def test_services_that_open_a_new_database_at_once_all_get_it(database_url: str) -> None:
    program = "import sys; from app.storage import open_database; open_database(sys.argv[1]).dispose()"
    running = [
        subprocess.Popen([sys.executable, "-c", program, database_url], stderr=subprocess.PIPE, text=True)
        for _ in range(3)
    ]
    errors = [process.communicate(timeout=60)[1] for process in running]
    assert [process.returncode for process in running] == [0, 0, 0], errors


def test_a_file_that_is_no_database_is_refused_and_kept(database_file: Path, database_url: str) -> None:
    database_file.parent.mkdir()
    content = b"these are my notes, not a database\n" * 100
    database_file.write_bytes(content)
    error = refusal(database_url)
    assert error.code == "database_corrupt"
    assert str(database_file) in error.message
    assert database_file.read_bytes() == content


def test_a_damaged_database_is_refused(database_file: Path, database_url: str) -> None:
    """A page overwritten in the middle of the file is found when it is opened, not by whoever reads it first."""
    engine = open_database(database_url)
    for _ in range(50):
        InstallStore(engine).add(new_record(request={"manifest": "x" * 2000}))
    engine.dispose()
    content = bytearray(database_file.read_bytes())
    middle = len(content) // 2 // 4096 * 4096
    content[middle : middle + 4096] = b"\xa5" * 4096
    database_file.write_bytes(content)
    assert refusal(database_url).code == "database_corrupt"


def test_a_newer_schema_is_refused_and_left_alone(database_file: Path, database_url: str) -> None:
    open_database(database_url).dispose()
    with closing(sqlite3.connect(database_file)) as raw, raw:
        raw.execute("UPDATE alembic_version SET version_num = '9999'")
    error = refusal(database_url)
    assert error.code == "database_newer"
    assert "9999" in error.message
    with closing(sqlite3.connect(database_file)) as raw:
        assert raw.execute("SELECT version_num FROM alembic_version").fetchall() == [("9999",)]


def test_a_migration_that_fails_leaves_nothing_half_done(database_file: Path, database_url: str) -> None:
    """All migrations are one transaction: here the last table of the first one is already taken."""
    database_file.parent.mkdir()
    with closing(sqlite3.connect(database_file)) as raw, raw:
        raw.execute("CREATE TABLE host_keys (of_somebody_else TEXT)")
    assert "host_keys" in refusal(database_url).message
    with closing(sqlite3.connect(database_file)) as raw:
        assert raw.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall() == [("host_keys",)]


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    error = refusal(f"sqlite:///{tmp_path}/file/nodeferry.db")
    assert error.code == "database_unavailable"
    assert "NODEFERRY_DATA_DIR" in error.hint


def test_a_folder_in_the_databases_place_is_refused(database_file: Path, database_url: str) -> None:
    database_file.mkdir(parents=True)
    assert refusal(database_url).code == "database_unavailable"


@pytest.mark.parametrize(
    "url", ["sqlite://", "sqlite:///:memory:", "sqlite:///file:x?uri=true", "nonsense", "", "x://y/z", "oracle://h/d"]
)
def test_a_url_that_cannot_be_used_is_refused(url: str) -> None:
    refusal(url)


@pytest.mark.sqlite
def test_opening_while_another_program_writes_says_so(engine: Engine, database_file: Path, database_url: str) -> None:
    with closing(sqlite3.connect(database_file, isolation_level=None)) as raw:
        raw.execute("BEGIN IMMEDIATE")
        assert refusal(database_url).code == "database_locked"


def test_a_database_that_another_service_is_just_opening_is_waited_for(
    database_file: Path, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Opening holds the lock beside the file, and gives up when it stays taken."""
    monkeypatch.setattr("app.storage.database.OPEN_LOCK_SECONDS", 0.05)
    database_file.parent.mkdir()
    with file_lock(database_file.with_name("nodeferry.db.lock"), 0):
        assert refusal(database_url).code == "database_locked"
    assert database_file.stat().st_size == 0
    open_database(database_url).dispose()


def test_a_file_lock_that_stays_held_is_an_error_after_its_time(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with file_lock(path, 0), pytest.raises(StorageError) as caught, file_lock(path, 0.05):
        pass
    assert caught.value.code == "database_locked"
    with file_lock(path, 0):
        pass
