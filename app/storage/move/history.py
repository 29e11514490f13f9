"""Moves the whole history of a stopped service on SQLite into an empty PostgreSQL: all of it in one transaction, or
nothing. What arrived is read back and compared before it counts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import SQLAlchemyError

from app.storage.database import open_database
from app.storage.errors import StorageError, storage_error
from app.storage.move import files, tables
from app.storage.move.source import opened_source
from app.storage.move.sums import Progress, Sum
from app.storage.moved_mark import mark_as_moved
from app.storage.transactions import place_of, reading

_NO_LIMITS = (
    "SET LOCAL statement_timeout = 0; SET LOCAL lock_timeout = '10s'; SET LOCAL idle_in_transaction_session_timeout = 0"
)


@dataclass(frozen=True, slots=True)
class Moved:
    """What was moved: rows and bytes by what they are, and how many installs go on there."""

    parts: dict[str, Sum]
    unfinished: int


def move_history(data_dir: Path, source_url: str, target_url: str, progress: Progress) -> Moved:
    """See the module. The caller holds the data folder's lock. Raises StorageError; both databases are then as they
    were, but for empty tables in the target."""
    with opened_source(source_url) as source:
        target = open_database(target_url)
        try:
            with target.begin() as connection:
                moved = _move(data_dir, source, connection, progress)
        except SQLAlchemyError as exc:
            raise storage_error(exc, place_of(target)) from exc
        finally:
            target.dispose()
    mark_as_moved(source_url, place_of(target))
    return moved


def _move(data_dir: Path, source: Engine, target: Connection, progress: Progress) -> Moved:
    target.execute(text(_NO_LIMITS))
    used = tables.not_empty(target)
    if used:
        raise StorageError(
            f"The database {place_of(target.engine)} is not empty: it has {', '.join(used)}.",
            hint="Give an empty one: createdb NAME. A history is moved as a whole, and never joined with another.",
            code="database_not_empty",
        )
    parts: dict[str, Sum] = {}
    with reading(source) as connection:
        for table in tables.TABLES:
            parts[table.name] = tables.move_table(connection, target, table, progress)
    parts["documents"] = files.move_documents(data_dir, target, progress)
    parts["logs"] = files.move_logs(data_dir, target, progress)
    tables.set_sequences(target)
    for name, check in _checks().items():
        progress(f"compared: {name}", parts[name].rows, parts[name].rows)
        arrived = check(target)
        if arrived != parts[name]:
            message = f"What arrived of {name} is not what was sent: {arrived.rows} of {parts[name].rows} rows."
            raise StorageError(message, hint="Nothing was moved. Does another program change the data folder?")
    return Moved(parts, tables.enqueue_unfinished(target))


def _checks() -> dict[str, Callable[[Connection], Sum]]:
    of_tables = {table.name: partial(tables.sum_of, table=table) for table in tables.TABLES}
    return {**of_tables, "documents": files.sum_of_documents, "logs": files.sum_of_logs}
