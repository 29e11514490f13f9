"""Progress in memory."""

from __future__ import annotations

import threading
import time
from dataclasses import replace

from app.protocol.progress_json import initial
from app.protocol.states import TaskState
from app.sync.installs.progress_cache import RETENTION_SECONDS, ProgressBoard, Shown

QUEUED = Shown(initial("t", 0.0, auto_installer=False))
ENDED = replace(QUEUED, snapshot=replace(QUEUED.snapshot, state=TaskState.COMPLETED))


def test_it_works() -> None:
    board = ProgressBoard()
    assert board.get("t") is None
    board.put(QUEUED)
    assert board.get("t") is QUEUED


def test_who_waits_for_the_end_is_woken_by_it() -> None:
    """Not by a clock."""
    board = ProgressBoard()
    board.put(QUEUED)
    ended = threading.Timer(0.05, board.put, [ENDED])
    ended.start()
    assert board.wait("t", lambda shown: shown.ended, 10)
    ended.join()


def test_a_wait_has_a_deadline() -> None:
    board = ProgressBoard()
    board.put(QUEUED)
    assert not board.wait("t", lambda shown: shown.ended, 0.01)


def test_what_ended_two_hours_ago_is_forgotten_and_nothing_else() -> None:
    board = ProgressBoard()
    live = replace(QUEUED, snapshot=initial("live", 0.0, auto_installer=False))
    board.put(ENDED)
    board.put(live)
    assert board.drop_ended(time.monotonic() + RETENTION_SECONDS - 60) == 0
    assert board.drop_ended(time.monotonic() + RETENTION_SECONDS + 60) == 1
    assert board.get("t") is None
    assert board.get("live") is live
