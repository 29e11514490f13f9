"""Puts the parts of a process that shares a PostgreSQL together."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, field

from sqlalchemy import Engine

from app.settings import Settings
from app.storage.lease import owner_of
from app.storage.shared_queue import WORKFLOW, WORKFLOWS, SharedQueueStore
from app.sync.background_tasks import BackgroundTaskManager
from app.sync.installs.job_runner import JobRunner
from app.sync.shared.dead_workers import DeadWorkers
from app.sync.shared.follow_ups import FollowUps
from app.sync.shared.hearing import Hearing
from app.sync.shared.queue import SharedQueue
from app.sync.shared.queue_worker import Kind, QueueWorker
from app.sync.shared.worker import InstallWorker
from app.sync.shared.workflows import AT_ONCE, SharedWorkflows


@dataclass(slots=True)
class Shared:
    """What a process shares. `chores`: called now and then where installs run."""

    engine: Engine
    hearing: Hearing
    follow_ups: FollowUps
    chores: list[Callable[[], None]] = field(default_factory=list)
    works: InstallWorker | None = None

    def queue(
        self, settings: Settings, background: BackgroundTaskManager, jobs: JobRunner, chores: Callable[[], None]
    ) -> SharedQueue:
        """The engine for the settings' role."""
        store = SharedQueueStore(self.engine)
        self.chores += [chores, self.follow_ups.look, self.hearing.upkeep]
        if settings.runs_installs:
            taken = QueueWorker(self.engine.url, store, background, jobs.closing, chores=self._do_chores)
            self.works = InstallWorker(taken, jobs.run, jobs.closing, settings.max_running)
        jobs.while_held = self.hearing.runs(jobs.give_up)
        watch = DeadWorkers(
            self.engine,
            background,
            owner=owner_of(settings.data_dir),
            numbers=lambda: () if self.works is None else self.works.numbers,
            say=self.hearing.saying(jobs.say),
        )
        return SharedQueue(store, self.hearing, jobs.closing, self.hearing.progress.drop, self.works, watch=watch)

    def workflows(
        self,
        drive: Callable[[str], bool],
        let_go: Callable[[str, bool], None],
        look_at: Callable[[Collection[str] | None], object],
    ) -> SharedWorkflows:
        """The workflows of this process: `drive` works on one in a worker's thread, `let_go` ends that, `look_at` is
        called when one of some, or any, may have changed."""
        shared = SharedWorkflows(self.engine)
        self.hearing.of_workflows = look_at
        self.chores.append(shared.adopt)
        if self.works is not None:
            self.works.more.append(Kind(WORKFLOWS, WORKFLOW, AT_ONCE, drive, let_go))
        return shared

    def _do_chores(self) -> None:
        for chore in self.chores:
            chore()


def shared_parts(engine: Engine, background: BackgroundTaskManager, *, memory_seconds: float) -> Shared:
    """Of a process on this database."""
    hearing = Hearing(engine, background, memory_seconds=memory_seconds)
    return Shared(engine, hearing, FollowUps(hearing.store, hearing.progress))
