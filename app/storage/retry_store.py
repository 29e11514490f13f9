"""Retries in the database: a new install and the one that it repeats, linked in one transaction."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection, Engine, Update, bindparam, select, update

from app.domain.record import InstallRecord
from app.protocol.states import TERMINAL_TASK_STATES
from app.storage.install_store import add_record, add_records
from app.storage.schema import installs
from app.storage.transactions import adding, reading, writing

_ENDED = sorted(TERMINAL_TASK_STATES)
_LINK_KNOWN = (
    update(installs)
    .where(installs.c.task_id == bindparam("of_task"))
    .values(retried_by=bindparam("by_task"), auto_retry_open=False)
)
_LINK = _LINK_KNOWN.where(installs.c.state.in_(_ENDED))
_LINK_ONCE = _LINK.where(installs.c.auto_retry_open)
_LINKED = select(installs.c.state, installs.c.retried_by).where(installs.c.task_id == bindparam("of_task"))
_LINKED = _LINKED.with_for_update()  # nothing on SQLite, where one writes at a time
_OPEN = select(installs.c.task_id).where(installs.c.auto_retry_open, installs.c.state.in_(_ENDED))


class RetryStore:
    """The retries of one database. Every method may be called from any thread; StorageError when it fails."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def add(self, record: InstallRecord, of: str, *, replacing: str | None) -> bool:
        """Stores `record` as what repeats the ended install `of`; False, and nothing is stored, when that one is
        repeated by another than `replacing` by now."""
        unchanged = installs.c.retried_by.is_(None) if replacing is None else installs.c.retried_by == replacing
        return self._add(_LINK.where(unchanged), record, of)

    def add_automatic(self, record: InstallRecord, of: str) -> bool:
        """As `add`, while an automatic retry of `of` is still due."""
        return self._add(_LINK_ONCE, record, of)

    def add_all(self, retries: Sequence[tuple[InstallRecord, str, str | None]]) -> list[str]:
        """As `add` for many, each with what it repeats and replaces, in one transaction. Where some are repeated by
        another by now nothing is stored, and these are returned."""
        with adding(self._engine) as connection:
            overtaken = [of for _, of, replacing in retries if not _is_unchanged(connection, of, replacing)]
            if not overtaken:
                add_records(connection, [record for record, _, _ in retries])
                connection.execute(_LINK_KNOWN, [{"of_task": of, "by_task": each.task_id} for each, of, _ in retries])
            return overtaken

    def close(self, task_id: str) -> bool:
        """No automatic retry of the install is due any more; whether one was."""
        with writing(self._engine) as connection:
            closed = update(installs).where(installs.c.task_id == task_id, installs.c.auto_retry_open)
            return connection.execute(closed.values(auto_retry_open=False)).rowcount > 0

    def open(self) -> list[str]:
        """The task_ids of the ended installs whose end is yet to be looked at for an automatic retry."""
        with reading(self._engine) as connection:
            return list(connection.execute(_OPEN.order_by(installs.c.number)).scalars())

    def _add(self, link: Update, record: InstallRecord, of: str) -> bool:
        with adding(self._engine) as connection:
            if connection.execute(link, {"of_task": of, "by_task": record.task_id}).rowcount == 0:
                return False
            add_record(connection, record)
            return True


def _is_unchanged(connection: Connection, of: str, replacing: str | None) -> bool:
    row = connection.execute(_LINKED, {"of_task": of}).first()
    return row is not None and row.state in _ENDED and row.retried_by == replacing
