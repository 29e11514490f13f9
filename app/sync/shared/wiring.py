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


def shared_queue(
    settings: Settings,
    engine: Engine,
    background: BackgroundTaskManager,
    jobs: JobRunner,
    *,
    forget: Callable[[str], None],
    chores: Callable[[], None],
) -> SharedQueue:
    """The engine for the settings' role. `forget`: drops what this process shows of an install that another one may run;
    `chores`: called now and then by processes that run installs."""
    store = SharedQueueStore(engine)
    works = None
    if settings.runs_installs:
        from app.sync.shared.worker import Worker

        works = Worker(engine, store, jobs, background, max_running=settings.max_running, chores=chores)
    signals = OwnSignals(store, jobs, works.job if works else lambda _task_id: None)
    return SharedQueue(store, signals, jobs.closing, forget, works)
