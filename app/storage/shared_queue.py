"""The queue that several processes share: Procrastinate's tables in PostgreSQL, written by the transactions that write
our records, so that a record and its job are there together or not at all.

An install whose fleet has limits is queued in `HELD`, which no worker asks for, and moved into `INSTALLS` when it gets
a place (`admit`). How many places a fleet uses is counted from these rows each time: there is no number that a process
that is killed could leave wrong.

A job is never given to another worker: it is deleted, and a new one with a higher priority stands in its place. A
worker that was only cut off ends its job by the job's id, and must not end what another does by now.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import IntegrityError

from app.domain.fleet_places import Group, Limit, PlaceCount
from app.domain.request import FleetLimits
from app.protocol.states import TERMINAL_TASK_STATES, TaskState
from app.storage.transactions import reading, writing

INSTALLS = "installs"
"""The queue of installs, whose jobs have the task `install`."""
HELD = "held"
"""Of installs that wait for a place of their fleet."""
INSTALL = "install"
WORKFLOWS, WORKFLOW = "workflows", "workflow"
"""The queue of workflows, whose jobs have the task `workflow`."""
_ENDED = sorted(state.value for state in TERMINAL_TASK_STATES)
_UPKEEP = 0x4E46_0001
"""Names the advisory lock under which one process at a time looks after the queue."""
_ADMITTING = 0x4E46_0003
"""Names the advisory lock under which places are counted and given."""

_DEFER = text(
    "SELECT procrastinate_defer_jobs_v1(ARRAY[ROW(:queue, :task, :priority, :lock, :task_id,"
    " CAST(:args AS jsonb),"
    " CASE WHEN :after > 0 THEN now() + make_interval(secs => :after) END)]::procrastinate_job_to_defer_v1[])"
)
_NUMBERS = text(
    "SELECT count(*) FILTER (WHERE status = 'doing'), count(*) FILTER (WHERE status = 'todo') FROM procrastinate_jobs"
    " WHERE queue_name = ANY(:queues) AND status IN ('todo', 'doing')"
)
_POSITIONS = text(
    "SELECT id, queueing_lock AS task_id, lock, status = 'doing' AS is_done, queue_name = 'held' AS is_held,"
    " CAST(args -> 'group' AS text) AS group_json,"
    " row_number() OVER (PARTITION BY lock ORDER BY status = 'doing' DESC, priority DESC, id) = 1 AS is_first"
    " FROM procrastinate_jobs WHERE queue_name = ANY(:queues) AND status IN ('todo', 'doing')"
    " ORDER BY is_done DESC, priority DESC, id"
)
_LOCK = text("SELECT pg_advisory_xact_lock(:key)")  # given back by the commit
_ARE_HELD = text("SELECT EXISTS (SELECT 1 FROM procrastinate_jobs WHERE queue_name = 'held' AND status = 'todo')")
_ADMIT = text(
    "WITH admitted AS (UPDATE procrastinate_jobs SET queue_name = 'installs'"
    " WHERE id = ANY(:ids) AND queue_name = 'held' AND status = 'todo' RETURNING id)"
    " SELECT pg_notify('procrastinate_queue_v1#installs',"
    " json_build_object('type', 'job_inserted', 'job_id', id)::text) FROM admitted"
)
_JOBS_OF = text("SELECT id FROM procrastinate_jobs WHERE status = 'doing' AND worker_id = ANY(:workers)")
_GIVEN_UP = text(
    "DELETE FROM procrastinate_jobs WHERE id = :job_id AND status = 'doing'"
    " RETURNING queue_name, task_name, priority, lock, queueing_lock, CAST(args -> 'group' AS text) AS group_json"
)
_STALLED = text(
    "DELETE FROM procrastinate_jobs WHERE status = 'doing' AND (worker_id IS NULL OR :judge AND worker_id IN"
    " (SELECT id FROM procrastinate_workers WHERE last_heartbeat < now() - make_interval(secs => :seconds)))"
    " RETURNING queue_name, task_name, priority, lock, queueing_lock, CAST(args -> 'group' AS text) AS group_json"
)
_PRUNE = text("DELETE FROM procrastinate_workers WHERE last_heartbeat < now() - make_interval(secs => :seconds)")
_WITHOUT_JOB = text(
    "SELECT task_id, instance, state, fleet_id,"
    " CASE WHEN fleet_id IS NOT NULL THEN CAST(request -> 'limits' AS text) END AS limits_json"
    " FROM installs WHERE NOT state = ANY(:ended) AND NOT EXISTS"
    " (SELECT 1 FROM procrastinate_jobs WHERE queueing_lock = installs.task_id AND status IN ('todo', 'doing'))"
    " ORDER BY number, created_at"
)
_SETTLE = (
    text(
        "UPDATE installs SET lease_owner = NULL, lease_expires_at = NULL WHERE task_id = :task_id"
        " AND lease_owner IS NOT NULL AND state = ANY(:ended)"
    ),
    text(
        "DELETE FROM install_signals WHERE task_id = :task_id AND EXISTS"
        " (SELECT 1 FROM installs WHERE installs.task_id = :task_id AND state = ANY(:ended))"
    ),
)
_WORKFLOWS_WITHOUT_JOB = text(
    "SELECT workflow_id FROM workflows WHERE state IN ('running', 'stopping') AND NOT EXISTS"
    " (SELECT 1 FROM procrastinate_jobs WHERE queueing_lock = workflow_id AND status IN ('todo', 'doing'))"
    " ORDER BY created_at"
)


@dataclass(frozen=True, slots=True)
class Place:
    """Where a job waits: from 1 on, and the task_id of the one that is first in its way, or the `limit` of its `group`
    (neither: only no free worker)."""

    position: int
    behind: str | None
    limit: Limit | None = None
    group: Group | None = None


def enqueue(
    connection: Connection, task_id: str, instance: str, group: Group | None = None, *, has_begun: bool = False
) -> None:
    """Queues an install in the transaction that writes its record. Nothing on SQLite, where threads of the one process
    run it. One install at a time runs on an instance, in the order of their starts. One of a `group` gets its place by
    `admit`; one that `has_begun` has it."""
    if connection.dialect.name == "postgresql":
        queue = HELD if group is not None and not has_begun else INSTALLS
        put_job(connection, queue=queue, task=INSTALL, task_id=task_id, lock=lock_of(instance), group=group)


def admit(connection: Connection) -> None:
    """Installs that wait for a place of their fleet get those that there are, in their order; one that waits for
    another on its instance gets none yet. To be called in or after each transaction that adds such installs, or takes
    any out of the queue. Nothing on SQLite."""
    if connection.dialect.name != "postgresql":
        return
    connection.execute(_LOCK, {"key": _ADMITTING})  # first: whoever has it may be adding what is to be seen here
    if not connection.execute(_ARE_HELD).scalar():
        return
    rows = connection.execute(_POSITIONS, {"queues": _queues(INSTALLS)}).all()
    used, admitted = _used(rows), []
    for row in rows:
        group = _group(row)
        if group is not None and row.is_held and row.is_first and used.limit(row.lock, group) is None:
            used.add(row.lock, group)
            admitted.append(row.id)
    if admitted:
        connection.execute(_ADMIT, {"ids": admitted})


def adopt_installs(connection: Connection) -> list[str]:
    """Those that have not ended and have no job get one, in their order: a history that was brought here has none.
    Their task_ids."""
    rows = connection.execute(_WITHOUT_JOB, {"ended": _ENDED}).all()
    for row in rows:
        limits = None if row.limits_json is None else FleetLimits.read(json.loads(row.limits_json))
        has_begun = row.state != TaskState.QUEUED.value
        enqueue(connection, row.task_id, row.instance, Group.of(row.fleet_id, limits), has_begun=has_begun)
    return [row.task_id for row in rows]


def enqueue_workflow(connection: Connection, workflow_id: str) -> None:
    """Queues a workflow in the transaction that writes its record. Nothing on SQLite. One process at a time drives
    it."""
    if connection.dialect.name == "postgresql":
        put_job(connection, queue=WORKFLOWS, task=WORKFLOW, task_id=workflow_id, lock=workflow_id)


def put_job(
    connection: Connection,
    *,
    queue: str,
    task: str,
    task_id: str,
    lock: str,
    priority: int = 0,
    after: float = 0.0,
    group: Group | None = None,
) -> None:
    """A new job in the caller's transaction, to be begun `after` seconds; a second one that waits with the same
    `task_id` is an IntegrityError. Of jobs with the same `lock` one at a time is done, in their order."""
    args = {"task_id": task_id} | ({} if group is None else {"group": group.to_json()})
    values = {"queue": queue, "task": task, "priority": priority, "lock": lock, "task_id": task_id, "after": after}
    connection.execute(_DEFER, {**values, "args": json.dumps(args)})


def lock_of(instance: str) -> str:
    """What one install has to itself: `host:port` of `user@host:port`, or an alias as typed."""
    return instance.rpartition("@")[2]


class SharedQueueStore:
    """The queue of one PostgreSQL. Every method may be called from any thread; StorageError when it fails."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def numbers(self, queue: str = INSTALLS) -> tuple[int, int]:
        """How many jobs are done by a worker, and how many wait."""
        with reading(self._engine) as connection:
            doing, waiting = connection.execute(_NUMBERS, {"queues": _queues(queue)}).one()
        return int(doing), int(waiting)

    def positions(self, queue: str = INSTALLS) -> dict[str, Place]:
        """Where each job waits, by its task_id."""
        with reading(self._engine) as connection:
            rows = connection.execute(_POSITIONS, {"queues": _queues(queue)}).all()
        used = _used(rows)
        first: dict[str, str] = {}
        found: dict[str, Place] = {}
        for row in rows:
            ahead = first.setdefault(row.lock, row.task_id)
            if not row.is_done:
                behind = None if row.is_first else str(ahead)
                limit, group = (None, None) if behind else _held_up(row, used)
                found[row.task_id] = Place(len(found) + 1, behind, limit, group)
        return found

    def admit(self) -> None:
        """As the function of this name, for whoever has taken an install out of the queue."""
        with writing(self._engine) as connection:
            admit(connection)

    def jobs_of(self, workers: Collection[int]) -> frozenset[int]:
        """The jobs that these workers, by their numbers, are doing."""
        with reading(self._engine) as connection:
            return frozenset(connection.execute(_JOBS_OF, {"workers": list(workers)}).scalars())

    def put_workflow(self, workflow_id: str) -> None:
        """Somebody is to look at the workflow, after whoever works on it now."""
        with writing(self._engine) as connection:
            _put_once(connection, workflow_id)

    def adopt_workflows(self) -> None:
        """Those that work and have no job get one: one that was just answered, where whoever was told has died."""
        with writing(self._engine) as connection:
            for workflow_id in connection.execute(_WORKFLOWS_WITHOUT_JOB).scalars().all():
                _put_once(connection, workflow_id)

    def put_back(self, job_id: int, *, after: float = 0.0) -> bool:
        """A job that this process has begun goes to another, before those that wait for the same; False when it is
        this process's no more."""
        with writing(self._engine) as connection:
            return bool(_renewed(connection, connection.execute(_GIVEN_UP, {"job_id": job_id}), after))

    def settle(self, task_id: str) -> None:
        """Whoever ended the install could not put its things away: the database was gone, or it was killed."""
        with writing(self._engine) as connection:
            for statement in _SETTLE:
                connection.execute(statement, {"task_id": task_id, "ended": _ENDED})

    def put_back_stalled(self, seconds: float, *, judge: bool) -> list[str]:
        """The jobs of workers that have ended, and with `judge` also of those that were not heard for `seconds`, go to
        others. Installs that have no job get one: a history that was brought here has none. The task_ids; none where
        another process is at it."""
        with writing(self._engine) as connection:
            if not connection.execute(text("SELECT pg_try_advisory_xact_lock(:key)"), {"key": _UPKEEP}).scalar():
                return []
            gone = connection.execute(_STALLED, {"seconds": seconds, "judge": judge})
            found = _renewed(connection, gone, 0.0)
            if judge:
                connection.execute(_PRUNE, {"seconds": 10 * seconds})
            return [*found, *adopt_installs(connection)]


def _put_once(connection: Connection, workflow_id: str) -> None:
    with suppress(IntegrityError), connection.begin_nested():  # one that waits does for this too
        enqueue_workflow(connection, workflow_id)


def _renewed(connection: Connection, gone: Any, after: float) -> list[str]:
    jobs = gone.all()
    for job in jobs:
        with suppress(IntegrityError), connection.begin_nested():  # a workflow may have one that waits already
            put_job(
                connection,
                queue=job.queue_name,
                task=job.task_name,
                task_id=job.queueing_lock,
                lock=job.lock,
                priority=job.priority + 1,
                after=after,
                group=_group(job),
            )
    return [job.queueing_lock for job in jobs]


def _queues(queue: str) -> list[str]:
    return [INSTALLS, HELD] if queue == INSTALLS else [queue]


def _group(row: Any) -> Group | None:
    return None if row.group_json is None else _read_group(row.group_json)


@lru_cache(maxsize=64)
def _read_group(group_json: str) -> Group:
    return Group.read(json.loads(group_json))


def _used(rows: Sequence[Any]) -> PlaceCount:
    """The places of fleets that these jobs have."""
    used = PlaceCount()
    for row in rows:
        group = None if row.is_held else _group(row)
        if group is not None:
            used.add(row.lock, group)
    return used


def _held_up(row: Any, used: PlaceCount) -> tuple[Limit | None, Group | None]:
    """The limit that a job waits for which is the first on its instance; one that breaks none gets its place now."""
    group = _group(row)
    if group is None or not row.is_held:
        return None, group
    limit = used.limit(row.lock, group)
    if limit is None:
        used.add(row.lock, group)
    return limit, group
