"""How long ended installs are remembered: their records, and their progress files."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from app.domain.limits import IDEMPOTENCY_SECONDS
from app.settings import Settings
from app.storage.errors import StorageError
from app.storage.history import History, Past
from app.storage.log_files import Logs
from app.storage.progress_files import ProgressFiles
from app.sync.installs.history_limits import logs_over, oldest_over
from app.sync.installs.progress_cache import ProgressCache

DAY = 86_400.0
EVERY_SECONDS = 3600.0
COUNT_SECONDS = 60.0
"""How often it is looked whether there is too much, and not only what is too old."""

FOR_EVER_DAYS = 1_000_000.0
_Ends = Mapping[str, float | None]
"""When each install ended, by task_id."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Pruned:
    """What was removed. `logs`: of how many installs; `bytes`: of files and of JSON in the database, which uses that
    room again. `kept`: records that are as old, but that one which stays refers to."""

    records: int
    progress_files: int
    logs: int
    bytes: int
    kept: int


class Retention:
    """Forgets what is older than the settings say. Every method may be called from any thread."""

    def __init__(
        self,
        history: History,
        files: ProgressFiles,
        progress_cache: ProgressCache,
        settings: Settings,
        now: Callable[[], float] = time.time,
        *,
        logs: Logs,
    ) -> None:
        """`now`: Unix seconds."""
        self._history = history
        self._files = files
        self._logs = logs
        self._progress_cache = progress_cache
        self._days = settings.history_days
        self._log_days = settings.log_days or float("inf")
        self._max_records = settings.max_records
        self._max_log_bytes = settings.max_log_bytes
        self._now = now
        self._due_at = float("-inf")
        self._count_due_at = float("-inf")

    def prune(self, older_than_days: float) -> Pruned:
        """Removes the records, logs and progress files of installs that ended more than so many days ago, files that
        belong to no record, fleets whose installs are gone, and workflows that are as old and have ended. What has not
        ended stays, and what a record that stays undoes or repeats. Raises StorageError."""
        before = self._now() - older_than_days * DAY
        with_logs = self._logs.tasks()
        past = self._history.all()
        old = {install.task_id for install in past if install.ended_at is not None and install.ended_at < before}
        pruned = self._forget(past, old, before, with_logs)
        groups = self._history.remove_groups(before)
        words = "pruned: %d records older than %g days, %d fleets and workflows, %d progress files"
        _log.info(words, pruned.records, older_than_days, groups, pruned.progress_files)
        return pruned

    def limit(self) -> None:
        """Removes the records and the logs that are more than the settings allow, those of what ended first before the
        others. What has not ended stays; its logs are cut where they alone are too large. Raises StorageError."""
        with_logs = self._logs.tasks()
        if self._max_records and self._history.count() > self._max_records:
            past = self._history.all()
            old = oldest_over(past, self._max_records, self._now(), _referred_to)
            pruned = self._forget(past, old, float("-inf"), with_logs)
            self._history.remove_groups_over(self._max_records, self._now() - IDEMPOTENCY_SECONDS)
            _log.info("pruned: %d records, the oldest of more than %d", pruned.records, self._max_records)
        self._limit_logs()

    def _limit_logs(self) -> None:
        sizes = self._logs.totals()
        if not self._max_log_bytes or sum(sizes.values()) <= self._max_log_bytes:
            return
        ends = {install.task_id: install.ended_at for install in self._history.all()}
        ends |= {task_id: None for task_id in sizes if self._logs.is_written(task_id)}
        going, still_over = logs_over(sizes, ends, self._max_log_bytes)
        for task_id in going:
            self._logs.remove(task_id)
        if still_over:
            self._logs.cut_written()
        _log.info("logs: those of %d tasks removed, all had more than %d bytes", len(going), self._max_log_bytes)

    def _forget(self, past: Sequence[Past], old: set[str], before: float, with_logs: Sequence[str]) -> Pruned:
        """Removes the installs in `old` that nothing refers to which stays, and files that belong to no install and are
        from before then."""
        forgotten = old - _referred_to(past, old)
        removed, size = self._history.remove(sorted(forgotten))
        gone = set(removed)
        for task_id in gone:
            self._progress_cache.drop(task_id)
        staying = {install.task_id: install.ended_at for install in past if install.task_id not in gone}
        files, file_size = self._files.remove_all(
            # of no record and a day older still, since a new one may not be known yet
            lambda of, at: of in gone or (of not in staying and at < before - DAY)
        )
        logs, log_size = self._remove_logs(with_logs, staying)
        return Pruned(len(gone), files, logs, size + file_size + log_size, len(old) - len(forgotten))

    def _remove_logs(self, with_logs: Sequence[str], staying: _Ends) -> tuple[int, int]:
        """Of what is gone or never was, and of what ended more than `log_days` ago. An earlier service may have died
        before the last of a log had come."""
        before = self._now() - self._log_days * DAY
        count = size = 0
        for task_id in with_logs:
            ended_at = staying.get(task_id)
            if task_id not in staying or (ended_at is not None and ended_at < before):
                size += sum(self._logs.sizes(task_id).values())
                self._logs.remove(task_id)
                count += 1
            elif ended_at is not None:
                self._logs.close(task_id)
        return count, size

    def prune_if_due(self) -> None:
        """Once an hour what is too old, and once a minute what is too much, as the settings say; and at the first call.
        0 is for ever, and for any number."""
        self._progress_cache.drop_ended()
        try:
            if time.monotonic() >= self._due_at:
                self._due_at = time.monotonic() + EVERY_SECONDS
                self.prune(self._days or FOR_EVER_DAYS)
            if time.monotonic() >= self._count_due_at:
                self._count_due_at = time.monotonic() + COUNT_SECONDS
                self.limit()
        except StorageError as exc:
            _log.error("the history could not be pruned: %s", exc)


def _referred_to(past: Sequence[Past], old: set[str]) -> set[str]:
    """Those of `old` that stay because one that stays undoes or repeats them, directly or through others."""
    refers_to = {install.task_id: install.refers_to for install in past}
    staying: set[str] = set()
    ahead = [task_id for task_id in refers_to if task_id not in old]
    while ahead:
        for task_id in refers_to.get(ahead.pop(), ()):
            if task_id in old and task_id not in staying:
                staying.add(task_id)
                ahead.append(task_id)
    return staying
