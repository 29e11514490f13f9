"""Puts the engine of a shared PostgreSQL together."""

from __future__ import annotations

from collections.abc import Callable

from sqlalchemy import Engine

from app.settings import Settings
from app.storage.shared_queue import SharedQueueStore
from app.sync.background_tasks import BackgroundTaskManager
from app.sync.installs.job_runner import JobRunner
from app.sync.shared.own_signals import OwnSignals
from app.sync.shared.queue import SharedQueue
from app.sync.shared.queue_worker import QueueWorker
from app.sync.shared.worker import InstallWorker


def shared_queue(
    settings: Settings,
    engine: Engine,
    background: BackgroundTaskManager,
    jobs: JobRunner,
    *,
    forget: Callable[[str], None],
    chores: Callable[[], None],
) -> SharedQueue:
    """The engine for the settings' role. `forget`: drops what this process shows of an install that another one may
    run; `chores`: called now and then by processes that run installs."""
    store = SharedQueueStore(engine)
    works = None
    if settings.runs_installs:
        taken = QueueWorker(engine.url, store, background, jobs.closing, chores=chores)
        works = InstallWorker(taken, jobs.run, jobs.closing, settings.max_running)
    signals = OwnSignals(store, jobs.give_up, works.job if works else lambda _task_id: None)
    return SharedQueue(store, signals, jobs.closing, forget, works)
