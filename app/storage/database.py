"""Opening the database: an engine whose schema is up to date, or a StorageError that says what is wrong.

SQLite runs in WAL mode with synchronous=FULL: what was committed is there after a power cut, and readers never wait for
a writer. PostgreSQL's side is in app/storage/postgresql.py.
"""

from __future__ import annotations

import json
import sqlite3
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Engine, create_engine, event
from sqlalchemy.exc import ArgumentError, InvalidRequestError, SQLAlchemyError

from app.protocol.snapshot import Problem
from app.storage import postgresql, postgresql_address, postgresql_text
from app.storage.errors import KEEP_HINT, StorageError, storage_error
from app.storage.filelock import file_lock
from app.storage.migration import migrate
from app.storage.private_folder import private_folders
from app.storage.stored_json import to_json
from app.storage.transactions import NO_BEGIN, begin_on_sqlite, pair_with_writer, place_of, writing

BUSY_TIMEOUT_SECONDS = 5.0
OPEN_LOCK_SECONDS = 30.0
CHECKED_BYTES = 64 * 1024 * 1024
"""Files up to this size are checked whole when they are opened, in about 0.1 s; reading finds damage in larger ones."""

_HINT = "Give a path, for example: sqlite:////home/me/nodeferry/nodeferry.db"
_EXTRA = "For PostgreSQL install the extra: pip install 'nodeferry[postgresql]', or requirements-postgresql.txt."


def open_database(url: str, *, busy_timeout: float = BUSY_TIMEOUT_SECONDS) -> Engine:
    """An engine for `url` with the schema brought up to date; the caller disposes of it. Usable from any thread.

    `busy_timeout`: seconds to wait for another program's write. A SQLite file and its folder (0700) are made.
    Raises StorageError for what is no database, damaged, of a newer Nodeferry, read-only, full, or locked.
    """
    parsed = _parse(url)
    try:
        engine = _engine(parsed, busy_timeout)
    except (ArgumentError, ImportError) as exc:  # no such kind of database, or its driver is not installed
        hint = _EXTRA if parsed.get_backend_name() == "postgresql" else _HINT
        raise StorageError(f"The database cannot be used: {exc}.", hint=hint, code="database_unavailable") from exc
    try:
        if parsed.get_backend_name() == "sqlite":
            _open_sqlite(engine, _prepared_file(parsed))
        else:
            migrate(engine)
    except SQLAlchemyError as exc:
        engine.dispose()
        raise storage_error(exc, place_of(engine)) from exc
    except StorageError:
        engine.dispose()
        raise
    return engine


def _parse(url: str) -> URL:
    parsed = postgresql_address.read(url)
    if isinstance(parsed, Problem):
        raise StorageError(parsed.message, hint=parsed.hint, code=parsed.code)
    if parsed.get_backend_name() == "sqlite" and (parsed.database or ":memory:").startswith((":memory:", "file:")):
        raise StorageError("The database has to be a file, so that it is still there after a restart.", hint=_HINT)
    return parsed


def _engine(url: URL, busy_timeout: float) -> Engine:
    # Requests and seals are among a statement's parameters: no error may show them.
    made = partial(create_engine, url, json_serializer=_to_json, json_deserializer=_from_json, hide_parameters=True)
    if url.get_backend_name() == "postgresql":
        engine = made(
            connect_args=postgresql.CONNECTION,
            **postgresql.POOL,
            json_serializer=_to_storable_json,
            json_deserializer=_from_stored_json,
        )
        # First: SQLAlchemy cannot even read the version of a server whose texts are bytes.
        event.listen(engine, "connect", partial(_check_server, url), insert=True)
        event.listen(engine, "connect", postgresql.set_up_session)
        event.listen(engine, "connect", lambda connection, _: postgresql_text.adapt(connection))
        return engine
    engine = made()
    if url.get_backend_name() == "sqlite":
        writer = made(pool_size=1, max_overflow=0)
        for each, begin in ((engine, "BEGIN"), (writer, "BEGIN IMMEDIATE")):
            event.listen(each, "connect", partial(_set_up_connection, busy_timeout))
            event.listen(each, "begin", partial(begin_on_sqlite, begin))
        pair_with_writer(engine, writer)
    return engine


def _check_server(url: URL, connection: Any, _: object) -> None:
    problem = postgresql.unsuitable(connection.info)
    if problem is not None:
        message = problem.message.format(where=postgresql_address.place(url))
        raise StorageError(message, hint=problem.hint, code=problem.code)


def _set_up_connection(busy_timeout: float, connection: sqlite3.Connection, _: object) -> None:
    connection.isolation_level = None  # sqlite3 would begin transactions by itself, late and deferred
    connection.execute(f"PRAGMA busy_timeout = {int(busy_timeout * 1000)}")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA foreign_keys = ON")


def _prepared_file(url: URL) -> Path:
    """The database's file, there and only ours to read; SQLite gives its WAL the same mode."""
    path = Path(str(url.database)).absolute()
    try:
        private_folders(path.parent)
        path.touch(mode=0o600)
        for name in (path.name, f"{path.name}-wal", f"{path.name}-shm", f"{path.name}.lock"):
            with suppress(FileNotFoundError, PermissionError):  # a file of others, or a volume without modes
                path.with_name(name).chmod(0o600)
    except OSError as exc:
        raise StorageError(
            f"The database {path} cannot be created: {exc.strerror or exc}.",
            hint="Set NODEFERRY_DATA_DIR to a folder that can be written.",
            code="database_unavailable",
        ) from exc
    return path


def _open_sqlite(engine: Engine, path: Path) -> None:
    with file_lock(path.with_name(path.name + ".lock"), OPEN_LOCK_SECONDS):
        with engine.execution_options(**{NO_BEGIN: True}).connect() as connection:
            connection.exec_driver_sql("PRAGMA journal_mode = WAL")  # kept in the file
            if path.stat().st_size <= CHECKED_BYTES:
                verdict = str(connection.exec_driver_sql("PRAGMA quick_check(1)").scalar())
                if verdict != "ok":
                    message = f"The database {path} is damaged: {verdict}."
                    raise StorageError(message, hint=KEEP_HINT, code="database_corrupt")
        migrate(engine)
    with writing(engine):
        pass  # a file that cannot be written says so now, not at the first install


def _to_json(value: Any) -> str:
    try:
        return to_json(value)
    except ValueError as exc:  # as SQLAlchemy's own, whoever calls this
        raise InvalidRequestError(f"this is no JSON: {exc}") from exc


def _to_storable_json(value: Any) -> str:
    return postgresql_text.storable_json(_to_json(value))


def _from_stored_json(stored: str | bytes) -> Any:
    return _from_json(postgresql_text.json_as_it_was(stored if isinstance(stored, str) else bytes(stored).decode()))


def _from_json(text: str) -> Any:
    """None for what is no JSON: one damaged value must not hide every other record."""
    try:
        return json.loads(text)
    except (RecursionError, ValueError):
        return None
