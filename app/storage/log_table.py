"""The logs of runs in PostgreSQL: written by the worker that follows a run, read by every process.

A log is its pieces, each at its byte, and a row that says how much of it is here. Only who still finds that row as it
knows it appends: of two workers that follow one run, for a moment, none writes what the other has written. A database
that was killed may have lost the last pieces (it is not asked to sync them): then the row is older than the writer
thinks, and the instance sends from there again.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable
from contextlib import suppress

from sqlalchemy import (
    BindParameter,
    ColumnElement,
    Connection,
    Engine,
    Integer,
    and_,
    bindparam,
    cast,
    delete,
    false,
    func,
    select,
    update,
)
from sqlalchemy.dialects.postgresql import insert

from app.protocol.audit import SERVICE, AuditLines
from app.protocol.log_names import RUN_LOG, is_log_name
from app.protocol.states import TERMINAL_TASK_STATES
from app.storage.command_audit import COMMANDS, MAX_OPEN, CommandAudits, lost
from app.storage.errors import StorageError
from app.storage.log_files import BLOCK_BYTES, REST_IS_THERE, Kept, Logs, LogWriter
from app.storage.log_group import Held, LogGroup, Piece, Start, append_pieces
from app.storage.progress_files import canonical_task_id
from app.storage.schema import installs
from app.storage.shared_tables import log_files, log_pieces, task_logs
from app.storage.transactions import reading, writing

STILL_SECONDS = 60.0
"""For so long after its end more may come of a task's logs. The clocks of instances and database may differ."""
_TASK: BindParameter[str] = bindparam("of_task")
_NAME: BindParameter[str] = bindparam("of_name")
_IS_LOG = and_(log_files.c.task_id == _TASK, log_files.c.name == _NAME)
_HERE = select(log_files.c.size, log_files.c.base, log_files.c.is_full).where(_IS_LOG)
_FIRST_PIECE = (
    select(func.coalesce(func.max(log_pieces.c.at), 0))
    .where(log_pieces.c.task_id == _TASK, log_pieces.c.name == _NAME, log_pieces.c.at <= bindparam("first"))
    .scalar_subquery()
)
_PIECES = (
    select(
        log_pieces.c.at,
        # Of a piece of which only a part is wanted, only that part is read.
        func.substr(
            log_pieces.c.content,
            cast(func.greatest(bindparam("first") - log_pieces.c.at, 0) + 1, Integer),
            cast(func.greatest(bindparam("end") - func.greatest(bindparam("first"), log_pieces.c.at), 0), Integer),
        ).label("content"),
    )
    .where(log_pieces.c.task_id == _TASK, log_pieces.c.name == _NAME)
    .where(log_pieces.c.at >= _FIRST_PIECE, log_pieces.c.at < bindparam("end"))
    .order_by(log_pieces.c.at)
)
_GOES_ON = (
    select(installs.c.task_id)
    .where(installs.c.task_id == task_logs.c.task_id)
    .where(
        installs.c.state.not_in(sorted(TERMINAL_TASK_STATES))
        | (installs.c.finished_at > func.extract("epoch", func.now()) - STILL_SECONDS)
    )
    .exists()
)


_IS_WRITTEN = and_(task_logs.c.written_by.is_not(None), _GOES_ON)
"""A worker that was killed has not said that it has left."""


class LogTable(Logs):
    """The logs of every task. See `Logs`."""

    def __init__(self, engine: Engine, start: Start | None = None) -> None:
        """`start`: as of `LogGroup`."""
        super().__init__()
        self._engine = engine
        self._group = LogGroup(engine, start)

    def is_written(self, task_id: str) -> bool:
        """See `Logs`: by any process."""
        if super().is_written(task_id):
            return True
        query = select(task_logs.c.task_id).where(task_logs.c.task_id == task_id, _IS_WRITTEN)
        with reading(self._engine) as connection:
            return connection.execute(query).first() is not None

    def cut_written(self) -> None:
        """See `Logs`: by any process, at its next piece."""
        super().cut_written()
        with writing(self._engine) as connection:
            connection.execute(update(task_logs).where(task_logs.c.is_open).values(is_cut=True))

    def sizes(self, task_id: str) -> dict[str, int]:
        """See `Logs`."""
        query = select(log_files.c.name, log_files.c.size).where(log_files.c.task_id == canonical_task_id(task_id))
        with reading(self._engine) as connection:
            rows = connection.execute(query.order_by(log_files.c.name)).all()
        return {row.name: row.size for row in rows if is_log_name(row.name)}

    def totals(self) -> dict[str, int]:
        """See `Logs`: in one question."""
        total = func.coalesce(func.sum(log_files.c.size), 0)
        both = task_logs.outerjoin(log_files, task_logs.c.task_id == log_files.c.task_id)
        with reading(self._engine) as connection:
            rows = connection.execute(
                select(task_logs.c.task_id, total).select_from(both).group_by(task_logs.c.task_id)
            ).all()
        return {task_id: int(size) for task_id, size in rows}

    def read(self, task_id: str, name: str, offset: int, limit: int) -> tuple[bytes, int]:
        """See `Logs`."""
        canonical_task_id(task_id)
        if not is_log_name(name):
            return b"", 0
        with reading(self._engine) as connection:
            return _read(connection, task_id, name, offset, limit)

    def close(self, task_id: str) -> None:
        """See `Logs`."""
        if not super().is_written(canonical_task_id(task_id)):
            close_logs(self._engine, task_id, _IS_WRITTEN)

    def tasks(self) -> list[str]:
        """See `Logs`."""
        with reading(self._engine) as connection:
            return list(connection.execute(select(task_logs.c.task_id).order_by(task_logs.c.task_id)).scalars())

    def remove(self, task_id: str) -> None:
        """See `Logs`."""
        canonical_task_id(task_id)
        with writing(self._engine) as connection:
            for table in (log_pieces, log_files, task_logs):
                connection.execute(delete(table).where(table.c.task_id == task_id))

    def _writer(self, task_id: str) -> LogWriter:
        return TableWriter(self._engine, task_id, self._group)


class TableWriter(LogWriter):
    """See `LogWriter`."""

    def __init__(self, engine: Engine, task_id: str, group: LogGroup) -> None:
        self._engine, self._task_id, self._group = engine, task_id, group
        self._held = Held(task_id)
        self._id = str(uuid.uuid4())
        mine = {"is_open": True, "written_by": self._id}
        opened = insert(task_logs).values(task_id=task_id, **mine)
        query = select(log_files).where(log_files.c.task_id == task_id)
        with writing(engine) as connection:
            connection.execute(opened.on_conflict_do_update(index_elements=["task_id"], set_=mine))
            rows = connection.execute(query).all()
        super().__init__({row.name: Kept(row.size, row.base, row.is_full) for row in rows if is_log_name(row.name)})

    def append(self, name: str, at: int, content: bytes, *, anew: bool = False) -> int:
        """See `LogWriter`. What is answered is what will be there soon; where it is not, the next answer says so."""
        self._learn()
        return super().append(name, at, content, anew=anew)

    def all_came(self) -> None:
        """See `LogWriter`. Where some of it was lost here, that is said."""
        self._group.flush(self._held)
        if self._learn():
            self.mark_incomplete()
            return
        with writing(self._engine) as connection:
            connection.execute(update(task_logs).where(task_logs.c.task_id == self._task_id).values(is_open=False))
            _join_pieces(connection, self._task_id)

    def leave(self) -> None:
        """See `LogWriter`."""
        with suppress(StorageError):
            self._group.flush(self._held)
        self._group.drop(self._held)
        mine = (task_logs.c.task_id == self._task_id, task_logs.c.written_by == self._id)
        with suppress(StorageError), writing(self._engine) as connection:
            connection.execute(update(task_logs).where(*mine).values(written_by=None))

    def mark_incomplete(self) -> None:
        """See `LogWriter`."""
        self._group.flush(self._held)
        close_logs(self._engine, self._task_id, false())

    def _put(self, name: str, content: bytes, kept: Kept) -> Kept:
        self._group.put(self._held, name, content, kept)
        self._kept[name] = kept
        self._learn()
        return self._kept[name]

    def _learn(self) -> bool:
        """How its logs are kept in truth; whether something is not there that was thought to be."""
        otherwise = self._group.otherwise(self._held)
        self.is_cut = self.is_cut or self._held.is_cut
        missing = any(kept.size < self._kept[name].size for name, kept in otherwise.items())
        self._kept.update(otherwise)
        return missing


class SharedAudits(CommandAudits):
    """The service's commands on instances, noted by whichever process runs them. See `CommandAudits`."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._full: dict[str, AuditLines] = {}

    def read(self, task_id: str) -> bytes:
        """See `CommandAudits`."""
        with reading(self._engine) as connection:
            return _read(connection, canonical_task_id(task_id), COMMANDS, 0, 1 << 30)[0]

    def append(self, task_id: str, make: Callable[[AuditLines], tuple[int | None, bytes | None]]) -> int | None:
        """See `CommandAudits`. The log's size, which only one process knows at a time, makes its number unique."""
        try:
            with writing(self._engine) as connection:
                kept = _locked(connection, task_id, COMMANDS)
                lines = self._full.get(task_id) or AuditLines(task_id, SERVICE, kept.size)
                number, line = make(lines)
                if line:
                    append_pieces(connection, [Piece(task_id, COMMANDS, line, Kept(kept.size + len(line)))])
        except StorageError as exc:
            lost(task_id, exc)
            return None
        if lines.left_out:
            if len(self._full) >= MAX_OPEN:
                self._full.clear()
            self._full[task_id] = lines
        return number


def close_logs(engine: Engine, task_id: str, going_on: ColumnElement[bool]) -> None:
    """Says in the run's log that not all came, if so; not where `going_on` holds."""
    with writing(engine) as connection:
        over = update(task_logs).where(task_logs.c.task_id == task_id, task_logs.c.is_open, ~going_on)
        if connection.execute(over.values(is_open=False)).rowcount:
            kept = _locked(connection, task_id, RUN_LOG)
            kept = kept._replace(size=kept.size + len(REST_IS_THERE))
            append_pieces(connection, [Piece(task_id, RUN_LOG, REST_IS_THERE, kept)])
            _join_pieces(connection, task_id)


def _locked(connection: Connection, task_id: str, name: str) -> Kept:
    """How a log is kept, which nobody else changes before this transaction ends."""
    none = insert(log_files).values(task_id=task_id, name=name, size=0, base=0, is_full=False)
    connection.execute(none.on_conflict_do_nothing())
    row = connection.execute(_HERE.with_for_update(), {"of_task": task_id, "of_name": name}).one()
    return Kept(row.size, row.base, row.is_full)


def _read(connection: Connection, task_id: str, name: str, offset: int, limit: int) -> tuple[bytes, int]:
    size = connection.execute(_HERE, {"of_task": task_id, "of_name": name}).scalar()
    if size is None:
        return b"", 0
    place = {"of_task": task_id, "of_name": name, "first": offset, "end": min(offset + limit, size)}
    rows = connection.execute(_PIECES, place).all() if place["end"] > offset else []
    return b"".join(bytes(row.content) for row in rows), int(size)


def _join_pieces(connection: Connection, task_id: str) -> None:
    """Puts the pieces of a task's logs together, which came as they were printed: a few large rows are read faster."""
    count = func.count()
    query = select(log_pieces.c.name).where(log_pieces.c.task_id == task_id).group_by(log_pieces.c.name)
    for name in connection.execute(query.having(count > 1)).scalars().all():
        _locked(connection, task_id, name)
        of = {"of_task": task_id, "of_name": name}
        pieces = select(log_pieces.c.content).where(log_pieces.c.task_id == task_id, log_pieces.c.name == name)
        whole = b"".join(bytes(each) for each in connection.execute(pieces.order_by(log_pieces.c.at)).scalars())
        connection.execute(delete(log_pieces).where(log_pieces.c.task_id == _TASK, log_pieces.c.name == _NAME), of)
        blocks = [
            {"task_id": task_id, "name": name, "at": at, "content": whole[at : at + BLOCK_BYTES]}
            for at in range(0, len(whole), BLOCK_BYTES)
        ]
        connection.execute(insert(log_pieces), blocks)
