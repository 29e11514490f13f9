"""A history's way into PostgreSQL: all of it or nothing, whatever SQLite let in."""

from __future__ import annotations

import json
import sqlite3
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from sqlalchemy import Engine

from app.cli.entry import cli
from app.cli.server.service_lock import ServiceLock
from app.domain.hostkeys import HostKey
from app.domain.record import InstallRecord
from app.protocol.states import TaskState
from app.storage import DatabasePins, InstallStore, open_database
from app.storage.command_audit import CommandAudits
from app.storage.documents import FolderDocuments
from app.storage.history import History
from app.storage.log_files import LogFiles
from app.storage.log_table import LogTable, SharedAudits
from app.storage.shared_documents import SharedDocuments
from app.storage.shared_queue import SharedQueueStore
from test.storage.test_any_text import ONLY_IN_JSON, TEXTS

LARGE = 3_000_000


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    return tmp_path / "data"


@pytest.fixture
def here(data_dir: Path) -> Iterator[Engine]:
    """The SQLite of the service that has stopped."""
    engine = open_database(f"sqlite:///{data_dir / 'nodeferry.db'}")
    yield engine
    engine.dispose()


def _move(data_dir: Path, url: str, *more: str) -> Result:
    return CliRunner().invoke(cli, ["database", "move", "--data-dir", str(data_dir), "--to", url, *more])


def _install(engine: Engine, **values: object) -> InstallRecord:
    record = replace(InstallRecord(str(uuid.uuid4()), 1.0, {}, "root@h:22"), **values)  # type: ignore[arg-type]
    return InstallStore(engine).add(record)


def test_every_record_arrives_as_it_was(data_dir: Path, here: Engine, empty_postgresql_url: str) -> None:
    """Whatever text is in it, however large; what the service reads is equal on both sides, also by its links."""
    odd = {f"k{number}": text for number, text in enumerate([*TEXTS, *ONLY_IN_JSON])}
    _install(here, request=odd | {"retry_of": "x"}, snapshot={"large": "\0" * LARGE, "odd": odd})
    _install(here, instance="root@\0\ue000", ui_home="\0", error={"code": "\0"}, state=TaskState.FAILED)
    for number in range(250):
        _install(here, created_at=float(number))
    done = _move(data_dir, empty_postgresql_url)
    assert done.exit_code == 0, done.output
    there_too = open_database(empty_postgresql_url)
    for record in InstallStore(here).list(limit=1000):
        assert InstallStore(there_too).get(record.task_id) == InstallStore(here).get(record.task_id)
    assert History(there_too).all() != []
    assert InstallStore(there_too).list(instance="root@\0\ue000")[0].ui_home == "\0"
    assert SharedQueueStore(there_too).numbers() == (0, 251)
    there_too.dispose()


def test_what_is_no_json_arrives_as_nothing(data_dir: Path, here: Engine, empty_postgresql_url: str) -> None:
    """As the service reads it: a damaged value, a number that JSON does not have."""
    damaged, numbers = _install(here), _install(here)
    here.dispose()
    with closing(sqlite3.connect(data_dir / "nodeferry.db")) as raw, raw:
        raw.execute("update installs set snapshot = '{\"half' where task_id = ?", (damaged.task_id,))
        text = '{"a": NaN, "b": [1e999, -Infinity, 1.5], "c": "NaN"}'
        raw.execute("update installs set snapshot = ? where task_id = ?", (text, numbers.task_id))
    assert _move(data_dir, empty_postgresql_url).exit_code == 0
    there_too = open_database(empty_postgresql_url)
    found = [InstallStore(there_too).get(each.task_id) for each in (damaged, numbers)]
    assert [each.snapshot for each in found if each] == [None, {"a": None, "b": [None, None, 1.5], "c": "NaN"}]
    there_too.dispose()


def test_new_host_keys_get_new_numbers(data_dir: Path, here: Engine, empty_postgresql_url: str) -> None:
    """Also one that is longer than what an index of PostgreSQL takes."""
    long = "".join(uuid.uuid4().hex for _ in range(100))
    for number, key in enumerate(("AAAA", long)):
        DatabasePins(here).add_first(HostKey(f"h{number}", 22, "ssh-rsa", key, "SHA256:x", 1.0, "a test"))
    assert _move(data_dir, empty_postgresql_url).exit_code == 0
    there_too = open_database(empty_postgresql_url)
    DatabasePins(there_too).add_first(HostKey("h2", 22, "ssh-rsa", long, "SHA256:x", 1.0, "a test"))
    assert [key.host for key in DatabasePins(there_too).all()] == ["h0", "h1", "h2"]
    there_too.dispose()


def test_logs_documents_and_commands_arrive(data_dir: Path, here: Engine, empty_postgresql_url: str) -> None:
    """Byte for byte: a cut log, one that began anew, one whose rest never came, with bytes that are no text."""
    record, folder = _install(here), data_dir / "logs"
    with LogFiles(folder).writing(record.task_id) as writer:
        writer.append("run.log", 0, b"\0\xff" * 400_000)
        writer.append("nodes/one.log", 0, b"old\n")
        writer.append("nodes/one.log", 0, b"new\n", anew=True)
        was = writer.sizes()
    CommandAudits(folder).of(record.task_id).begin(["true"], "root", "a test")(0, "")
    documents = FolderDocuments(data_dir)
    for name in ("tokens.json", "proofs/a.json", "workflow-files/b.json.z", "elsewhere.json"):
        documents.write(name, b"\0" + name.encode())
    assert _move(data_dir, empty_postgresql_url).exit_code == 0
    there_too, files = open_database(empty_postgresql_url), LogFiles(folder)
    logs = LogTable(there_too)
    for name, size in files.sizes(record.task_id).items():
        assert logs.read(record.task_id, name, 0, size) == files.read(record.task_id, name, 0, size)
    with logs.writing(record.task_id) as again:
        assert again.sizes() == was
        assert again.append("nodes/one.log", 4, b"more\n") == 9
    assert SharedAudits(there_too).read(record.task_id) == CommandAudits(folder).read(record.task_id) != b""
    shared = SharedDocuments(lambda: there_too)
    assert [shared.read(name) for name in ("tokens.json", "elsewhere.json")] == [b"\0tokens.json", None]
    assert [name for name, _ in shared.newest_first("proofs", ".json")] == ["proofs/a.json"]
    there_too.dispose()


def test_a_row_that_postgresql_refuses_moves_nothing(data_dir: Path, here: Engine, empty_postgresql_url: str) -> None:
    """It is named, and all can be tried again."""
    record = _install(here)
    here.dispose()
    with closing(sqlite3.connect(data_dir / "nodeferry.db")) as raw, raw:
        raw.execute("update installs set revision = 5000000000")
    refused = _move(data_dir, empty_postgresql_url)
    assert refused.exit_code == 1 and record.task_id in refused.output and "out of range" in refused.output
    with closing(sqlite3.connect(data_dir / "nodeferry.db")) as raw, raw:
        raw.execute("update installs set revision = 5")
    assert _move(data_dir, empty_postgresql_url).exit_code == 0


def test_what_cannot_be_moved_is_refused_with_a_reason(data_dir: Path, here: Engine, empty_postgresql_url: str) -> None:
    """A running service, no history, a database with one, none named, and a history of a newer release."""
    _install(here)
    with ServiceLock(data_dir):
        assert "already uses the data folder" in _move(data_dir, empty_postgresql_url).output
    assert "There is no history" in _move(data_dir.parent / "empty", empty_postgresql_url).output
    assert "Which PostgreSQL is the history to be moved to?" in _move(data_dir, "").output
    assert _move(data_dir, empty_postgresql_url, "--json").exit_code == 0
    again = _move(data_dir, empty_postgresql_url, "--json")
    assert json.loads(again.output)["error"]["code"] == "database_not_empty"
    here.dispose()
    with closing(sqlite3.connect(data_dir / "nodeferry.db")) as raw, raw:
        raw.execute("update alembic_version set version_num = '9999'")
    assert "newer Nodeferry" in _move(data_dir, empty_postgresql_url).output


def test_an_address_is_pinned_once_by_all_processes(shared_engine: Engine) -> None:
    """Several meet it for the first time, and each is shown another key."""
    keys = [HostKey("h", 22, "ssh-rsa", f"AAAA{number}", "SHA256:x", 1.0, "a test") for number in range(8)]
    with ThreadPoolExecutor(8) as threads:
        seen = list(threads.map(DatabasePins(shared_engine).add_first, keys))
    assert len({each[0].key_base64 for each in seen}) == 1 == len(DatabasePins(shared_engine).all())
