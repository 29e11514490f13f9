"""Progress in memory."""

from __future__ import annotations

import threading
import time
from dataclasses import replace

from app.protocol.progress_json import initial
from app.protocol.states import TaskState
from app.sync.installs.progress_cache import RETENTION_SECONDS, InstallStatus, ProgressCache

QUEUED = InstallStatus(initial("t", 0.0, auto_installer=False))
ENDED = replace(QUEUED, snapshot=replace(QUEUED.snapshot, state=TaskState.COMPLETED))


def test_it_works() -> None:
    progress_cache = ProgressCache()
    assert progress_cache.get("t") is None
    progress_cache.put(QUEUED)
    assert progress_cache.get("t") is QUEUED


def test_who_waits_for_the_end_is_woken_by_it() -> None:
    """Not by a clock."""
    progress_cache = ProgressCache()
    progress_cache.put(QUEUED)
    ended = threading.Timer(0.05, progress_cache.put, [ENDED])
    ended.start()
    assert progress_cache.wait("t", lambda status: status.ended, 10)
    ended.join()


def test_a_wait_has_a_deadline() -> None:
    progress_cache = ProgressCache()
    progress_cache.put(QUEUED)
    assert not progress_cache.wait("t", lambda status: status.ended, 0.01)


def test_what_ended_two_hours_ago_is_forgotten_and_nothing_else() -> None:
    progress_cache = ProgressCache()
    live = replace(QUEUED, snapshot=initial("live", 0.0, auto_installer=False))
    progress_cache.put(ENDED)
    progress_cache.put(live)
    assert progress_cache.drop_ended(time.monotonic() + RETENTION_SECONDS - 60) == 0
    assert progress_cache.drop_ended(time.monotonic() + RETENTION_SECONDS + 60) == 1
    assert progress_cache.get("t") is None
    assert progress_cache.get("live") is live


def test_large_installs_that_ended_are_forgotten_before_many_are_and_the_newest_stays() -> None:
    """Whatever an instance has said of one, all together take no more memory than allowed."""
    progress_cache = ProgressCache(most_chars=10_000)
    known: list[str] = []
    for task_id, chars in (("a", 4000), ("b", 4000), ("c", 4000), ("d", 50_000)):
        snapshot = replace(ENDED.snapshot, task_id=task_id, probe={"fact": "x" * chars})
        progress_cache.put(replace(ENDED, snapshot=snapshot))
        known = [each for each in "abcd" if progress_cache.get(each)]
        assert task_id in known
    assert known == ["d"]
    progress_cache.put(QUEUED)
    assert progress_cache.get("t") is QUEUED, "what has not ended is never forgotten"
