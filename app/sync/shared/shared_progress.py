"""The progress of installs that any of several processes runs: what this one runs from its memory, and what others run
from there too, until one of them says that there is more.

An install that another process runs is read from its record when somebody asks for it and it is not known, when news of
it have come since, and with each question while nobody is heard: nothing old is passed off as new. Where the record
cannot be read, what was known last is answered; when its runner was heard then grows older.
"""

from __future__ import annotations

import threading
import time
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

from app.domain.retry import RetryLinks
from app.storage.errors import StorageError
from app.sync.installs.progress_cache import InstallStatus, ProgressCache
from app.sync.shared.progress_news import News, ProgressNews, read_news

MAX_OTHERS = 1000
"""Of more installs that go on elsewhere, those that nobody has asked for the longest time are forgotten."""
UNASKED_SECONDS = 300.0
UNTOLD_SECONDS = 10.0
"""After so long without a word about an install that goes on elsewhere its record is read again: whoever saved its last
news may have died before it could say so. One that is run is heard of every few seconds."""
_REFUSED_SECONDS = 1.0
"""How long a database that refuses is left alone: a poll then waits for nothing."""
_LOOK_SECONDS = 0.5
"""How often somebody who waits looks at the record while nobody is heard."""
_STRIPES = 64


@dataclass(slots=True)
class _Other:
    """An install that this process does not run. `read_at`, `news_at`: when it was read, and when there were news, on
    a scale of the cache's own; `asked_at`, `told_at` (when it was read or heard of): seconds of the monotonic clock."""

    read_at: int = 0
    news_at: int = 0
    asked_at: float = 0.0
    told_at: float = 0.0


class SharedProgress(ProgressCache):
    """A ProgressCache of one of several processes. `read`: an install as its record has it, and when its runner was
    heard as that was noted; None where there is none; raises StorageError, as `get` then does for what is unknown."""

    def __init__(
        self,
        retention_seconds: float,
        *,
        read: Callable[[str], InstallStatus | None],
        news: ProgressNews,
        now: Callable[[], float],
        untold_seconds: float = UNTOLD_SECONDS,
    ) -> None:
        """`now`: Unix seconds."""
        super().__init__(retention_seconds)
        self._now = now
        self._read = read
        self._news = news
        self._untold_seconds = untold_seconds
        self._own: set[str] = set()
        """What this process holds the lease of."""
        self._others: OrderedDict[str, _Other] = OrderedDict()
        """The others that are known, those that were asked for last at the end."""
        self._being_read: Counter[str] = Counter()
        self._number = 0
        self._all_news_at = 0
        self._is_live = False
        self._stripes = [threading.Lock() for _ in range(_STRIPES)]
        self._refused: tuple[float, StorageError] | None = None

    # -- what this process runs -------------------------------------------------------------------------------------

    def hold(self, task_id: str) -> None:
        """This process runs the install: from now on what is put here is the newest there is."""
        with self._changed:
            self._own.add(task_id)
            self._others.pop(task_id, None)

    def let_go(self, task_id: str) -> None:
        """Another process may run the install from now on."""
        with self._changed:
            if task_id in self._own:
                self._own.discard(task_id)
                self._others[task_id] = _Other(asked_at=time.monotonic())

    def put(self, status: InstallStatus) -> None:
        """The newest of an install that is held. Of another it was read a while ago."""
        task_id = status.snapshot.task_id
        with self._changed:
            is_own = task_id in self._own
            if is_own and status.ended:  # what still happens to it any process may do
                self._own.discard(task_id)
                self._others[task_id] = _Other(self._number, asked_at=time.monotonic())
        if not is_own:
            self._learn(status, 0)
            return
        super().put(status)
        self._news.changed(task_id, status.snapshot.revision)
        if status.heard_at is not None:
            self._news.heard(task_id, max(0.0, self._now() - status.heard_at))

    def heartbeat(self, task_id: str, at: float) -> None:
        """The runner of an install was heard `at` Unix seconds, without news."""
        super().heartbeat(task_id, at)
        self._news.heard(task_id, max(0.0, self._now() - at))

    def link_retry(self, task_id: str, retry_links: RetryLinks) -> None:
        """An ended install has these links to its retries now."""
        super().link_retry(task_id, retry_links)
        self._news.changed_otherwise(task_id)

    # -- what others say --------------------------------------------------------------------------------------------

    def set_live(self, is_live: bool) -> None:
        """Whether what others say is heard from now on. What was said before may have been missed."""
        with self._changed:
            self._is_live = is_live
            self._refused = None
            self._number += 1
            self._all_news_at = self._number
            self._changed.notify_all()

    def receive(self, payloads: Sequence[str]) -> None:
        """News of other processes, and of this one."""
        with self._changed:
            is_more = [self._note(news) for payload in payloads for news in read_news(payload)]
            if any(is_more):
                self._changed.notify_all()

    def _note(self, news: News) -> bool:
        """Whether something is to be read again."""
        task_id = news.task_id
        known = self._statuses.get(task_id)
        if task_id in self._own or (known is None and task_id not in self._being_read):
            return False
        if known is not None and news.heard_ago is not None:
            heard_at = max(known.heard_at or 0.0, self._now() - news.heard_ago)
            self._statuses[task_id] = known = replace(known, heard_at=heard_at)
        other = self._others.setdefault(task_id, _Other())
        other.told_at = time.monotonic()
        if known is not None and news.revision is not None and news.revision <= known.snapshot.revision:
            return False
        self._number += 1
        other.news_at = self._number
        return True

    # -- what is asked ----------------------------------------------------------------------------------------------

    def get(self, task_id: str) -> InstallStatus | None:
        """The newest of one install; None when there is none. Raises StorageError for one that is not known here."""
        with self._changed:
            known = self._fresh(task_id)
        if known is not None:
            return known
        with self._stripes[hash(task_id) % _STRIPES], self._noting_reads(task_id):
            with self._changed:
                known, number = self._fresh(task_id), self._number
                last = self._statuses.get(task_id)
                refused = self._refused
            if known is not None:
                return known
            if refused is not None and time.monotonic() < refused[0]:
                return _unless_unknown(last, refused[1])
            return self._read_again(task_id, number, last)

    def known(self, task_id: str) -> InstallStatus | None:
        """As `get`, where no record is to be read for it."""
        with self._changed:
            return self._fresh(task_id)

    def learn(self, status: InstallStatus) -> InstallStatus:
        """An install as its record has it: what is known of it now."""
        return self._learn(status, 0)

    def wait(self, task_id: str, until: Callable[[InstallStatus], bool], timeout: float) -> bool:
        """Waits up to `timeout` seconds until `until` holds for the install; False when it does not by then."""
        deadline = time.monotonic() + timeout
        with self._changed:
            wakes = self._wakes
        while True:
            status = self._get_if_possible(task_id)
            if status is not None and until(status):
                return True
            with self._changed:
                left = deadline - time.monotonic()
                if left <= 0.0 or self._wakes != wakes:
                    return False
                self._wait_for_more(task_id, status, wakes, left)

    def drop_ended(self, now: float | None = None) -> int:
        """Forgets what ended longer before `now` (monotonic seconds) than it is to stay, and what goes on elsewhere and
        nobody asks for; how many the first were."""
        moment = time.monotonic() if now is None else now
        with self._changed:
            unasked = [
                task_id
                for task_id, other in self._others.items()
                if task_id not in self._since and moment - other.asked_at > UNASKED_SECONDS
            ]
            for task_id in unasked:
                self._drop(task_id)
        return super().drop_ended(now)

    def _drop(self, task_id: str) -> None:
        super()._drop(task_id)
        self._own.discard(task_id)
        self._others.pop(task_id, None)

    def _fresh(self, task_id: str) -> InstallStatus | None:
        """What is known of an install, where nothing newer can be known; with the lock."""
        if task_id in self._own:
            return self._statuses.get(task_id)
        other = self._others.get(task_id)
        if other is None or not self._is_live or other.read_at < max(other.news_at, self._all_news_at):
            return None
        other.asked_at = time.monotonic()
        self._others.move_to_end(task_id)
        known = self._statuses.get(task_id)
        is_untold = other.asked_at - other.told_at > self._untold_seconds
        return None if known is not None and not known.ended and is_untold else known

    @contextmanager
    def _noting_reads(self, task_id: str) -> Iterator[None]:
        """News that come while the record is read count, also of an install that was unknown until now."""
        with self._changed:
            self._being_read[task_id] += 1
        try:
            yield
        finally:
            with self._changed:
                self._being_read[task_id] -= 1
                self._being_read += Counter()  # without what is zero

    def _read_again(self, task_id: str, number: int, last: InstallStatus | None) -> InstallStatus | None:
        try:
            status = self._read(task_id)
        except StorageError as exc:
            with self._changed:
                self._refused = time.monotonic() + _REFUSED_SECONDS, exc
            return _unless_unknown(last, exc)
        with self._changed:
            self._refused = None
        if status is None:
            self.drop(task_id)
            return None
        return self._learn(status, number)

    def _learn(self, status: InstallStatus, number: int) -> InstallStatus:
        """What was read when the cache's scale was at `number`. Its revision never falls."""
        task_id = status.snapshot.task_id
        with self._changed:
            known = self._statuses.get(task_id)
            if task_id in self._own and known is not None:
                return known
            newest = status
            if known is not None and known.snapshot.revision > status.snapshot.revision:
                newest = known
            times = [each.heard_at for each in (known, status) if each is not None and each.heard_at is not None]
            newest = replace(newest, heard_at=max(times, default=None))
            other = self._others.setdefault(task_id, _Other())
            other.read_at, other.asked_at = max(other.read_at, number), time.monotonic()
            if number:
                other.told_at = other.asked_at
            self._others.move_to_end(task_id)
            self._keep(newest)
            self._forget_unasked()
        return newest

    def _forget_unasked(self) -> None:
        if len(self._others) - len(self._since) > MAX_OTHERS:
            oldest = next((each for each in self._others if each not in self._since), None)
            if oldest is not None:
                self._drop(oldest)

    def _get_if_possible(self, task_id: str) -> InstallStatus | None:
        try:
            return self.get(task_id)
        except StorageError:
            return None

    def _wait_for_more(self, task_id: str, status: InstallStatus | None, wakes: int, seconds: float) -> None:
        refused = self._refused is not None and time.monotonic() < self._refused[0]
        if task_id in self._own or (self._is_live and not refused):

            def is_other() -> bool:
                return self._statuses.get(task_id) is not status or self._fresh(task_id) is None

            self._changed.wait_for(lambda: self._wakes != wakes or is_other(), min(seconds, self._untold_seconds))
        else:
            self._changed.wait_for(lambda: self._wakes != wakes, min(seconds, _LOOK_SECONDS))


def _unless_unknown(last: InstallStatus | None, refused: StorageError) -> InstallStatus:
    if last is None:
        raise refused
    return last
