"""One process's ears and voice among those that share a PostgreSQL: its parts, put together."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Sequence
from contextlib import AbstractContextManager, suppress
from dataclasses import replace

from sqlalchemy import Engine

from app.protocol.event_body import Body
from app.protocol.states import TaskState
from app.storage.errors import StorageError
from app.storage.install_store import InstallStore
from app.storage.shared_clock import SharedClock
from app.storage.signals import PROGRESS, SIGNALS, SignalStore
from app.sync.background_tasks import BackgroundTaskManager
from app.sync.installs.engine import Job, Records
from app.sync.installs.exclusive_queue import Waiting, why_waiting
from app.sync.installs.progress_cache import InstallStatus
from app.sync.installs.recorder import Recorder, snapshot_of, status_of
from app.sync.shared.listener import Listener
from app.sync.shared.progress_news import ProgressNews
from app.sync.shared.shared_progress import SharedProgress
from app.sync.shared.signals import GiveUp, SharedSignals

_UPKEEP_SECONDS = 600.0


class Hearing:
    """What one process hears and says. `progress`: what it shows of installs."""

    def __init__(self, engine: Engine, background: BackgroundTaskManager, *, memory_seconds: float) -> None:
        self._engine = engine
        self._background = background
        self._installs = InstallStore(engine)
        self.store = SignalStore(engine)
        self.clock = SharedClock(engine)
        """What all processes go by."""
        self._news = ProgressNews(self.store, background)
        self.progress = SharedProgress(memory_seconds, read=self._read, news=self._news, now=self.clock.now)
        self._signals: SharedSignals | None = None
        self.when_given: Callable[[str, float], None] = lambda _kind, _seconds: None
        """As of `SharedSignals`."""
        self.when_reconnected: Callable[[], None] = lambda: None
        """Called when the connection that hears is there again."""
        self._listener: Listener | None = None
        self._upkeep_due_at = 0.0
        self.of_workflows: Callable[[Collection[str] | None], object] = lambda _workflow_ids: None
        """Called with ids of which some may be workflows, and with None where any may have been named."""

    @property
    def is_live(self) -> bool:
        """Whether what others say is heard."""
        return self._listener is not None and self._listener.is_live

    @property
    def connections(self) -> int:
        """How often a connection that hears was made."""
        return 0 if self._listener is None else self._listener.connections

    def runs(self, give_up: GiveUp) -> Callable[[Job], AbstractContextManager[None]]:
        """What is asked of installs counts from now on. `give_up`: ends one that nobody runs; the result is for the
        thread of each that runs here, around its run."""
        self._signals = SharedSignals(self.store, give_up, self.progress)
        self._signals.when_given = self.when_given
        return self._signals.holding

    def saying(self, say: Callable[[Recorder, Body], None]) -> Callable[[Recorder, Body], None]:
        """`say` for an install of another process, which is that of another again afterwards."""

        def said(recorder: Recorder, body: Body) -> None:
            say(recorder, body)
            self.progress.let_go(recorder.task_id)

        return said

    def begin(self, records: Records | None = None) -> None:
        """Listens from now on."""
        hears = {PROGRESS: self.progress.receive, SIGNALS: self._hear_signals}
        if self._signals is not None and records is not None:
            self._signals.begin(records)
        self._listener = Listener(
            self._engine,
            self._background,
            hears,
            when_live=self._set_live,
            while_down=self._while_down,
            each_round=self.clock.look,
        )
        self._listener.begin()

    def close(self, timeout: float) -> None:
        """Says what is left, and listens no more. What is shown from then on is read with each question."""
        deadline = time.monotonic() + timeout
        self._news.close(timeout)
        if self._listener is not None:
            self._listener.close(max(0.0, deadline - time.monotonic()))

    def cancel(self, task_id: str) -> bool:
        """As of `Engine`."""
        return self._signals is not None and self._signals.cancel(task_id)

    def wake(self, task_id: str) -> bool:
        """As of `Engine`."""
        return self._signals is not None and self._signals.wake(task_id)

    def skip(self, task_id: str, package: str) -> bool:
        """As of `Engine`."""
        return self._signals is not None and self._signals.skip(task_id, package)

    def answer(self, task_id: str, question: str, word: str) -> str | None:
        """As of `Engine`."""
        return None if self._signals is None else self._signals.answer(task_id, question, word)

    def upkeep(self) -> None:
        """Every ten minutes forgets what no install needs any more. Raises StorageError."""
        if time.monotonic() >= self._upkeep_due_at:
            self._upkeep_due_at = time.monotonic() + _UPKEEP_SECONDS
            self.store.forget_ended()

    def _set_live(self, is_live: bool) -> None:
        self.progress.set_live(is_live)
        if is_live and self.connections > 1:
            self.when_reconnected()
        if is_live:
            self._look_at_all()

    def _while_down(self) -> None:
        with suppress(StorageError):
            self._look_at_all()

    def _look_at_all(self) -> None:
        """Something may not have been heard. Raises StorageError, and is called again then."""
        if self._signals is not None:
            self._signals.look_at_all()
        self.of_workflows(None)

    def _hear_signals(self, payloads: Sequence[str]) -> None:
        if self._signals is not None:
            self._signals.receive(payloads)
        self.of_workflows(payloads)

    def _read(self, task_id: str) -> InstallStatus | None:
        record = self._installs.get(task_id)
        if record is None:
            return None
        ago = self.store.heard_ago(task_id)
        snapshot = snapshot_of(record)
        if snapshot.state is TaskState.QUEUED and snapshot.waiting is None:
            snapshot = replace(snapshot, waiting=why_waiting(Waiting(task_id, None, 1), None))
        heard_at = None if ago is None else self.clock.now() - max(0.0, ago)
        return replace(status_of(record, snapshot), heard_at=heard_at)
