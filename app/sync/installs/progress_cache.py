"""The snapshots of installs, in memory: what every poll is answered from. No I/O, no connection.

An ended install stays for two hours (the setting `memory_hours`); after that its record is asked again.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

from app.domain.limits import MAX_ENDED_CHARS, MAX_ENDED_IN_MEMORY
from app.domain.retry import RetryLinks
from app.domain.run_summary import Purpose, Summary, summary_of
from app.protocol import questions
from app.protocol.snapshot import Snapshot, to_stored
from app.protocol.states import TERMINAL_TASK_STATES

RETENTION_SECONDS = 2 * 60 * 60


@dataclass(frozen=True, slots=True)
class InstallStatus:
    """What is known of one install. `heard_at`: when its runner was last heard (Unix s); `require`: as the option;
    `retry_links`: to its retries; `purpose`: what it is for."""

    snapshot: Snapshot
    require: str = "any"
    heard_at: float | None = None
    retry_links: RetryLinks = field(default_factory=RetryLinks)
    purpose: Purpose = Purpose.INSTALL

    @property
    def ended(self) -> bool:
        """Whether the install is in a terminal state."""
        return self.snapshot.state in TERMINAL_TASK_STATES

    @property
    def summary(self) -> Summary:
        """How it stands, in one sentence."""
        return summary_of(self.snapshot, self.purpose)


class ProgressCache:
    """The newest snapshot of each install. Written by the install's thread, read by any."""

    def __init__(
        self,
        retention_seconds: float = RETENTION_SECONDS,
        *,
        most_ended: int = MAX_ENDED_IN_MEMORY,
        most_chars: int = MAX_ENDED_CHARS,
    ) -> None:
        """`most_ended`, `most_chars`: of more ended installs, or larger ones, those that came here first are forgotten;
        the newest stays."""
        self._retention_seconds = retention_seconds
        self._most_ended = most_ended
        self._most_chars = most_chars
        self._chars: dict[str, int] = {}
        """How large each ended install is, as JSON."""
        self._lock = threading.RLock()
        self._changed = threading.Condition(self._lock)
        """For who waits for news of any install."""
        self._waiters: dict[str, tuple[threading.Condition, int]] = {}
        """By task: what those wait at who wait for it, and how many they are. Nobody is woken by another's news."""
        self._wakes = 0
        self._statuses: dict[str, InstallStatus] = {}
        self._since: dict[str, float] = {}
        """When an ended install came here, in seconds of the monotonic clock."""
        self.when_asked: Callable[[str], None] = lambda _task_id: None
        """Called with the task_id when an install asks something new."""

    def hold(self, task_id: str) -> None:
        """This process runs the install: from now on what is put here is the newest there is. Where nobody else runs
        any, that is so anyway."""

    def put(self, status: InstallStatus) -> None:
        """The newest of one install."""
        before = self._keep(status)
        known = before.snapshot.questions if before else {}
        if any(each.asked.id not in known for each in questions.unanswered(status.snapshot)):
            self.when_asked(status.snapshot.task_id)

    def learn(self, status: InstallStatus) -> InstallStatus:
        """An install as its record has it: what is known of it now."""
        if status.ended:
            self.put(status)
        return status

    def _keep(self, status: InstallStatus) -> InstallStatus | None:
        """What was there before."""
        task_id = status.snapshot.task_id
        chars = len(json.dumps(to_stored(status.snapshot))) if status.ended else 0
        with self._lock:
            before = self._statuses.get(task_id)
            self._statuses[task_id] = status
            if status.ended:
                self._since.setdefault(task_id, time.monotonic())
                self._chars[task_id] = chars
                self._drop_oldest()
            self._notify(task_id)
        return before

    def _drop_oldest(self) -> None:
        while len(self._since) > self._most_ended or (
            len(self._since) > 1 and sum(self._chars.values()) > self._most_chars
        ):
            self._drop(next(iter(self._since)))

    def _drop(self, task_id: str) -> None:
        for known in (self._statuses, self._since, self._chars):
            known.pop(task_id, None)

    def heartbeat(self, task_id: str, at: float) -> None:
        """The runner of an install was heard `at` Unix seconds, without news."""
        with self._lock:
            known = self._statuses.get(task_id)
            if known is not None:
                self._statuses[task_id] = replace(known, heard_at=at)

    def link_retry(self, task_id: str, retry_links: RetryLinks) -> None:
        """An ended install has these links to its retries now."""
        with self._lock:
            known = self._statuses.get(task_id)
            if known is not None:
                self._statuses[task_id] = replace(known, retry_links=retry_links)
                self._notify(task_id)

    def get(self, task_id: str) -> InstallStatus | None:
        """The newest of one install; None when it is not here."""
        with self._lock:
            return self._statuses.get(task_id)

    def known(self, task_id: str) -> InstallStatus | None:
        """As `get`, where that takes no waiting for anything; None where it would."""
        return self.get(task_id)

    def wait(self, task_id: str, until: Callable[[InstallStatus], bool], timeout: float) -> bool:
        """Waits up to `timeout` seconds until `until` holds for the install; False when it does not by then."""

        def holds() -> bool:
            return task_id in self._statuses and until(self._statuses[task_id])

        with self._lock, self._waiting(task_id) as changed:
            wakes = self._wakes
            changed.wait_for(lambda: self._wakes != wakes or holds(), timeout)
            return holds()

    @contextmanager
    def _waiting(self, task_id: str) -> Iterator[threading.Condition]:
        """What the task's news are told at, for the block."""
        changed, others = self._waiters.get(task_id) or (threading.Condition(self._lock), 0)
        self._waiters[task_id] = changed, others + 1
        try:
            yield changed
        finally:
            _, count = self._waiters.pop(task_id)
            if count > 1:
                self._waiters[task_id] = changed, count - 1

    def _notify(self, task_id: str) -> None:
        if task_id in self._waiters:
            self._waiters[task_id][0].notify_all()
        self._changed.notify_all()

    def wake(self) -> None:
        """Ends every wait that goes on: the service closes."""
        with self._lock:
            self._wakes += 1
            for task_id in self._waiters:
                self._notify(task_id)

    def drop(self, task_id: str) -> None:
        """Forgets one install: its record is asked instead."""
        with self._lock:
            self._drop(task_id)
            self._notify(task_id)

    def drop_ended(self, now: float | None = None) -> int:
        """Forgets what ended longer before `now` (monotonic seconds) than it is to stay; how many they were."""
        moment = time.monotonic() if now is None else now
        with self._lock:
            old = [task_id for task_id, since in self._since.items() if moment - since >= self._retention_seconds]
            for task_id in old:
                self._drop(task_id)
            return len(old)
