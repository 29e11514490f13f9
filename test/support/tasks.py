"""What the BackgroundTaskManager's tests share."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator

import pytest

from app.sync.background_tasks import BackgroundTaskManager, TaskStatus

WAIT = 10.0


@pytest.fixture
def manager() -> BackgroundTaskManager:
    return BackgroundTaskManager()


@pytest.fixture
def gate() -> Iterator[threading.Event]:
    """What the tasks of a test wait on; open at its end, so that none of them stays."""
    event = threading.Event()
    yield event
    event.set()


def nothing() -> None:
    """A task that has nothing to do."""


def status_of(manager: BackgroundTaskManager, task_id: str) -> TaskStatus:
    status = manager.get_status(task_id)
    assert status is not None
    return status


def run(manager: BackgroundTaskManager, task_id: str, target: Callable[[], object]) -> TaskStatus:
    """Start a task and wait for its end; its status then."""
    manager.start_task(task_id, target)
    assert manager.wait(task_id, WAIT)
    return status_of(manager, task_id)
