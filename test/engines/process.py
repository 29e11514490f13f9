"""One process of a service, as far as its engine is concerned; `python -m test.engines.process URL FOLDER [present
[OWNER]]` is a real one.

Its installs do nothing but what a folder says, which plays the instances: a run begins with a line in `log`, and ends
when there is a file with its task's id."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext, suppress
from pathlib import Path

from app.domain.address import parse_address
from app.domain.fleet_places import Group
from app.domain.record import InstallRecord
from app.domain.request import FleetLimits, InstallRequest
from app.protocol.event_body import Body
from app.protocol.events import Connected, Connecting, GivenUp, Uploaded
from app.protocol.snapshot import Problem
from app.protocol.states import TERMINAL_TASK_STATES, TaskState
from app.storage import InstallStore, Leases, ProgressFiles, open_database
from app.storage.errors import LeaseLost
from app.storage.group_update import GroupUpdate
from app.storage.shared_queue import SharedQueueStore
from app.sync.background_tasks import BackgroundTaskManager
from app.sync.installs.engine import Engine, Job, Records
from app.sync.installs.exclusive_queue import ExclusiveKey, why_waiting
from app.sync.installs.group_saver import GroupSaver
from app.sync.installs.lease_keeper import LeaseKeeper
from app.sync.installs.progress_cache import ProgressCache
from app.sync.installs.progress_writer import ProgressWriter
from app.sync.installs.recorder import Recorder
from app.sync.installs.scheduler import Scheduler
from app.sync.shared.dead_workers import DeadWorkers
from app.sync.shared.hearing import Hearing
from app.sync.shared.queue import SharedQueue
from app.sync.shared.queue_worker import Pace, QueueWorker
from app.sync.shared.worker import InstallWorker

QUICK = Pace(heartbeat=0.2, stalled=1.5, fetch=0.2, upkeep=0.2)
PRESENT = Pace(heartbeat=0.2, stalled=60.0, fetch=0.2, upkeep=0.2, look=0.2, gone=1.0, settled=2.0)
"""A dead worker is known by its session alone."""
_LEASE_SECONDS, _MARGIN, _KEEP_SECONDS = 1.0, 0.2, 60.0
_ADDRESS = "root@127.0.0.1 -p 22"
_REQUEST = InstallRequest(_ADDRESS, parse_address(_ADDRESS))


class Process:
    """An engine on a database, and what it needs."""

    def __init__(
        self,
        url: str,
        folder: Path,
        *,
        max_running: int = 8,
        works: bool = True,
        pace: Pace = QUICK,
        owner: str = "",
    ) -> None:
        self._pace = pace
        self.folder = folder
        self.database = open_database(url)
        self.store = InstallStore(self.database)
        self.background = BackgroundTaskManager()
        self.closing = threading.Event()
        is_shared = url.startswith("postgresql")
        self._hearing = Hearing(self.database, self.background, memory_seconds=3600.0) if is_shared else None
        self._cache = self._hearing.progress if self._hearing else ProgressCache()
        self._writer = ProgressWriter(ProgressFiles(folder / "progress"), self.background)
        self._saver = GroupSaver(GroupUpdate(self.database), self.background)
        self._owner = owner or f"process {os.getpid()}"
        leases = Leases(self.database, self._owner, seconds=_LEASE_SECONDS, margin=_MARGIN, queued=is_shared)
        self.keeper = LeaseKeeper(leases, self.background, self.closing, lambda: None)
        self.engine: Engine
        self._while_held: Callable[[Job], AbstractContextManager[None]] = lambda _job: nullcontext()
        if self._hearing:
            self.engine = self._shared(self._hearing, max_running, works=works)
        else:
            self.engine = Scheduler(self.background, self.run, max_running, self.keeper)
        self.engine.begin(Records(self.store.unfinished, self.unended, self.job_of))

    def _shared(self, hearing: Hearing, max_running: int, *, works: bool) -> SharedQueue:
        store = SharedQueueStore(self.database)
        worker = None
        if works:
            taken = QueueWorker(
                self.database.url, store, self.background, self.closing, chores=self.keeper.upkeep, pace=self._pace
            )
            worker = InstallWorker(taken, self.run, self.closing, max_running)
        self._while_held = hearing.runs(self.give_up)
        watch = DeadWorkers(
            self.database,
            self.background,
            owner=self._owner,
            numbers=lambda: () if worker is None else worker.numbers,
            say=hearing.saying(self.say),
            pace=self._pace,
        )
        return SharedQueue(store, hearing, self.closing, self._cache.drop, worker, watch=watch)

    def start(self, record: InstallRecord) -> str:
        """Keeps a record and submits it, as the installs do."""
        self.store.add(record)
        job = self.job_of(record)
        self.engine.submit(job)
        return record.task_id

    def state(self, task_id: str) -> TaskState | None:
        """What a poll would say."""
        known = self._cache.get(task_id)
        return None if known is None else known.snapshot.state

    def close(self) -> None:
        """Lets go of everything."""
        self.engine.close(5.0)
        self._saver.close(1.0)
        self._writer.close(1.0)
        self.database.dispose()

    def job_of(self, record: InstallRecord) -> Job:
        """What is left to do of an install."""
        instance = record.instance.rpartition("@")[2]
        recorder = Recorder(record, self._cache, self._saver, self._writer, time.time)
        group = Group.of(record.fleet_id, FleetLimits.read(record.request.get("limits")))
        return Job(_REQUEST, ExclusiveKey.of(instance, record.ui_home), recorder, group)

    def why(self, task_id: str) -> str | None:
        """Why an install waits, in the words that polls have; None when it does not."""
        if not self._hearing:
            status = self._cache.get(task_id)
            waiting = status.snapshot.waiting if status else None
        else:
            place = self.engine.place_of(task_id)
            waiting = None if place is None else why_waiting(place, None)
        return waiting.message if waiting else None

    def unended(self, task_id: str) -> InstallRecord | None:
        """The record of an install that has not ended."""
        record = self.store.get(task_id)
        return None if record is None or record.state in TERMINAL_TASK_STATES else record

    def give_up(self, recorder: Recorder, error: Problem | None, state: TaskState) -> None:
        """As JobRunner's."""
        with suppress(LeaseLost), self.keeper.holding(recorder, wake=threading.Event()) as held:
            if held:
                recorder.emit(GivenUp(state, error))

    def say(self, recorder: Recorder, body: Body) -> None:
        """As JobRunner's."""
        with suppress(LeaseLost), self.keeper.holding(recorder, wake=threading.Event()) as held:
            if held:
                recorder.emit(body)

    def run(self, job: Job) -> None:
        """An install's life, in its thread."""
        with suppress(LeaseLost), self.keeper.holding(job.recorder, wake=job.cancel) as held:
            if held:
                with self._while_held(job):
                    self._play(job)

    def _play(self, job: Job) -> None:
        if not job.cancel.is_set():
            self._say("began", job)
            for happens in (Connecting(1), Connected("127.0.0.1:22"), Uploaded()):
                job.recorder.emit(happens)
        ended = self.folder / job.task_id
        while not ended.exists() and not job.cancel.wait(0.02):
            job.recorder.heartbeat()
        if self.closing.is_set() or job.recorder.lost:
            return
        self._say("ending", job)
        state = TaskState.CANCELLED if job.cancel.is_set() else TaskState.FAILED
        job.recorder.emit(GivenUp(state, Problem("played", "The played run has ended.")))
        self._say("ended", job)
        job.recorder.save_end(self.closing, _KEEP_SECONDS)

    def _say(self, what: str, job: Job) -> None:
        with (self.folder / "log").open("a", encoding="utf-8") as log:
            log.write(f"{what} {job.task_id} {os.getpid()} {job.recorder.token}\n")


def main() -> None:
    """A process until its standard input ends."""
    pace, owner = PRESENT if "present" in sys.argv else QUICK, "".join(sys.argv[4:])
    process = Process(sys.argv[1], Path(sys.argv[2]), pace=pace, owner=owner)
    print("ready", flush=True)
    sys.stdin.read()
    process.close()


if __name__ == "__main__":
    main()
