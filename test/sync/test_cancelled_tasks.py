"""BackgroundTaskManager: stopping tasks, and the event that a target listens to."""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import partial

import pytest

from app.sync.background_tasks import BackgroundTaskManager, TaskCancelled
from test.support.tasks import WAIT, gate, manager, nothing, run, status_of

__all__ = ["gate", "manager"]  # fixtures


def wait_for_cancel(cancel_event: threading.Event) -> None:
    assert cancel_event.wait(WAIT)


def raise_at_cancel(*, cancel_event: threading.Event) -> None:
    wait_for_cancel(cancel_event)
    raise TaskCancelled


@pytest.mark.parametrize("target", [wait_for_cancel, raise_at_cancel])
def test_a_cancelled_target_that_ends_is_cancelled(manager: BackgroundTaskManager, target: Callable[..., None]) -> None:
    manager.start_task("t", target)
    assert manager.cancel("t")
    assert manager.cancel("t"), "a second time is no harm"
    assert manager.wait("t", WAIT)
    status = status_of(manager, "t")
    assert (status["state"], status["error"]) == ("cancelled", None)
    assert status["completed_at"] is not None


def test_a_cancelled_target_that_fails_otherwise_has_failed(manager: BackgroundTaskManager) -> None:
    def target(cancel_event: threading.Event) -> None:
        wait_for_cancel(cancel_event)
        raise RuntimeError("could not stop it")

    manager.start_task("t", target)
    manager.cancel("t")
    assert manager.wait("t", WAIT)
    assert (status_of(manager, "t")["state"], status_of(manager, "t")["error"]) == ("failed", "could not stop it")


def test_a_cancelled_task_runs_until_its_target_ends(manager: BackgroundTaskManager, gate: threading.Event) -> None:
    manager.start_task("t", gate.wait, WAIT)
    manager.cancel("t")
    assert manager.is_task_running("t")
    assert not manager.cleanup_task("t")


def test_an_ended_task_cannot_be_cancelled(manager: BackgroundTaskManager) -> None:
    run(manager, "t", nothing)
    assert not manager.cancel("t")
    assert status_of(manager, "t")["state"] == "completed"
    event = manager.cancel_event("t")
    assert event is not None
    assert not event.is_set()


def test_the_cancel_event_can_be_asked_for(manager: BackgroundTaskManager) -> None:
    manager.start_task("t", lambda: wait_for_cancel(manager.cancel_event("t") or threading.Event()))
    manager.cancel("t")
    assert manager.wait("t", WAIT)
    assert status_of(manager, "t")["state"] == "cancelled"


def test_a_task_that_is_started_again_has_an_event_of_its_own(
    manager: BackgroundTaskManager, gate: threading.Event
) -> None:
    manager.start_task("t", wait_for_cancel)
    manager.cancel("t")
    assert manager.wait("t", WAIT)
    manager.start_task("t", gate.wait, WAIT)
    event = manager.cancel_event("t")
    assert event is not None
    assert not event.is_set()


def test_cancelling_one_task_leaves_the_others(manager: BackgroundTaskManager, gate: threading.Event) -> None:
    manager.start_task("a", gate.wait, WAIT)
    manager.start_task("b", gate.wait, WAIT)
    manager.cancel("a")
    gate.set()
    assert manager.wait("a", WAIT)
    assert manager.wait("b", WAIT)
    assert status_of(manager, "b")["state"] == "completed"


class Target:
    """A callable object; its method is a bound one."""

    def __init__(self) -> None:
        self.got: list[object] = []

    def __call__(self, one: int, cancel_event: threading.Event | None = None) -> None:
        self.got.append((one, type(cancel_event)))


def test_the_event_is_passed_to_any_callable_that_names_it(manager: BackgroundTaskManager) -> None:
    target = Target()
    manager.start_task("object", target, 1)
    manager.start_task("method", target.__call__, 1)
    manager.start_task("partial", partial(target, 1))
    assert all(manager.wait(task_id, WAIT) for task_id in ("object", "method", "partial"))
    assert target.got == [(1, threading.Event)] * 3


def test_an_event_of_the_callers_own_is_left_alone(manager: BackgroundTaskManager) -> None:
    target = Target()
    manager.start_task("by name", target, 1, cancel_event=None)
    manager.start_task("by place", target, 1, None)
    assert manager.wait("by name", WAIT)
    assert manager.wait("by place", WAIT)
    assert target.got == [(1, type(None))] * 2


def test_a_target_that_does_not_name_it_gets_no_event(manager: BackgroundTaskManager) -> None:
    got: list[dict[str, object]] = []
    manager.start_task("any names", lambda **kwargs: got.append(kwargs))
    manager.start_task("built-in", dict, a=1)
    assert manager.wait("any names", WAIT)
    assert manager.wait("built-in", WAIT)
    assert got == [{}]
    assert status_of(manager, "built-in")["state"] == "completed"
