"""Who may change the environment."""

from __future__ import annotations

import threading

import pytest

from app.runner.process.environment_lock import EnvironmentLock
from app.runner.process.errors import RunCancelled
from test.support.waiting import wait_until


def test_packages_come_before_scripts_that_wait() -> None:
    lock, order = EnvironmentLock(lambda: None), []

    def run(name: str, *, script: bool) -> None:
        with lock.for_script() if script else lock.for_packages():
            order.append(name)

    with lock.for_script():
        script = threading.Thread(target=run, args=["script"], kwargs={"script": True})
        script.start()
        wait_until(lambda: lock._scripts == 2, what="the script waits")
        packages = threading.Thread(target=run, args=["packages"], kwargs={"script": False})
        packages.start()
        wait_until(lambda: lock._packages_waiting == 1, what="the packages wait")
        assert lock.is_contended
    packages.join(10)
    script.join(10)
    assert order == ["packages", "script"]
    assert not lock.is_contended


def test_whoever_waits_is_ended_by_a_cancel() -> None:
    cancelled = threading.Event()

    def check() -> None:
        if cancelled.is_set():
            raise RunCancelled

    lock = EnvironmentLock(check)
    with lock.for_packages():
        cancelled.set()
        with pytest.raises(RunCancelled), lock.for_script():
            pass
        with pytest.raises(RunCancelled), lock.for_packages():
            pass
    cancelled.clear()
    with lock.for_packages():
        pass
