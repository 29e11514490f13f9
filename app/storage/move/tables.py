"""Records, row by row: what SQLite takes as any column's value, as PostgreSQL takes it."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from typing import Any

from sqlalchemy import JSON, Column, Connection, Integer, Table, Text, exists, func, insert, select, text, type_coerce
from sqlalchemy import table as sql_table
from sqlalchemy.exc import SQLAlchemyError

from app.storage import shared_tables
from app.storage.errors import StorageError
from app.storage.move.sums import Progress, Sum
from app.storage.schema import metadata
from app.storage.shared_queue import adopt_installs

TABLES = tuple(metadata.sorted_tables)
_AT_ONCE = 200
_BYTES_AT_ONCE = 4 * 1024 * 1024
"""What is held of a table while it is moved."""
_JOBS = sql_table("procrastinate_jobs")
_Row = dict[str, Any]


def move_table(source: Connection, target: Connection, table: Table, progress: Progress) -> Sum:
    """Copies every row; what was read. Raises StorageError that names the row that the target refuses."""
    found, count = Sum(), _count(source, table)
    for batch in _batches(rows_of(source, table)):
        for row in batch:
            found.add(row)
        _insert(target, table, batch)
        progress(table.name, found.rows, count)
    return found


def sum_of(connection: Connection, table: Table) -> Sum:
    """What a table has."""
    found = Sum()
    for row in rows_of(connection, table):
        found.add(row)
    return found


def rows_of(connection: Connection, table: Table) -> Iterator[_Row]:
    """The rows of a table as JSON values; words as they are stored. Nobody holds an install's lease any more."""
    query = select(*(type_coerce(column, Text) if _is_coded(column) else column for column in table.c))
    query = query.execution_options(stream_results=True, yield_per=20)
    names, is_read = [column.name for column in table.c], connection.dialect.name == "postgresql"
    documents = [column.name for column in table.c if isinstance(column.type, JSON)]
    for values in connection.execute(query):
        row = dict(zip(names, values, strict=True))
        for name in documents:
            row[name] = row[name] if is_read else _document(row[name])
        if table.name == "installs":
            row |= {"lease_owner": None, "lease_expires_at": None}
        yield row


def enqueue_unfinished(connection: Connection) -> int:
    """Gives a worker every install that has not ended, in their order; how many there are."""
    return len(adopt_installs(connection))


def set_sequences(connection: Connection) -> None:
    """The next number that a table gives by itself is one that no row has."""
    for table in TABLES:
        for column in table.primary_key:
            if isinstance(column.type, Integer):
                most = select(func.coalesce(func.max(column), 0)).scalar_subquery()
                sequence = func.pg_get_serial_sequence(table.name, column.name)
                connection.execute(select(func.setval(sequence, most + 1, False)))


def not_empty(connection: Connection) -> list[str]:
    """The tables that have rows. Until the transaction ends nobody else writes into them."""
    used = [*TABLES, *shared_tables.metadata.sorted_tables, _JOBS]
    connection.execute(text(f"LOCK TABLE {', '.join(table.name for table in used)} IN EXCLUSIVE MODE"))
    return [t.name for t in used if connection.execute(select(exists(select(1).select_from(t)))).scalar()]


def _is_coded(column: Column[Any]) -> bool:
    """Whether SQLAlchemy would not give what stands there, but what it stands for."""
    return isinstance(column.type, JSON) or type(column.type).__name__ == "_Words"


def _document(stored: str | bytes | None) -> Any:
    """JSON as a service reads it: nothing for what is none. PostgreSQL, unlike SQLite, takes no NaN and no infinity."""
    try:
        return None if stored is None else json.loads(stored, parse_constant=lambda _: None, parse_float=_finite)
    except (RecursionError, TypeError, ValueError):
        return None


def _finite(digits: str) -> float | None:
    value = float(digits)
    return value if math.isfinite(value) else None


def _count(connection: Connection, table: Table) -> int:
    return int(connection.execute(select(func.count()).select_from(table)).scalar_one())


def _batches(rows: Iterator[_Row]) -> Iterator[list[_Row]]:
    batch: list[_Row] = []
    size = 0
    for row in rows:
        batch.append(row)
        size += sum(len(str(value)) for value in row.values())
        if len(batch) >= _AT_ONCE or size >= _BYTES_AT_ONCE:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def _insert(target: Connection, table: Table, batch: list[_Row]) -> None:
    try:
        with target.begin_nested():
            target.execute(insert(table), batch)
    except SQLAlchemyError:
        for row in batch:  # which one was it?
            _insert_one(target, table, row)


def _insert_one(target: Connection, table: Table, row: Mapping[str, Any]) -> None:
    try:
        with target.begin_nested():
            target.execute(insert(table), row)
    except SQLAlchemyError as exc:
        key = next(iter(table.primary_key)).name
        message = f"PostgreSQL does not take the row {row[key]} of {table.name}: {getattr(exc, 'orig', exc)}."
        raise StorageError(message, hint="Nothing was moved; both databases are as they were.") from exc
