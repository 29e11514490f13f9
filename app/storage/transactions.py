"""The two kinds of transactions that storage works in, and how they begin on SQLite."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from weakref import WeakKeyDictionary

from sqlalchemy import Connection, Engine, event, func, select
from sqlalchemy.exc import SQLAlchemyError

from app.storage.errors import StorageError, storage_error
from app.storage.postgresql_address import place

NO_BEGIN = "nodeferry_no_begin"
"""Execution option: do not begin a SQLite transaction, for what SQLite only does outside of one."""

_WRITER = "nodeferry_writer"
_ADDING = 0x4E46_0002
"""Names PostgreSQL's advisory lock of `adding`."""
_refused: WeakKeyDictionary[Engine, StorageError] = WeakKeyDictionary()
"""Why the last transaction that writes failed, of engines where it did."""
_error_listeners: WeakKeyDictionary[Engine, Callable[[StorageError], None]] = WeakKeyDictionary()


def pair_with_writer(engine: Engine, writer: Engine) -> None:
    """Have `writing(engine)` work in `writer`, whose pool holds one connection, until `engine` is disposed of.

    SQLite has one writer at a time and lets the others sleep and ask again. With 32 installs that write four times a
    second, adding one took 34 ms at the 99th percentile that way (median of six runs, 20 to 44), and 9 ms (7 to 34)
    with a queue for the one connection; measured in turns on two noisy cores.
    """
    engine.update_execution_options(**{_WRITER: writer})
    event.listen(engine, "engine_disposed", lambda _: writer.dispose())


def on_storage_errors(engine: Engine, listener: Callable[[StorageError], None]) -> None:
    """From now on `listener` is called with each error of a transaction, in the thread that had it."""
    for each in (engine, engine.get_execution_options().get(_WRITER, engine)):
        _error_listeners[each] = listener


@contextmanager
def reading(engine: Engine) -> Iterator[Connection]:
    """A transaction that only reads. Raises StorageError for what the database refuses."""
    with _transaction(engine) as connection:
        yield connection


@contextmanager
def writing(engine: Engine) -> Iterator[Connection]:
    """A transaction that writes, committed when the block ends. Raises StorageError for what the database refuses.

    It takes SQLite's write lock at its beginning: one that has read first could not wait for another writer.
    """
    try:
        with _transaction(engine.get_execution_options().get(_WRITER, engine)) as connection:
            yield connection
    except StorageError as exc:
        _refused[engine] = exc
        raise
    _refused.pop(engine, None)


@contextmanager
def adding(engine: Engine) -> Iterator[Connection]:
    """As `writing`, one at a time in all processes: for what first looks what there is and then adds to it. SQLite has
    one writer at a time anyway."""
    with writing(engine) as connection:
        if engine.dialect.name == "postgresql":
            connection.execute(select(func.pg_advisory_xact_lock(_ADDING)))  # given back by the commit
        yield connection


def check_writable(engine: Engine) -> None:
    """Where the last write failed, writes something that changes nothing. Raises StorageError when it still fails."""
    if engine in _refused and engine.dialect.name == "sqlite":
        with writing(engine) as connection:
            version = connection.exec_driver_sql("PRAGMA user_version").scalar_one()
            connection.exec_driver_sql(f"PRAGMA user_version = {int(version)}")


def begin_on_sqlite(statement: str, connection: Connection) -> None:
    """Listener for an engine's `begin` event: sqlite3 has been told to begin nothing by itself."""
    if not connection.get_execution_options().get(NO_BEGIN, False):
        connection.exec_driver_sql(statement)


def place_of(engine: Engine) -> str:
    """The database's name for messages: the file's path, or the URL without its password."""
    if engine.dialect.name == "sqlite":
        return str(engine.url.database)
    return place(engine.url)


@contextmanager
def _transaction(engine: Engine) -> Iterator[Connection]:
    try:
        with engine.begin() as connection:
            yield connection
    except SQLAlchemyError as exc:
        error = storage_error(exc, place_of(engine))
        if engine in _error_listeners:
            _error_listeners[engine](error)
        raise error from exc
