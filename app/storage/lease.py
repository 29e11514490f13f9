"""Who works on an install: a lease in its record, with a token by which a writer that has lost it is recognised.

Each claim makes the record's `lease_token` grow, and every write of an install's thread names the token that it was
given: one that was overtaken, however late it wakes, changes nothing. So a lease's time decides only when another may
take an install over, never who may write.

Who may claim is another question. On SQLite it is one of time, in Unix seconds of the machine, which all who share the
file share: a lease is over when it was not renewed. Where a queue is shared, in PostgreSQL, the queue says who works on
an install, and whoever it gives it to claims it, whoever had it before (`queued`): there nothing is renewed.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Engine, bindparam, select, update

from app.protocol.states import TERMINAL_TASK_STATES
from app.storage.schema import installs
from app.storage.transactions import reading, writing

LEASE_SECONDS = 30.0
MARGIN_SECONDS = 5.0

_ENDED = sorted(TERMINAL_TASK_STATES)
_HELD = select(installs.c.lease_owner, installs.c.lease_expires_at).where(
    installs.c.task_id == bindparam("of_task"), installs.c.state.not_in(_ENDED)
)
_FENCED = update(installs).where(
    installs.c.task_id == bindparam("of_task"), installs.c.lease_token == bindparam("by_token")
)


def owner_of(data_dir: Path) -> str:
    """A name for a data folder of this host, whose lock one process at a time holds."""
    return f"{socket.gethostname()}:{data_dir}"


@dataclass(frozen=True, slots=True)
class Lease:
    """The right to write the record of one install, until somebody with a higher token has it."""

    task_id: str
    token: int


class Leases:
    """The leases of one owner. Every method may be called from any thread; StorageError when the database fails.

    `owner`: a name for the data folder that a service holds the lock of. Another owner's lease is respected until it is
    over. One of the same owner is a dead predecessor's, and is taken over at once.
    """

    def __init__(
        self,
        engine: Engine,
        owner: str,
        *,
        now: Callable[[], float] = time.time,
        seconds: float | None = None,
        margin: float | None = None,
        queued: bool = False,
    ) -> None:
        """`now`: Unix seconds; `seconds`: how long a lease lasts, `margin`: how much longer it is respected; `queued`:
        whether a shared queue says who claims."""
        self.is_timed = not queued
        self.seconds = LEASE_SECONDS if seconds is None else seconds
        self._engine = engine
        self._owner = owner
        self._now = now
        self._margin = MARGIN_SECONDS if margin is None else margin

    def claim(self, task_id: str, known: int, revision: int | None = None) -> Lease | None:
        """The install's lease with a new token, for somebody who read its record when the token was `known`, and its
        `revision` that, where that counts too: a worker that is being replaced may have written once more since.

        None when another owner has it (where leases are timed) or has had it since, and when the install has ended or
        is unknown.
        """
        with writing(self._engine) as connection:
            held = connection.execute(_HELD, {"of_task": task_id}).first()
            if held is None or not self._is_free(held.lease_owner, held.lease_expires_at):
                return None
            taken = {"lease_owner": self._owner, "lease_token": known + 1, "lease_expires_at": self._until()}
            unchanged = _FENCED if revision is None else _FENCED.where(installs.c.revision == revision)
            changed = connection.execute(unchanged, {**taken, "of_task": task_id, "by_token": known})
            return Lease(task_id, known + 1) if changed.rowcount else None

    def renew(self, leases: Collection[Lease]) -> list[Lease]:
        """Makes leases last for another time; those that are lost."""
        if not leases:
            return []
        with writing(self._engine) as connection:
            until = self._until()
            return [
                lease
                for lease in leases
                if not connection.execute(_FENCED, {"lease_expires_at": until, **_named(lease)}).rowcount
            ]

    def release(self, *leases: Lease) -> None:
        """Gives back those that are not lost: somebody else may claim these installs now."""
        free = {"lease_owner": None, "lease_expires_at": None}
        if leases:
            with writing(self._engine) as connection:
                connection.execute(_FENCED, [{**free, **_named(lease)} for lease in leases])

    def stalled(self) -> list[str]:
        """The task_ids of the installs that have not ended and that nobody works on, in their order."""
        query = select(installs.c.task_id, installs.c.lease_owner, installs.c.lease_expires_at).where(
            installs.c.state.not_in(_ENDED)
        )
        with reading(self._engine) as connection:
            rows = connection.execute(query.order_by(installs.c.number)).all()
        return [row.task_id for row in rows if self._is_free(row.lease_owner, row.lease_expires_at)]

    def _is_free(self, owner: str | None, expires_at: float | None) -> bool:
        if not self.is_timed or owner in (None, self._owner):
            return True
        return expires_at is None or expires_at + self._margin < self._now()

    def _until(self) -> float:
        return self._now() + self.seconds


def _named(lease: Lease) -> dict[str, object]:
    return {"of_task": lease.task_id, "by_token": lease.token}
