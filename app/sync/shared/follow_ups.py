"""What follows the end of an install, or a question of its run, is done by one process, and once.

Whoever has recorded an end claims what follows it. Where that process has died between the two, another one that works
finds the end without a claim, and does it.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

from app.protocol import questions
from app.storage.errors import StorageError
from app.storage.signals import SignalStore
from app.sync.shared.shared_progress import SharedProgress

WITHIN_SECONDS = 3600.0
"""What ended longer ago is nobody's news any more."""
AFTER_SECONDS = 20.0
"""How long whoever has recorded an end may need."""

_log = logging.getLogger(__name__)
Follow = Callable[[str], None]


class FollowUps:
    """The claims of one process. Any thread."""

    def __init__(self, store: SignalStore, progress: SharedProgress) -> None:
        self._store = store
        self._progress = progress
        self._of_end: Follow = lambda _task_id: None

    def of_end(self, follow: Follow) -> Follow:
        """`follow` for an end that nobody has claimed."""

        def once(task_id: str) -> None:
            if self._claims(task_id):
                follow(task_id)

        self._of_end = once
        return once

    def of_question(self, follow: Follow) -> Follow:
        """`follow` for an install that asks something that nobody has claimed."""

        def once(task_id: str) -> None:
            status = self._progress.get(task_id)
            asked = questions.unanswered(status.snapshot) if status is not None else ()
            if any([self._claims(f"{task_id} {each.asked.id}") for each in asked]):  # noqa: C419 - all are claimed
                follow(task_id)

        return once

    def look(self) -> None:
        """Does what follows the ends that nobody has claimed. Raises StorageError."""
        for task_id in self._store.not_followed(WITHIN_SECONDS, AFTER_SECONDS):
            _log.info("task %s: whoever recorded its end is gone; following it up here", task_id)
            self._of_end(task_id)

    def _claims(self, key: str) -> bool:
        try:
            return self._store.claim(key)
        except StorageError as exc:  # an end is found again later
            _log.warning("%s: nothing follows it yet: %s", key, exc.message)
            return False
