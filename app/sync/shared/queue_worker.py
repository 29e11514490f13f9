"""Takes jobs out of the shared queue: Procrastinate's workers, in a thread with an event loop of its own.

Each job is done in a thread that BackgroundTaskManager has started, and which the event loop waits for. Procrastinate's
own threads for functions that are not `async` would be as many as asyncio's default executor has, whatever
`concurrency` says.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
import time
import uuid
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary

from procrastinate import App, JobContext, PsycopgConnector
from procrastinate.exceptions import ProcrastinateException
from procrastinate.worker import Worker
from psycopg import AsyncConnection, Error
from psycopg_pool import AsyncConnectionPool
from sqlalchemy import URL

from app.storage import postgresql
from app.storage.errors import StorageError
from app.storage.postgresql_address import arguments
from app.storage.shared_queue import SharedQueueStore
from app.sync.background_tasks import BackgroundTaskManager
from app.sync.shared.patient_jobs import PatientJobs

AGAIN_SECONDS = 5.0
"""When a job that could not be done is begun anew."""
_RESTART_SECONDS = 1.0
_CLOSE_SECONDS = 1.0
_TRUSTED_SECONDS = 1.0
_answered: WeakKeyDictionary[AsyncConnection[Any], float] = WeakKeyDictionary()
"""When each connection of a pool was last tried, in seconds of the monotonic clock."""
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Pace:
    """How often what is done, in seconds. `stalled`: a worker that was not heard for so long is dead; `gone`: one whose
    session has ended too. `look`: how often it is looked for those; `settled`: how long whoever looks must have been
    connected: after an outage nobody has a session."""

    heartbeat: float = 1.0
    stalled: float = 30.0
    fetch: float = 1.0
    upkeep: float = 10.0
    look: float = 0.5
    gone: float = 3.0
    settled: float = 8.0


@dataclass(frozen=True, slots=True)
class Kind:
    """Jobs of one queue and task, of which a process does `at_once`.

    `run`: does one, in a thread; whether nothing is left to do of it: else another worker gets it. `let_go`: ends it
    early, since the process closes or, with `lost`, since another worker has it. Its run on the instance goes on."""

    queue: str
    task: str
    at_once: int
    run: Callable[[str], bool]
    let_go: Callable[[str, bool], None]


@dataclass(frozen=True, slots=True)
class _Begun:
    kind: Kind
    task_id: str


class QueueWorker:
    """The jobs of this process. Every method may be called from any thread."""

    def __init__(
        self,
        url: URL,
        store: SharedQueueStore,
        background: BackgroundTaskManager,
        closing: threading.Event,
        *,
        chores: Callable[[], None],
        pace: Pace | None = None,
    ) -> None:
        """`closing`: no more jobs are begun once it is set; `chores`: called with each round of the upkeep."""
        self._url = url
        self._store = store
        self._background = background
        self._closing = closing
        self._chores = chores
        self._pace = pace or Pace()
        self._lock = threading.Lock()
        self._begun: dict[int, _Begun] = {}
        self._kinds = 0
        self._workers: list[Worker] = []
        self._managers: list[PatientJobs] = []
        self._unknown: frozenset[int] = frozenset()
        """Jobs that are this process's in the queue, and that it does not know."""
        self._loop: asyncio.AbstractEventLoop | None = None
        name = uuid.uuid4()
        self._loop_thread, self._upkeep_thread = f"queue-{name}", f"upkeep-{name}"

    def begin(self, kinds: Sequence[Kind]) -> None:
        """Does jobs of these kinds from now on."""
        self._kinds = len(kinds)
        logging.getLogger("procrastinate").setLevel(logging.WARNING)
        logging.getLogger("psycopg.pool").setLevel(logging.ERROR)  # PatientJobs tells what it would, once
        self._background.start_task(self._loop_thread, lambda: asyncio.run(self._work(kinds)))
        self._background.start_task(self._upkeep_thread, self._upkeep)

    @property
    def is_working(self) -> bool:
        """Whether jobs are fetched, and the queue is looked after."""
        if not self._background.is_task_running(self._upkeep_thread):
            return False
        return 0 < self._kinds == len(self.numbers)

    @property
    def numbers(self) -> tuple[int, ...]:
        """Of the workers of this process, in the queue."""
        return tuple(worker.worker_id for worker in tuple(self._workers) if worker.worker_id is not None)

    def close(self, timeout: float) -> None:
        """After `closing` was set: lets go of every job within `timeout` seconds; others get them at once."""
        deadline = time.monotonic() + timeout
        loop = self._loop
        if loop is not None:
            with contextlib.suppress(RuntimeError):  # it has ended
                loop.call_soon_threadsafe(self._leaving.set)
        with self._lock:
            begun = list(self._begun.values())
        for each in begun:
            each.kind.let_go(each.task_id, False)
        for thread in (self._loop_thread, self._upkeep_thread):
            self._background.wait(thread, max(0.0, deadline - time.monotonic()))

    def settle(self, task_id: str) -> None:
        """An install that had ended before its job was begun leaves nothing. Raises StorageError."""
        self._store.settle(task_id)

    # -- the event loop ---------------------------------------------------------------------------------------------

    async def _work(self, kinds: Sequence[Kind]) -> None:
        self._leaving, self._loop = asyncio.Event(), asyncio.get_running_loop()
        pool = _pool(self._url, len(kinds))
        await pool.open(wait=False)
        try:
            await asyncio.gather(*(self._supervise(kind, pool) for kind in kinds))
        finally:
            self._loop = None
            await pool.close(_CLOSE_SECONDS)

    async def _supervise(self, kind: Kind, pool: AsyncConnectionPool[Any]) -> None:
        """One worker after the other: what ends one, other than our closing, must not end the process's work."""
        while not self._closing.is_set():
            try:
                await self._one_worker(kind, pool)
            except (ProcrastinateException, Error, OSError, RuntimeError) as exc:
                _log.error(
                    "the worker of the queue %s has ended, and begins anew: %s", kind.queue, exc.__cause__ or exc
                )
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._leaving.wait(), _RESTART_SECONDS)

    async def _one_worker(self, kind: Kind, pool: AsyncConnectionPool[Any]) -> None:
        connector = PsycopgConnector(configure=_configure)  # of the connection that listens
        await connector.open_async(pool)
        app = App(connector=connector)
        app.job_manager = manager = PatientJobs(app.connector)
        manager.leaving, manager.when_finished = self._leaving, self._admit_others
        app.task(name=kind.task, queue=kind.queue, pass_context=True)(self._task_of(kind))
        worker = manager.worker = Worker(
            app,
            queues=[kind.queue],
            name=kind.queue,
            concurrency=max(1, kind.at_once),
            fetch_job_polling_interval=self._pace.fetch,
            abort_job_polling_interval=3600.0,  # signals of our own end an install
            shutdown_graceful_timeout=AGAIN_SECONDS,
            delete_jobs="always",
            install_signal_handlers=False,
            update_heartbeat_interval=self._pace.heartbeat,
            stalled_worker_timeout=self._pace.stalled,
        )
        self._workers.append(worker)
        self._managers.append(manager)
        try:
            await self._until_leaving(worker)
        finally:
            self._workers.remove(worker)
            self._managers.remove(manager)

    async def _until_leaving(self, worker: Worker) -> None:
        """Runs it. One that has not begun yet forgets that it was told to stop, and is told so again."""
        running = asyncio.ensure_future(worker.run())  # type: ignore[no-untyped-call]
        leaving = asyncio.ensure_future(self._leaving.wait())
        await asyncio.wait({running, leaving}, return_when=asyncio.FIRST_COMPLETED)
        leaving.cancel()
        while not running.done():
            worker.stop()  # type: ignore[no-untyped-call]
            await asyncio.wait({running}, timeout=0.1)
        running.result()

    def _task_of(self, kind: Kind) -> Callable[[JobContext, str], Coroutine[Any, Any, None]]:
        async def task(context: JobContext, task_id: str, group: object = None) -> None:  # noqa: ARG001 - the queue's
            done = asyncio.get_running_loop().create_future()
            job_id = context.job.id
            assert job_id is not None
            if not self._start(kind, job_id, task_id, done):
                await asyncio.to_thread(self._put_back, job_id)
            else:
                try:
                    await asyncio.shield(done)
                except asyncio.CancelledError:  # the worker ends: whoever gets the job must not meet this thread
                    kind.let_go(task_id, True)
                    await done
                    raise

        return task

    async def _admit_others(self) -> None:
        await asyncio.to_thread(self._admit)

    def _admit(self) -> None:
        try:
            self._store.admit()
        except StorageError as exc:  # whoever looks after the queue does it
            _log.warning("places that are free are not given yet: %s", exc.message)

    def _start(self, kind: Kind, job_id: int, task_id: str, done: asyncio.Future[None]) -> bool:
        with self._lock:
            self._begun[job_id] = _Begun(kind, task_id)
        loop = asyncio.get_running_loop()

        def ended() -> None:
            if not done.done():
                done.set_result(None)

        def thread() -> None:
            try:
                self._do(kind, job_id, task_id)
            finally:
                with contextlib.suppress(RuntimeError):  # the loop was left while its database was away
                    loop.call_soon_threadsafe(ended)

        try:
            self._background.start_task(task_id, thread)
        except (RuntimeError, ValueError) as exc:  # no more threads, or its thread of before has not ended
            _log.warning("task %s: not begun yet: %s", task_id, exc)
            self._finish(job_id)
            return False
        return True

    # -- a job's thread ---------------------------------------------------------------------------------------------

    def _do(self, kind: Kind, job_id: int, task_id: str) -> None:
        is_done = False
        try:
            is_done = not self._closing.is_set() and kind.run(task_id)
        except StorageError as exc:  # whoever gets it next looks what there is to do
            _log.warning("task %s: it goes back into the queue: %s", task_id, exc.message)
        finally:
            self._finish(job_id)
            if not is_done:
                self._put_back(job_id)

    def _finish(self, job_id: int) -> None:
        with self._lock:
            self._begun.pop(job_id, None)

    def _put_back(self, job_id: int) -> None:
        try:
            self._store.put_back(job_id, after=0.0 if self._closing.is_set() else AGAIN_SECONDS)
        except StorageError as exc:  # whoever looks after the queue finds it
            _log.warning("the job %s could not be given back: %s", job_id, exc)

    # -- the queue's upkeep -----------------------------------------------------------------------------------------

    def _upkeep(self) -> None:
        """A thread of its own: a job of Procrastinate's for it would wait behind installs of forty minutes."""
        failed = False
        while not self._closing.wait(self._pace.upkeep):
            try:
                self._compare()
                # After an outage every worker was silent for long: nobody is judged until they could be heard again.
                well = min((manager.well_for for manager in self._managers), default=0.0)
                for task_id in self._store.put_back_stalled(self._pace.stalled, judge=well > self._pace.stalled):
                    _log.info("task %s: nobody works on it any more; it is in the queue again", task_id)
                self._store.admit()
                self._chores()
                failed = False
            except StorageError as exc:  # the next round tries again
                _log.log(logging.DEBUG if failed else logging.WARNING, "the queue could not be looked after: %s", exc)
                failed = True

    def _compare(self) -> None:
        """What this process does, with what the queue says that it does: either may have missed the other's change."""
        before = self._known()
        queued = self._store.jobs_of(self.numbers)
        after = self._known()
        for job_id in before.keys() & after.keys() - queued:
            _log.warning("task %s: another worker has it by now; letting go of it", after[job_id].task_id)
            after[job_id].kind.let_go(after[job_id].task_id, True)
        unknown = queued - before.keys() - after.keys()
        for job_id in unknown & self._unknown:  # twice: it is not just being begun
            self._put_back(job_id)
        self._unknown = frozenset(unknown)

    def _known(self) -> dict[int, _Begun]:
        with self._lock:
            return dict(self._begun)


async def _configure(connection: AsyncConnection[Any]) -> None:
    connection.prepare_threshold = None  # a pooler may give each transaction another connection
    await connection.execute(postgresql.SESSION)
    await connection.commit()


async def _check(connection: AsyncConnection[Any]) -> None:
    """Whether it still answers. One that has just done so is not asked again: whoever finds it dead tries again too."""
    if time.monotonic() - _answered.get(connection, float("-inf")) > _TRUSTED_SECONDS:
        await AsyncConnectionPool.check_connection(connection)
        _answered[connection] = time.monotonic()


def _pool(url: URL, kinds: int) -> AsyncConnectionPool[Any]:
    """A pool's own tries to connect become rarer with each, without end: an hour's outage would be one of two hours.
    This one gives up soon, and whoever asks next makes it try again."""
    return AsyncConnectionPool(
        min_size=1,
        max_size=2 + kinds,
        timeout=2.0,
        reconnect_timeout=1.0,
        kwargs=arguments(url) | postgresql.CONNECTION,
        configure=_configure,
        check=_check,
        open=False,
    )
