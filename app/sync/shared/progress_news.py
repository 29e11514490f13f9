"""Says which installs of this process have something new, to all who share the PostgreSQL.

A commit with a NOTIFY waits for every other one in the database, so it is said together, ten times a second at most,
whatever number of installs runs here. It goes out after what it is about was saved.
"""

from __future__ import annotations

import logging
import threading
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, replace

from app.storage.errors import StorageError
from app.storage.signals import PROGRESS, SignalStore, in_payloads
from app.sync.background_tasks import BackgroundTaskManager

TOGETHER_SECONDS = 0.1
NOTED_SECONDS = 3.0
"""How often it is noted when runners were last heard, for whoever comes to look later."""
_REFUSED_SECONDS = 1.0
_NOTHING = "-"

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class News:
    """Of one install. `revision`: the newest that was saved; None: something that has no revision has changed.
    `heard_ago`: seconds since its runner was heard."""

    task_id: str
    revision: int | None = None
    heard_ago: float | None = None


@dataclass(frozen=True, slots=True)
class _Unsaid:
    revision: int = 0
    has_other: bool = False
    heard_at: float | None = None
    """In seconds of the monotonic clock."""

    def behind(self, before: _Unsaid) -> _Unsaid:
        """Both, of which `before` is the older."""
        heard_at = before.heard_at if self.heard_at is None else self.heard_at
        return _Unsaid(max(before.revision, self.revision), before.has_other or self.has_other, heard_at)


class ProgressNews:
    """The news of one process. Any thread; nothing is waited for, and nothing raised. A thread of its own is there from
    the first news to `close`."""

    def __init__(self, store: SignalStore, background: BackgroundTaskManager) -> None:
        self._store = store
        self._background = background
        self._changed = threading.Condition()
        self._unsaid: dict[str, _Unsaid] = {}
        self._unnoted: dict[str, float] = {}
        """When each runner was heard, on the monotonic clock."""
        self._closing = False
        self._thread = f"progress-news-{uuid.uuid4()}"

    def changed(self, task_id: str, revision: int) -> None:
        """This revision of an install was saved."""
        with self._changed:
            unsaid = self._unsaid.get(task_id, _Unsaid())
            self._add(task_id, replace(unsaid, revision=max(unsaid.revision, revision)))

    def changed_otherwise(self, task_id: str) -> None:
        """Something of an install has changed that has no revision: its links to retries."""
        with self._changed:
            self._add(task_id, replace(self._unsaid.get(task_id, _Unsaid()), has_other=True))

    def heard(self, task_id: str, ago: float) -> None:
        """The runner of an install was heard so many seconds ago."""
        at = time.monotonic() - ago
        with self._changed:
            self._unnoted[task_id] = at
            self._add(task_id, replace(self._unsaid.get(task_id, _Unsaid()), heard_at=at))

    def close(self, timeout: float) -> None:
        """Says what is left, within `timeout` seconds."""
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        self._background.wait(self._thread, timeout)

    def _add(self, task_id: str, unsaid: _Unsaid) -> None:
        self._unsaid[task_id] = unsaid
        if self._closing:
            return
        self._changed.notify_all()
        if not self._background.is_task_running(self._thread):
            try:
                self._background.start_task(self._thread, self._run)
            except RuntimeError as exc:  # the system gives no more threads; the next news tries again
                _log.error("other processes are not told of progress: %s", exc)

    def _run(self) -> None:
        noted_at, refused = time.monotonic(), False
        while (unsaid := self._next()) is not None:
            try:
                self._store.notify(PROGRESS, in_payloads(_lines(unsaid, time.monotonic())))
                if time.monotonic() - noted_at > NOTED_SECONDS:
                    noted_at = time.monotonic()
                    self._note_heard()
                refused = False
            except StorageError as exc:
                level = logging.DEBUG if refused else logging.WARNING
                _log.log(level, "other processes are not told of progress yet: %s", exc.message)
                refused = True
                self._say_again(unsaid)
                self._pause(_REFUSED_SECONDS)
            self._pause(TOGETHER_SECONDS)

    def _next(self) -> dict[str, _Unsaid] | None:
        """Waits for news; None when the process closes and nothing is left."""
        with self._changed:
            while not self._unsaid and not self._closing:
                self._changed.wait()
            unsaid, self._unsaid = self._unsaid, {}
        return unsaid or None

    def _say_again(self, unsaid: dict[str, _Unsaid]) -> None:
        """The line may have been cut for this process only, and others hear nothing of it else. At its end it says
        everything once."""
        with self._changed:
            for task_id, before in {} if self._closing else unsaid.items():
                self._unsaid[task_id] = self._unsaid.get(task_id, before).behind(before)

    def _pause(self, seconds: float) -> None:
        with self._changed:
            self._changed.wait_for(lambda: self._closing, seconds)

    def _note_heard(self) -> None:
        with self._changed:
            unnoted, self._unnoted = self._unnoted, {}
        now = time.monotonic()
        if unnoted:
            self._store.note_heard({task_id: now - at for task_id, at in unnoted.items()})


def _lines(unsaid: dict[str, _Unsaid], now: float) -> Iterator[str]:
    """Each `TASK_ID REVISION MILLISECONDS`; `-` for what there is not."""
    for task_id, news in unsaid.items():
        ago = _NOTHING if news.heard_at is None else str(max(0, int((now - news.heard_at) * 1000)))
        yield f"{task_id} {_NOTHING if news.has_other else news.revision} {ago}"


def read_news(payload: str) -> Iterator[News]:
    """What another process has said. What a newer version says in other words is left out."""
    for line in payload.splitlines():
        words = line.split(" ")
        if len(words) < 3 or not all(word == _NOTHING or word.isdecimal() for word in words[1:3]):
            continue
        task_id, revision, ago = words[:3]
        yield News(
            task_id,
            None if revision == _NOTHING else int(revision),
            None if ago == _NOTHING else int(ago) / 1000,
        )
