"""The records of installs in the database."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, Engine, RowMapping, bindparam, func, insert, null, select, tuple_, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.sql import Select

from app.domain.errors import InvalidRequest, TaskConflict, TaskNotFound, TooManyKeys
from app.domain.fleet_places import Group
from app.domain.limits import MAX_KEYS
from app.domain.record import InstallRecord
from app.domain.request import FleetLimits
from app.protocol.budgets import numbers
from app.protocol.states import TERMINAL_TASK_STATES
from app.storage.errors import LeaseLost
from app.storage.run_rows import note_installs, run_of
from app.storage.schema import installs
from app.storage.shared_manifests import Sharing, read_shared
from app.storage.shared_queue import admit, enqueue
from app.storage.transactions import adding, reading, writing

_FIXED = frozenset(
    {"task_id", "created_at", "number", "run_id", "lease_owner", "lease_token", "lease_expires_at", "manifest_sha256"}
)
_CHANGEABLE = frozenset(installs.c.keys()) - _FIXED
_AT_ONCE = 500
"""How many names a statement has at most."""
_Records = list[InstallRecord]  # InstallStore has a method called list
# Built once, with their values passed as parameters: building a statement costs more than SQLite's part of the work.
_NAMES = tuple(f.name for f in dataclasses.fields(InstallRecord))
_RECORDS = select(*(installs.c[name] for name in _NAMES), installs.c.manifest_sha256)
_LISTED = select(
    *(null().label(name) if name == "snapshot" else installs.c[name] for name in _NAMES), installs.c.manifest_sha256
)
"""Records without their snapshots: those are some 30 KB each, and a list does not show them."""
_GET = _RECORDS.where(installs.c.task_id == bindparam("of_task"))
_INSERT = insert(installs).values(number=select(func.coalesce(func.max(installs.c.number), 0) + 1).scalar_subquery())
"""One transaction at a time adds records (`adding`), so that numbers differ."""
_UPDATE = update(installs).where(installs.c.task_id == bindparam("of_task"))
_UPDATE_FENCED = _UPDATE.where(installs.c.lease_token == bindparam("by_token"))
_UNFINISHED = _RECORDS.where(installs.c.state.not_in(sorted(TERMINAL_TASK_STATES))).order_by(
    installs.c.number, installs.c.created_at, installs.c.task_id
)


class InstallStore:
    """The installs of one database. Every method may be called from any thread.

    All of them raise StorageError when the database fails.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def add(self, record: InstallRecord, *, same_key_since: float | None = None) -> InstallRecord:
        """Store a new install; it is on disk when this returns. Returns `record`.

        With `same_key_since` (Unix seconds): an install with the same idempotency_key that was created after it is
        returned instead, and nothing is stored. Raises TaskConflict when the task_id is taken, TooManyKeys.
        """
        with adding(self._engine) as connection:
            if same_key_since is not None and record.idempotency_key is not None:
                same_key = installs.c.idempotency_key == record.idempotency_key
                query = _RECORDS.where(same_key, installs.c.created_at > same_key_since)
                newest = query.order_by(installs.c.created_at.desc()).limit(1)
                known = connection.execute(newest).mappings().first()
                if known is not None:
                    return _all(self._engine, connection, [known])[0]
                _check_keys(connection, same_key_since)
            add_record(connection, record)
        return record

    def get(self, task_id: str) -> InstallRecord | None:
        """The install's record, or None."""
        with reading(self._engine) as connection:
            rows = connection.execute(_GET, {"of_task": task_id}).mappings().all()
            return _all(self._engine, connection, rows)[0] if rows else None

    def some(self, task_ids: Sequence[str]) -> dict[str, InstallRecord]:
        """Those of these installs that there are."""
        found: dict[str, InstallRecord] = {}
        for first in range(0, len(task_ids), _AT_ONCE):
            wanted = _RECORDS.where(installs.c.task_id.in_(task_ids[first : first + _AT_ONCE]))
            found |= {record.task_id: record for record in self._records(wanted)}
        return found

    def update(self, task_id: str, *, token: int | None = None, **values: Any) -> None:
        """Set these columns in one commit; with `token` only while the install's lease has it.

        Raises TaskNotFound, LeaseLost, and ValueError for a column that is unknown or fixed.
        """
        refused = sorted(set(values) - _CHANGEABLE)
        if refused:
            raise ValueError(f"installs has no column {refused[0]!r} that can be changed")
        with writing(self._engine) as connection:
            _change(connection, task_id, token, values)

    def update_all(self, changes: Sequence[tuple[str, int, Mapping[str, Any]]]) -> set[str]:
        """Sets the values of many installs in one commit, each while its lease has this token; those that it has not
        changed."""
        lost = set()
        with writing(self._engine) as connection:
            for task_id, token, values in changes:
                changed = connection.execute(_UPDATE_FENCED, {**values, "of_task": task_id, "by_token": token})
                if changed.rowcount == 0:
                    lost.add(task_id)
        return lost

    def list(
        self, *, state: str | None = None, instance: str | None = None, limit: int = 50, before: str | None = None
    ) -> _Records:
        """Up to `limit` installs, newest first, those of this state and instance where given; their `snapshot` is None.

        `before`: `cursor_of` the last record of the page before. Raises InvalidRequest for anything else.
        """
        query = _LISTED.order_by(installs.c.number.desc(), installs.c.task_id.desc()).limit(limit)
        if state is not None:
            query = query.where(installs.c.state == state)
        if instance is not None:
            query = query.where(installs.c.instance == instance)
        if before is not None:
            number, _, task_id = before.partition("_")
            if not (number.isascii() and number.isdigit() and len(number) < 19 and task_id):
                raise InvalidRequest("The cursor is not one that a list of tasks has given.", field="cursor")
            query = query.where(tuple_(installs.c.number, installs.c.task_id) < tuple_(int(number), task_id))
        return self._records(query)

    @staticmethod
    def cursor_of(record: InstallRecord) -> str:
        """Where `list(before=…)` goes on after this record: an opaque word that is safe in a URL."""
        return f"{record.number}_{record.task_id}"

    def unfinished(self) -> _Records:
        """Every install that has not ended, in the order in which they were created."""
        return self._records(_UNFINISHED)

    def _records(self, query: Select[Any]) -> _Records:
        with reading(self._engine) as connection:
            return _all(self._engine, connection, connection.execute(query).mappings().all())


def listed_of_runs(engine: Engine, run_ids: Collection[str]) -> _Records:
    """The installs of these runs, oldest first; their `snapshot` is None."""
    query = _LISTED.where(installs.c.run_id.in_(run_ids)).order_by(installs.c.number, installs.c.created_at)
    with reading(engine) as connection:
        return _all(engine, connection, connection.execute(query).mappings().all())


def add_record(connection: Connection, record: InstallRecord) -> None:
    """Stores a new install in the caller's transaction, one of `adding`, and queues it where a queue is shared. Raises
    TaskConflict when the task_id is taken."""
    add_records(connection, [record])


def add_records(connection: Connection, records: Sequence[InstallRecord]) -> None:
    """Stores new installs in the caller's transaction, one of `adding`, in this order, and queues them where a queue is
    shared; what many have in common is kept once. Raises TaskConflict when a task_id is taken."""
    if not records:
        return
    sharing = Sharing(connection) if len(records) > 1 else None
    placed = [(each, each.run_id or run_of(connection, each.request) or each.task_id) for each in records]
    try:
        connection.execute(_INSERT, [_values(record, run_id, sharing) for record, run_id in placed])
    except IntegrityError as exc:
        taken = f"There is already a task {records[0].task_id}." if len(records) == 1 else "A task_id is taken already."
        raise TaskConflict(taken, field="task_id") from exc
    note_installs(connection, placed)
    groups = {each.task_id: Group.of(each.fleet_id, FleetLimits.read(each.request.get("limits"))) for each in records}
    for record in records:
        if record.state not in TERMINAL_TASK_STATES:
            enqueue(connection, record.task_id, record.instance, groups[record.task_id])
    if any(groups.values()):
        admit(connection)


def _values(record: InstallRecord, run_id: str, sharing: Sharing | None) -> dict[str, Any]:
    values = {name: getattr(record, name) for name in _NAMES if name != "number"}
    request, sha256 = sharing.stored(record.request) if sharing else (record.request, None)
    return values | {"run_id": run_id, "request": request, "manifest_sha256": sha256}


def _check_keys(connection: Connection, since: float) -> None:
    """Raises TooManyKeys: a key that counts keeps its record, whatever the history's limits are."""
    keyed = installs.c.idempotency_key.is_not(None), installs.c.created_at > since
    if connection.execute(select(func.count()).select_from(installs).where(*keyed)).scalar_one() >= MAX_KEYS:
        raise TooManyKeys(field="idempotency_key")


def _change(connection: Connection, task_id: str, token: int | None, values: Mapping[str, Any]) -> None:
    """Sets `columns`. Raises TaskNotFound, and LeaseLost where the install has another token than `token`."""
    values = {**values, "of_task": task_id}
    if token is None:
        changed = connection.execute(_UPDATE, values)
    else:  # at least one column is to be set, so that the row is counted
        changed = connection.execute(_UPDATE_FENCED, {"lease_token": token, **values, "by_token": token})
    if changed.rowcount == 0:
        known = connection.execute(_GET, {"of_task": task_id}).first() is not None
        raise LeaseLost if known else TaskNotFound


def _all(engine: Engine, connection: Connection, rows: Sequence[RowMapping]) -> _Records:
    """The records of these rows, with the manifests that are kept elsewhere."""
    wanted = {row["manifest_sha256"] for row in rows} - {None}
    shared = read_shared(engine, connection, wanted) if wanted else {}
    return [_record(row, shared) for row in rows]


def _record(row: RowMapping, shared: Mapping[str, Any]) -> InstallRecord:
    """What an older version took from an instance may be anything; one record must not hide the others."""
    request, error, sha256 = row["request"], row["error"], row["manifest_sha256"]
    if sha256 in shared and isinstance(request, dict):
        request = {**request, "manifest": shared[sha256]}
    texts = {name: text for name, text in error.items() if isinstance(text, str)} if isinstance(error, dict) else None
    times = {name: _time(row[name]) for name in ("created_at", "started_at", "finished_at")}
    read = {"request": request if isinstance(request, dict) else {}, "error": texts or None, **times}
    values = {name: row[name] for name in _NAMES}
    return InstallRecord(**{**values, **read, "created_at": times["created_at"] or 0.0})


def _time(value: object) -> float | None:
    """Unix seconds that a calendar has; None for anything else."""
    least, most = numbers("created_at")
    return float(value) if isinstance(value, int | float) and least <= value <= most else None
