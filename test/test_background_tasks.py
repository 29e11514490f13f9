"""BackgroundTaskManager: what it tells of a task while it runs, when it has ended, and when it was stopped."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import pytest

from app.sync.background_tasks import BackgroundTaskManager, TaskCancelled, get_task_manager
from test.support.tasks import WAIT, gate, manager, nothing, run, status_of
from test.support.waiting import wait_until

__all__ = ["gate", "manager"]  # fixtures

# --- starting and asking ----------------------------------------------------------------------------------------------


def test_a_start_returns_the_id_at_once(manager: BackgroundTaskManager, gate: threading.Event) -> None:
    assert manager.start_task("any string: is/an id", gate.wait, WAIT) == "any string: is/an id"
    assert not gate.is_set()


def test_a_running_task_has_a_status(manager: BackgroundTaskManager, gate: threading.Event) -> None:
    before = time.time()
    manager.start_task("t", gate.wait, WAIT)
    status = status_of(manager, "t")
    assert before <= status.pop("started_at") <= time.time()  # type: ignore[misc]
    assert status == {
        "task_id": "t",
        "state": "running",
        "completed_at": None,
        "error": None,
        "thread_alive": True,
    }


def test_a_task_completes(manager: BackgroundTaskManager) -> None:
    status = run(manager, "t", nothing)
    assert (status["state"], status["error"]) == ("completed", None)
    assert status["completed_at"] is not None
    assert status["started_at"] <= status["completed_at"] <= time.time()


def test_the_target_gets_its_arguments(manager: BackgroundTaskManager) -> None:
    got: list[object] = []
    manager.start_task("t", lambda *args, **kwargs: got.append((args, kwargs)), 1, "two", three=3, task="four")
    assert manager.wait("t", WAIT)
    assert got == [((1, "two"), {"three": 3, "task": "four"})]


def test_an_unknown_task_is_none(manager: BackgroundTaskManager) -> None:
    assert manager.get_status("nobody") is None
    assert manager.cancel_event("nobody") is None
    assert not manager.is_task_running("nobody")
    assert not manager.wait("nobody", WAIT)
    assert not manager.cancel("nobody")


def test_a_task_is_running_until_it_has_ended(manager: BackgroundTaskManager, gate: threading.Event) -> None:
    manager.start_task("t", gate.wait, WAIT)
    assert manager.is_task_running("t")
    gate.set()
    assert manager.wait("t", WAIT)
    assert not manager.is_task_running("t")


def test_a_running_id_cannot_be_started_again(manager: BackgroundTaskManager, gate: threading.Event) -> None:
    ran = threading.Event()
    manager.start_task("t", gate.wait, WAIT)
    with pytest.raises(ValueError, match="already running"):
        manager.start_task("t", ran.set)
    assert not ran.is_set()
    assert manager.is_task_running("t")


@pytest.mark.parametrize("first", [nothing, partial(int, "no number")])
def test_an_ended_id_can_be_started_again(manager: BackgroundTaskManager, first: Callable[[], object]) -> None:
    run(manager, "t", first)
    assert run(manager, "t", nothing)["state"] == "completed"
    assert len(manager.get_all_tasks()) == 1


def test_all_tasks_are_told_by_their_ids(manager: BackgroundTaskManager, gate: threading.Event) -> None:
    assert manager.get_all_tasks() == {}
    run(manager, "a", nothing)
    manager.start_task("b", gate.wait, WAIT)
    tasks = manager.get_all_tasks()
    assert {task_id: status["state"] for task_id, status in tasks.items()} == {"a": "completed", "b": "running"}
    assert tasks["b"] == manager.get_status("b")


def test_a_status_is_a_copy(manager: BackgroundTaskManager, gate: threading.Event) -> None:
    manager.start_task("t", gate.wait, WAIT)
    status_of(manager, "t")["state"] = "completed"
    manager.get_all_tasks().clear()
    assert manager.is_task_running("t")
    assert status_of(manager, "t")["state"] == "running"


def test_there_is_one_shared_one() -> None:
    with ThreadPoolExecutor(8) as threads:
        shared = list(threads.map(lambda _: get_task_manager(), range(32)))
    assert all(each is shared[0] for each in shared)
    assert isinstance(shared[0], BackgroundTaskManager)


# --- threads ----------------------------------------------------------------------------------------------------------


def test_many_tasks_run_at_once(manager: BackgroundTaskManager) -> None:
    """Fifty tasks meet at one barrier: it only opens when all of them run at the same time."""
    barrier = threading.Barrier(50)
    for number in range(50):
        manager.start_task(str(number), barrier.wait, WAIT)
    assert all(manager.wait(str(number), WAIT) for number in range(50))
    assert {status["state"] for status in manager.get_all_tasks().values()} == {"completed"}


def test_of_many_starts_of_one_id_one_wins(manager: BackgroundTaskManager, gate: threading.Event) -> None:
    barrier, ran = threading.Barrier(16), []

    def work() -> None:
        ran.append(1)
        gate.wait(WAIT)

    def start(_: int) -> bool:
        barrier.wait(WAIT)
        try:
            manager.start_task("t", work)
        except ValueError:
            return False
        return True

    with ThreadPoolExecutor(16) as threads:
        assert sum(threads.map(start, range(16))) == 1
    gate.set()
    assert manager.wait("t", WAIT)
    assert ran == [1]


def test_its_threads_are_daemons_named_after_the_task(manager: BackgroundTaskManager) -> None:
    seen: list[threading.Thread] = []
    manager.start_task("t", lambda: seen.append(threading.current_thread()))
    assert manager.wait("t", WAIT)
    assert seen[0].daemon
    assert seen[0].name == "task-t"


def test_the_thread_is_gone_after_a_wait(manager: BackgroundTaskManager, gate: threading.Event) -> None:
    manager.start_task("t", gate.wait, WAIT)
    assert status_of(manager, "t")["thread_alive"]
    gate.set()
    assert manager.wait("t", WAIT)
    assert not status_of(manager, "t")["thread_alive"]


def test_a_wait_ends_at_its_deadline(manager: BackgroundTaskManager, gate: threading.Event) -> None:
    manager.start_task("t", gate.wait, WAIT)
    assert not manager.wait("t", 0.01)
    assert manager.is_task_running("t")


def test_a_wait_ends_with_the_task(manager: BackgroundTaskManager, gate: threading.Event) -> None:
    manager.start_task("t", gate.wait, WAIT)
    with ThreadPoolExecutor(4) as threads:
        waiting = [threads.submit(manager.wait, "t", WAIT) for _ in range(4)]
        gate.set()
        assert all(each.result(WAIT) for each in waiting)


def test_a_task_may_use_its_own_manager(manager: BackgroundTaskManager) -> None:
    """No lock is held while a target runs: it may ask, start another one and wait for it."""

    def outer() -> None:
        assert manager.is_task_running("outer")
        assert manager.get_all_tasks()["outer"]["thread_alive"]
        assert run(manager, "inner", nothing)["state"] == "completed"

    assert run(manager, "outer", outer) | {"started_at": 0, "completed_at": 0} == {
        "task_id": "outer",
        "state": "completed",
        "started_at": 0,
        "completed_at": 0,
        "error": None,
        "thread_alive": False,
    }


# --- failing ----------------------------------------------------------------------------------------------------------


class Unprintable(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no words for it")


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (RuntimeError("disk on fire"), "disk on fire"),
        (RuntimeError(), "RuntimeError"),
        (SystemExit("bye"), "bye"),
        (SystemExit(0), "0"),
        (KeyboardInterrupt(), "KeyboardInterrupt"),
        (GeneratorExit("stop"), "stop"),
        (TaskCancelled("on its own account"), "on its own account"),
    ],
    ids=repr,
)
def test_whatever_a_target_raises_is_a_failure_with_its_message(
    manager: BackgroundTaskManager, error: BaseException, message: str, caplog: pytest.LogCaptureFixture
) -> None:
    def target() -> None:
        raise error

    status = run(manager, "t-77", target)
    assert (status["state"], status["error"]) == ("failed", message)
    assert status["completed_at"] is not None
    assert "t-77" in caplog.text


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_an_error_that_cannot_be_shown_is_a_failure_too(manager: BackgroundTaskManager) -> None:
    def target() -> None:
        raise Unprintable

    status = run(manager, "t", target)
    assert status["state"] == "failed"
    assert status["error"]


def test_arguments_that_do_not_fit_are_a_failure(manager: BackgroundTaskManager) -> None:
    manager.start_task("t", nothing, "too", "many")
    assert manager.wait("t", WAIT)
    assert "positional argument" in (status_of(manager, "t")["error"] or "")


# --- forgetting -------------------------------------------------------------------------------------------------------


def test_an_ended_task_can_be_forgotten(manager: BackgroundTaskManager) -> None:
    run(manager, "t", nothing)
    assert manager.cleanup_task("t") is True
    assert manager.get_status("t") is None
    assert manager.cleanup_task("t") is False


def test_a_running_task_cannot_be_forgotten(manager: BackgroundTaskManager, gate: threading.Event) -> None:
    manager.start_task("t", gate.wait, WAIT)
    assert manager.cleanup_task("t") is False
    assert manager.is_task_running("t")


def test_an_unknown_task_cannot_be_forgotten(manager: BackgroundTaskManager) -> None:
    assert manager.cleanup_task("nobody") is False


def test_ended_tasks_are_kept_for_two_hours(manager: BackgroundTaskManager, gate: threading.Event) -> None:
    """Counted from their end; a running task is kept however long ago it was started."""
    completed_at = run(manager, "ended", nothing)["completed_at"]
    assert completed_at is not None
    manager.start_task("running", gate.wait, WAIT)
    assert manager.cleanup_expired(now=completed_at + 7199) == 0
    assert manager.get_status("ended") is not None
    assert manager.cleanup_expired(now=completed_at + 7200) == 1
    assert list(manager.get_all_tasks()) == ["running"]
    assert manager.cleanup_expired(now=completed_at + 10**9) == 0
    assert manager.is_task_running("running")


def test_a_start_forgets_what_is_too_old() -> None:
    moment = [1000.0]
    manager = BackgroundTaskManager(clock=lambda: moment[0])
    run(manager, "old", nothing)
    moment[0] += 3600
    run(manager, "newer", nothing)
    moment[0] += 3600
    run(manager, "newest", nothing)
    assert list(manager.get_all_tasks()) == ["newer", "newest"]
    moment[0] += 7200
    assert manager.cleanup_expired() == 2


def test_the_thread_of_a_forgotten_task_is_gone(manager: BackgroundTaskManager) -> None:
    run(manager, "a task with a rare name", nothing)
    manager.cleanup_task("a task with a rare name")
    wait_until(
        lambda: "task-a task with a rare name" not in {thread.name for thread in threading.enumerate()},
        what="the task's thread is gone",
    )
