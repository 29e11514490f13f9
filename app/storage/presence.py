"""Who of the workers of a shared queue is still there. Only imported where the database is PostgreSQL.

Each worker holds an advisory lock in a session of its own. PostgreSQL frees it in the moment the worker's process dies,
since the system then closes the connection; no load, pause or frozen process does that. A session may also be cut while
its worker lives, so a free lock counts only for a worker whose heartbeats have stopped too.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import Any

import psycopg
from sqlalchemy import Engine

from app.storage.listening import connection_of, told
from app.storage.postgresql import SESSION
from app.storage.transactions import place_of

NAME = "nodeferry-presence"
"""Of the connection, in pg_stat_activity."""
_KEY = 0x4E46_0004
"""Names the advisory locks of workers, each with the worker's number."""

_LOCK = (
    "SELECT id, pg_try_advisory_lock(%(key)s, (id %% 2147483648)::int) FROM procrastinate_workers"
    " WHERE id = ANY(%(numbers)s)"
)
_REGISTER = (
    "INSERT INTO queue_workers (worker_id, owner) SELECT id, %(owner)s FROM procrastinate_workers"
    " WHERE id = ANY(%(numbers)s) ON CONFLICT DO NOTHING"
)
_LEFT = """
SELECT job.id, job.queueing_lock, install.lease_token, coalesce(known.owner = %(owner)s, false)
FROM procrastinate_jobs AS job
LEFT JOIN procrastinate_workers AS worker ON worker.id = job.worker_id
LEFT JOIN queue_workers AS known ON known.worker_id = worker.id
LEFT JOIN installs AS install ON install.task_id = job.queueing_lock
WHERE job.status = 'doing' AND (
    worker.id IS NULL
    OR worker.last_heartbeat < now() - make_interval(secs => %(silent)s)
    OR known.worker_id IS NOT NULL
        AND (known.owner = %(owner)s OR worker.last_heartbeat < now() - make_interval(secs => %(gone)s))
        AND NOT EXISTS (
            SELECT FROM pg_locks WHERE locktype = 'advisory' AND granted AND objsubid = 2
            AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
            AND classid = %(key)s::bigint::oid AND objid = (worker.id %% 2147483648)::oid
        )
)
ORDER BY job.id
"""


@dataclass(frozen=True, slots=True)
class Left:
    """A job whose worker is gone. `token`: of the install's lease at that moment, None for what is no install;
    `is_own`: an earlier process on the same data folder had it."""

    job_id: int
    task_id: str
    token: int | None
    is_own: bool


class Presence:
    """A session that says who is there, and sees who is not. For one thread."""

    def __init__(self, connection: psycopg.Connection[Any], place: str, owner: str) -> None:
        self._connection = connection
        self._place = place
        self._owner = owner
        self._held: set[int] = set()

    def hold(self, numbers: Collection[int]) -> None:
        """These workers are there for as long as this session is. Raises StorageError."""
        new = [number for number in numbers if number not in self._held]
        if new:
            asked = {"key": _KEY, "numbers": new, "owner": self._owner}
            with told(self._place):
                locked = self._connection.execute(_LOCK, asked).fetchall()
                self._connection.execute(_REGISTER, asked)
            self._held.update(number for number, is_held in locked if is_held)

    def left(self, *, gone: float, silent: float, takes_own: bool = False) -> list[Left]:
        """The jobs of workers that have ended, that hold no lock and were silent for `gone` seconds, or that were
        silent for `silent` seconds; with `takes_own` also of this owner's earlier ones that hold no lock. Raises
        StorageError."""
        asked = {"key": _KEY, "owner": self._owner if takes_own else "", "gone": gone, "silent": silent}
        with told(self._place):
            return [Left(*row) for row in self._connection.execute(_LEFT, asked)]


@contextmanager
def present(engine: Engine, owner: str) -> Iterator[Presence]:
    """The presence of one process while the block runs, on a connection of its own. `owner`: a name for its data
    folder. Raises StorageError."""
    place = place_of(engine)
    with closing(connection_of(engine, NAME)) as connection:
        with told(place):
            connection.execute(SESSION)
        yield Presence(connection, place, owner)
