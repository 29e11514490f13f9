"""Procrastinate's questions to its database, so that one which is away for a while ends no worker.

By itself a worker whose heartbeat or fetch fails ends: it waits for the jobs that it has, fetches none, and sends no
heartbeats, so that others take what it still does. And one that starts forgets every worker that was silent for long,
which after an outage are all of them.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress

from procrastinate.connector import BaseConnector
from procrastinate.exceptions import ConnectorException, ProcrastinateException
from procrastinate.jobs import Job, Status
from procrastinate.manager import JobManager, NotificationCallback
from procrastinate.worker import Worker
from psycopg import Error
from psycopg.errors import ForeignKeyViolation, RaiseException

_PAUSE = 1.0
_HEARTBEAT = (
    "UPDATE procrastinate_workers SET last_heartbeat = NOW() WHERE id = %(worker_id)s"
    " RETURNING id, set_config('synchronous_commit', 'off', true)"
)
"""Waits for no disk: one comes each second, and a crash of the database, which ends all sessions, judges nobody."""
_NEXT = (
    "SELECT pg_notify(%(channel)s, json_build_object('type', 'job_inserted', 'job_id', id)::text)"
    " FROM procrastinate_jobs WHERE lock = %(lock)s AND status = 'todo' LIMIT 1"
)

AT_A_TIME = 16
_FETCH = """
WITH RECURSIVE given AS (
    SELECT 1 AS number, job.* FROM procrastinate_fetch_job_v2(%(queues)s::varchar[], %(worker_id)s) AS job
    UNION ALL
    SELECT number + 1, job.*
    FROM given, LATERAL procrastinate_fetch_job_v2(%(queues)s::varchar[], %(worker_id)s + 0 * number) AS job
    WHERE given.id IS NOT NULL AND number < %(most)s
)
SELECT id, status, task_name, priority, lock, queueing_lock, args, scheduled_at, queue_name, attempts, worker_id
FROM given WHERE id IS NOT NULL ORDER BY number
"""
"""Procrastinate's own function, called until it has none. Beside hundreds of threads each question waits long for
Python's lock: one for each job began three a second."""

_log = logging.getLogger(__name__)


class PatientJobs(JobManager):
    """For one worker. What the database refuses is logged once, and tried again."""

    worker: Worker
    leaving: asyncio.Event
    """Set once the process closes."""
    when_finished: Callable[[], Awaitable[None]]
    """Called when a job is out of the queue."""
    _answers = True
    _well_since = float("inf")

    def __init__(self, connector: BaseConnector) -> None:
        super().__init__(connector)
        self._fetched: deque[Job] = deque()
        """What is this worker's in the queue, and begun next. If it ends before, it is taken by others then."""

    @property
    def well_for(self) -> float:
        """For how many seconds the database has taken every heartbeat; 0 while it does not."""
        return max(0.0, time.monotonic() - self._well_since)

    async def fetch_job(self, queues: Iterable[str] | None, worker_id: int) -> Job | None:
        """The next job. One whose answer was lost is found by whoever looks after the queue."""
        if self._fetched:
            return self._fetched.popleft()
        free = self.worker.concurrency - len(self.worker._running_jobs)  # noqa: SLF001 - no other word for it
        asked = {"queues": queues, "worker_id": worker_id, "most": min(AT_A_TIME, free)}
        try:
            rows = await self.connector.execute_query_all_async(query=_FETCH, **asked)
        except ProcrastinateException as exc:
            if isinstance(exc.__cause__, ForeignKeyViolation):
                await self._register_again()
            else:
                self._failed(exc)
            return None
        self._works()
        self._fetched.extend(map(Job.from_row, rows))
        return self._fetched.popleft() if self._fetched else None

    async def update_heartbeat(self, worker_id: int) -> None:
        """A worker that was forgotten, because it was cut off for long, is registered under a new number."""
        try:
            rows = await self.connector.execute_query_all_async(query=_HEARTBEAT, worker_id=worker_id)
        except ConnectorException as exc:
            self._failed(exc)
            return
        self._works()
        if not rows:
            await self._register_again()

    async def finish_job(self, job: Job, status: Status, delete_job: bool) -> None:
        """A job that is not there was put back, or is another worker's by now."""
        while True:
            try:
                await super().finish_job(job, status, delete_job)
            except ConnectorException as exc:
                if isinstance(exc.__cause__, RaiseException):
                    return
                self._failed(exc)
                if await self._pause():  # whoever looks after the queue finds it
                    return
            else:
                await self._say_next(job)
                await self.when_finished()
                return

    async def listen_for_jobs(
        self, *, on_notification: NotificationCallback, queues: Iterable[str] | None = None
    ) -> None:
        """Until the process closes."""
        leaving = False
        while not leaving:
            try:
                await super().listen_for_jobs(on_notification=on_notification, queues=queues)
            except (ConnectorException, Error, OSError) as exc:
                self._failed(exc)
            leaving = await self._pause()

    async def prune_stalled_workers(self, seconds_since_heartbeat: float) -> list[int]:  # noqa: ARG002
        """Nobody: `SharedQueueStore` does it, and not after an outage."""
        return []

    async def unregister_worker(self, worker_id: int) -> None:
        """What it has not given back is taken at once, or, where the database is away, when it was silent for long."""
        try:
            await super().unregister_worker(worker_id)
        except ConnectorException as exc:
            self._failed(exc)

    async def register_worker(self) -> int:
        """Its number. Raises ConnectorException."""
        number = await super().register_worker()
        self._works()
        return number

    async def _say_next(self, job: Job) -> None:
        """Workers hear of new jobs, not of one that may begin now since this one has ended."""
        with suppress(ConnectorException):
            await self.connector.execute_query_async(
                query=_NEXT, channel=f"procrastinate_queue_v1#{job.queue}", lock=job.lock
            )

    async def _pause(self) -> bool:
        """Before the next try; whether the process closes."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self.leaving.wait(), _PAUSE)
        return self.leaving.is_set()

    async def _register_again(self) -> None:
        try:
            self.worker.worker_id = await self.register_worker()
        except ConnectorException as exc:
            self._failed(exc)
        else:
            _log.warning("this worker was not heard for long, and others have what it had; it begins anew")

    def _works(self) -> None:
        if not self._answers:
            _log.info("the queue's database answers again")
        if not self._answers or self._well_since == float("inf"):
            self._answers, self._well_since = True, time.monotonic()

    def _failed(self, exc: BaseException) -> None:
        if self._answers:
            _log.warning("the queue's database does not answer: %s", exc.__cause__ or exc)
        self._answers, self._well_since = False, float("inf")
