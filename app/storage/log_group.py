"""Writes pieces of many logs into PostgreSQL in one transaction, four times a second at most.

Each of the installs of a worker prints about once a second: a transaction for each took a third of the worker's
processor time. A piece counts as kept once it is here, before it is written: its instance has it still, and a log's
row, not what was promised, says where the instance is to go on.
"""

from __future__ import annotations

import logging
import threading
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from sqlalchemy import Connection, Engine, bindparam, select, text, tuple_
from sqlalchemy.dialects.postgresql import insert

from app.storage.errors import StorageError
from app.storage.log_files import Kept
from app.storage.shared_tables import log_files, log_pieces, task_logs
from app.storage.transactions import writing

TOGETHER_SECONDS = 0.25
REFUSED_SECONDS = 2.0
"""How long a database that refuses is left alone."""
MOST_BYTES = 128 * 1024
"""What is held of one task's logs. Whoever brings more waits."""
MOST_WAIT_SECONDS = 20.0
_IDLE_SECONDS = 5.0
"""After so long without a piece the thread ends."""

_log = logging.getLogger(__name__)

Start = Callable[[str, Callable[[], None]], object]
"""Starts a thread by its name, as BackgroundTaskManager.start_task."""
_Log = tuple[str, str]
"""Its task and its name."""

_SIZES = (
    select(log_files.c.task_id, log_files.c.name, log_files.c.size, log_files.c.base, log_files.c.is_full)
    .where(tuple_(log_files.c.task_id, log_files.c.name).in_(bindparam("of_logs", expanding=True)))
    .order_by(log_files.c.task_id, log_files.c.name)  # so that two processes never wait for each other in a circle
    .with_for_update()
)
_CUT = select(task_logs.c.task_id).where(
    task_logs.c.task_id.in_(bindparam("of_tasks", expanding=True)), task_logs.c.is_cut
)
_GROW = text(
    "UPDATE log_files AS here SET size = new.size, base = new.base, is_full = new.is_full FROM unnest("
    "CAST(:tasks AS text[]), CAST(:names AS text[]), CAST(:sizes AS bigint[]), CAST(:bases AS bigint[]),"
    " CAST(:fulls AS boolean[])) AS new (task_id, name, size, base, is_full)"
    " WHERE here.task_id = new.task_id AND here.name = new.name"
)


class Piece(NamedTuple):
    """What is to be appended to a log of a task that is `kept` with it."""

    task_id: str
    name: str
    content: bytes
    kept: Kept

    @property
    def log(self) -> _Log:
        """Whose piece it is."""
        return self.task_id, self.name

    @property
    def at(self) -> int:
        """Where it begins."""
        return self.kept.size - len(self.content)


@dataclass(slots=True, eq=False)
class Held:
    """What one writer has brought and is not written. With the group's lock."""

    task_id: str
    pieces: list[Piece] = field(default_factory=list)
    size: int = 0
    """Bytes, with those that are being written."""
    otherwise: dict[str, Kept] = field(default_factory=dict)
    """How logs are kept in truth, of those of which something else was thought."""
    is_cut: bool = False
    """Whether the database says that nothing more is kept."""
    is_dropped: bool = False


Batch = dict[Held, list[Piece]]


class LogGroup:
    """The pieces of one process. Any thread; those of one log are written in the order in which they came."""

    def __init__(self, engine: Engine, start: Start | None = None) -> None:
        """`start`: without it each piece is written by whoever brings it, before `put` returns."""
        self._engine = engine
        self._start = start
        self._changed = threading.Condition()
        self._waiting: dict[Held, None] = {}
        """Those that have pieces, in the order of their first one."""
        self._refused: StorageError | None = None
        """Why the last pieces were not written."""
        self._runs = self._hurries = False

    def put(self, held: Held, name: str, content: bytes, kept: Kept) -> None:
        """To be written soon. Raises StorageError while earlier ones are refused, and when it takes too long."""
        piece = Piece(held.task_id, name, content, kept)
        with self._changed:
            if self._has_thread():
                self._until(held, lambda: not held.size or held.size + len(content) <= MOST_BYTES)
                held.pieces.append(piece)
                held.size += len(content)
                self._waiting[held] = None
                self._changed.notify_all()
                return
            held.size += len(content)
        try:
            self._write({held: [piece]})
        except StorageError:
            held.size -= len(content)
            raise

    def flush(self, held: Held) -> None:
        """Waits until all its pieces are written. Raises StorageError when they are not."""
        with self._changed:
            if held.size and self._has_thread():
                self._hurries = True
                self._changed.notify_all()
            self._until(held, lambda: not held.size)

    def otherwise(self, held: Held) -> dict[str, Kept]:
        """What is newly known of how its logs are kept in truth, by their names."""
        with self._changed:
            found, held.otherwise = held.otherwise, {}
        return found

    def drop(self, held: Held) -> None:
        """What of it is not written never will be: its instance sends it again."""
        with self._changed:
            self._waiting.pop(held, None)
            held.is_dropped = True

    def _until(self, held: Held, is_so: Callable[[], bool]) -> None:
        so = self._changed.wait_for(lambda: is_so() or (held.size and self._refused), MOST_WAIT_SECONDS)
        if self._refused is not None and held.size:
            raise self._refused
        if not so:
            raise StorageError("The database takes too long to write logs.", code="database_locked")

    def _has_thread(self) -> bool:
        if self._start is not None and not self._runs:
            self._runs = True
            try:
                self._start(f"logs-{uuid.uuid4()}", self._run)
            except RuntimeError as exc:  # the system gives no more threads; the next piece tries again
                self._runs = False
                _log.error("no thread writes the logs of installs: %s", exc)
        return self._runs

    def _run(self) -> None:
        while batch := self._next():
            try:
                self._write(batch)
            except StorageError as exc:
                self._put_back(batch, exc)
            except BaseException:  # a fault of ours: whoever comes next starts a thread that tries again
                self._put_back(batch, None)
                with self._changed:
                    self._runs = False
                raise

    def _next(self) -> Batch:
        """Waits for the next round; what is to be written then, nothing when nothing has come for a while."""
        with self._changed:
            if self._refused:
                self._changed.wait_for(lambda: False, REFUSED_SECONDS)
            else:
                self._changed.wait_for(lambda: self._hurries, TOGETHER_SECONDS)
            self._changed.wait_for(lambda: self._waiting, _IDLE_SECONDS)
            self._hurries = False
            batch = {held: held.pieces for held in self._waiting}
            for held in batch:
                held.pieces = []
            self._waiting = {}
            self._runs = bool(batch)
            return batch

    def _put_back(self, batch: Batch, refused: StorageError | None) -> None:
        with self._changed:
            if self._refused is None and refused is not None:
                _log.warning("logs are not written yet: %s", refused)
            self._refused = refused
            for held, pieces in batch.items():
                held.pieces = pieces + held.pieces
            self._waiting = {held: None for held in {**batch, **self._waiting} if not held.is_dropped}
            self._changed.notify_all()

    def _write(self, batch: Batch) -> None:
        joined = {held: join(pieces) for held, pieces in batch.items()}
        with writing(self._engine) as connection:
            tasks = [held.task_id for held in batch]
            cut = set(connection.execute(_CUT, {"of_tasks": tasks}).scalars())
            otherwise = append_pieces(connection, [piece for pieces in joined.values() for piece in pieces])
        with self._changed:
            self._refused = None
            for held, pieces in joined.items():
                held.size -= sum(len(piece.content) for piece in pieces)
                held.is_cut = held.is_cut or held.task_id in cut
                held.otherwise |= {piece.name: otherwise[piece.log] for piece in pieces if piece.log in otherwise}
            self._changed.notify_all()


def join(pieces: Sequence[Piece]) -> list[Piece]:
    """One for each log, where each of its pieces begins where the one before ends."""
    joined: dict[_Log, Piece] = {}
    for piece in pieces:
        before = joined.get(piece.log)
        content = piece.content if before is None else before.content + piece.content
        joined[piece.log] = piece._replace(content=content)
    return list(joined.values())


def append_pieces(connection: Connection, pieces: Sequence[Piece]) -> dict[_Log, Kept]:
    """Appends each to its log. How those logs are kept in truth that were thought to be kept otherwise, because others
    have written them: nothing is appended to these."""
    connection.execute(text("SET LOCAL synchronous_commit = off"))
    if firsts := sorted({piece.log for piece in pieces if not piece.at}):
        tasks = [{"task_id": task_id} for task_id in dict.fromkeys(task_id for task_id, _ in firsts)]
        connection.execute(insert(task_logs).on_conflict_do_nothing(), tasks)
        empty = [{"task_id": task_id, "name": name, "size": 0, "base": 0, "is_full": False} for task_id, name in firsts]
        connection.execute(insert(log_files).on_conflict_do_nothing(), empty)
    rows = connection.execute(_SIZES, {"of_logs": [piece.log for piece in pieces]}).all()
    here = {(row.task_id, row.name): Kept(row.size, row.base, row.is_full) for row in rows}
    grown: dict[_Log, Kept] = {}
    values: list[dict[str, Any]] = []
    otherwise: dict[_Log, Kept] = {}
    for piece in pieces:
        if piece.log in here and here[piece.log].size == piece.at:
            here[piece.log] = grown[piece.log] = piece.kept
            values.append({"task_id": piece.task_id, "name": piece.name, "at": piece.at, "content": piece.content})
        else:
            otherwise[piece.log] = here.get(piece.log, Kept(0))
    if values:
        connection.execute(_GROW, _arrays(grown))
        connection.execute(insert(log_pieces), values)
    return otherwise


def _arrays(grown: Mapping[_Log, Kept]) -> dict[str, list[Any]]:
    return {
        "tasks": [task_id for task_id, _ in grown],
        "names": [name for _, name in grown],
        "sizes": [kept.size for kept in grown.values()],
        "bases": [kept.base for kept in grown.values()],
        "fulls": [kept.full for kept in grown.values()],
    }
