"""Saves the progress of many installs together: what is new of all of them goes to the disk in one transaction.

An install's thread that need not wait (`put`) leaves what it has and goes on; a newer one takes its place, and a thread
saves what there is, ten times a second at most. One that has to wait (`save`: a change of state, an end) saves at
once, together with all others that wait in that moment. Of one install nothing older is saved after something newer.
"""

from __future__ import annotations

import logging
import threading
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from app.storage.errors import StorageError
from app.storage.group_update import FencedRow, GroupUpdate
from app.storage.stored_json import JsonText
from app.sync.background_tasks import BackgroundTaskManager
from app.sync.installs.giving_way import Breath

SAVE_SECONDS = 0.1
"""How often the thread saves, at most."""
_ROUND_PAUSE, MOST_ROUND_SECONDS = 6.0, 1.2
"""What takes the processor longer is done less often: a round for every so many times of what it takes."""
_PAUSE, _CHARS_PER_SECOND, MOST_PAUSE_SECONDS = 20.0, 2 * 1024**2, 5.0
"""The same for each install, so that no instance keeps a processor or the disk busy with what it has sent."""
REFUSED_SECONDS = 5.0
"""How long the disk is left alone after it has refused something."""
MOST_ROWS = 250
"""In one transaction: whoever accepts an install waits for the one that goes on."""

_log = logging.getLogger(__name__)


@dataclass(slots=True, eq=False)
class Save:
    """What is to be kept of an install. `make`: its columns; `when_over`: called by whoever has saved what was `put`.

    `error`, once it `is_over`: None when it is on disk; LeaseLost, StorageError (it is tried again), or a bug's."""

    task_id: str
    token: int
    make: Callable[[], Mapping[str, Any]]
    when_over: Callable[[Save], None]
    error: Exception | None = None
    is_over: bool = False
    values: Mapping[str, Any] = field(default_factory=dict, repr=False)

    def prepare(self) -> float:
        """Makes the columns. Returns for how long the next of this install is to wait. What cannot be made is over."""
        began = time.thread_time()
        try:
            self.values = self.values or self.make()
        except (ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError) as exc:
            self.end(exc)
        text = self.values.get("snapshot")
        size = len(text.text) if isinstance(text, JsonText) else 0
        return min(MOST_PAUSE_SECONDS, max(_PAUSE * (time.thread_time() - began), size / _CHARS_PER_SECOND))

    def end(self, error: Exception | None) -> None:
        """It was saved, or not."""
        self.error, self.is_over = error, True

    @property
    def row(self) -> FencedRow:
        """For the database."""
        return FencedRow(self.task_id, self.token, self.values)


class Commits:
    """Brings saves to the disk. One thread at a time."""

    def __init__(self, rows: GroupUpdate) -> None:
        self._rows = rows
        self._refuses = False

    def commit(self, batch: Sequence[Save]) -> None:
        """Saves all of them, in few transactions. Where the disk refuses one, what comes behind it is not tried. After
        that each is saved alone, the refused one last, until the disk takes them: one that it would never take keeps no
        other from being saved."""
        size = 1 if self._refuses else MOST_ROWS
        for at in range(0, len(batch), size):
            some = batch[at : at + size]
            try:
                failed = self._rows.write([save.row for save in some])
            except StorageError as exc:
                self._refuses = True
                for save in batch[at:]:
                    save.end(exc)
                return
            for save in some:
                save.end(failed.get(save.task_id))
        self._refuses = False


class GroupSaver:
    """Of one service. Every method may be called from any thread. Its own thread is there from the first `put` to
    `close`; without one (no more threads, the service closes) what is put is saved by whoever puts it."""

    def __init__(self, rows: GroupUpdate, background: BackgroundTaskManager, every: float = SAVE_SECONDS) -> None:
        """`every`: seconds between two rounds at least."""
        self._commits = Commits(rows)
        self._committing = threading.Lock()
        """Held while batches are chosen and saved: so those of one install stay in order."""
        self._background = background
        self._every = every
        self._changed = threading.Condition()
        self._waiting: dict[str, Save] = {}
        """By task_id: the newest of each that nobody waits for."""
        self._urgent: dict[str, Save] = {}
        self._not_before: dict[str, float] = {}
        """Of installs that are saved less often, in seconds of the monotonic clock."""
        self._next_round = 0.0
        self._wakes_at = 0.0
        self._runs = False
        self._closing = False

    def put(self, save: Save) -> None:
        """To be saved soon. Returns at once."""
        with self._changed:
            if self._has_thread():
                self._waiting[save.task_id] = save
                if self._due(save.task_id) < self._wakes_at:
                    self._changed.notify_all()
                return
        self.save(save)
        save.when_over(save)

    def save(self, save: Save) -> None:
        """Saves it now, and says in its `error` whether it was saved. `when_over` is called only if it was not, and is
        saved later."""
        save.prepare()
        if save.is_over:
            return
        with self._changed:
            self._waiting.pop(save.task_id, None)
            self._urgent[save.task_id] = save
        with self._committing:
            if not save.is_over:  # else another thread has saved it with its own
                with self._changed:
                    batch, self._urgent = list(self._urgent.values()), {}
                self._commits.commit(batch)
                self._try_again(batch)

    def close(self, timeout: float) -> None:
        """Saves what is left, within `timeout` seconds."""
        with self._changed:
            self._closing = True
            self._changed.notify_all()
            self._changed.wait_for(lambda: not self._runs, timeout)

    # -- the thread -------------------------------------------------------------------------------------------------

    def _has_thread(self) -> bool:
        if not self._runs and not self._closing:
            self._runs = True
            try:
                self._background.start_task(f"saves-{uuid.uuid4()}", self._run)
            except RuntimeError as exc:  # the system gives no more; the next one tries again
                self._runs = False
                _log.error("no thread saves the installs' progress: %s", exc)
        return self._runs and not self._closing

    def _run(self) -> None:
        try:
            while self._wait():
                began, worked = time.monotonic(), time.thread_time()
                breath = Breath()
                for save in self._round():
                    save.when_over(save)
                    breath.rest()
                pause = min(MOST_ROUND_SECONDS, _ROUND_PAUSE * (time.thread_time() - worked))
                self._next_round = began + max(self._every, pause)
        finally:
            with self._changed:
                self._runs = False
                self._changed.notify_all()

    def _wait(self) -> bool:
        """Waits until something is due. False when the service closes and nothing is left."""
        with self._changed:
            while not self._closing:
                self._wakes_at = min(map(self._due, self._waiting), default=float("inf"))
                left = self._wakes_at - time.monotonic()
                if left <= 0:
                    self._wakes_at = 0.0
                    return True
                self._changed.wait(None if self._wakes_at == float("inf") else left)
            return bool(self._waiting)

    def _round(self) -> list[Save]:
        """Saves what is due; what was."""
        now = time.monotonic()
        with self._changed:
            self._not_before = {task_id: at for task_id, at in self._not_before.items() if at > now}
            due = [save for save in self._waiting.values() if self._closing or self._due(save.task_id) <= now]
        pauses, breath = {}, Breath()
        for save in due:
            pauses[save.task_id] = save.prepare()
            breath.rest()
        with self._committing:
            with self._changed:
                batch = [save for save in due if self._waiting.get(save.task_id) is save]  # no newer one has come
                for save in batch:
                    del self._waiting[save.task_id]
                    if pauses[save.task_id] > self._every:
                        self._not_before[save.task_id] = now + pauses[save.task_id]
            self._commits.commit([save for save in batch if not save.is_over])
            self._try_again(batch)
        return batch

    def _due(self, task_id: str) -> float:
        return max(self._next_round, self._not_before.get(task_id, 0.0))

    def _try_again(self, batch: Sequence[Save]) -> None:
        """What the disk has refused waits for its next try, unless there is something newer, the first one last."""
        refused = [save for save in batch if isinstance(save.error, StorageError)]
        with self._changed:
            for save in (*refused[1:], *refused[:1]):
                if not self._closing and save.task_id not in {**self._waiting, **self._urgent}:
                    again = Save(save.task_id, save.token, save.make, save.when_over, values=save.values)
                    self._waiting[save.task_id] = again
                self._not_before[save.task_id] = time.monotonic() + REFUSED_SECONDS
            if refused and self._has_thread():
                self._changed.notify_all()
