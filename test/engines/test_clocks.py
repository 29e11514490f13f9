"""Clocks that differ from host to host, and that are set while installs run: every install ends as its instance says,
and no answer compares what one host's clock has said with another's."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from app.storage import open_database
from app.storage.shared_clock import LOOK_SECONDS, SharedClock
from bench.fleet.process import FleetProcess
from bench.fleet.script import Play
from bench.fleet.truth import end_of
from test.support.service import Json, ServiceProcess
from test.support.waiting import wait_until

HOUR, DAY = 3600.0, 86400.0
_PLAY = Play(seed=5, instances=4, rate=12.0, events=160, fresh=0.5)
_MANIFEST = {"nodes": [{"name": "a", "repo_url": "https://example.org/o/a"}]}
_SET = """
import os, time

_told = time.time

def set_time():
    try:
        with open(os.environ["CLOCK_AHEAD"]) as file:
            return _told() + float(file.read() or 0)
    except (OSError, ValueError):
        return _told()

time.time = set_time
"""
"""For a process of Python's: its clock is as far ahead of the machine's as a file says."""

Services = Callable[..., ServiceProcess]


class Clocks:
    """Of processes, by their names."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self._folder = folder
        self._monkeypatch = monkeypatch
        folder.mkdir()
        (folder / "sitecustomize.py").write_text(_SET)
        monkeypatch.setenv("PYTHONPATH", str(folder))

    def set(self, name: str, ahead: float) -> None:
        """From now on this process's clock is so many seconds ahead."""
        draft = self._folder / f"{name}.draft"
        draft.write_text(str(ahead))
        draft.replace(self._folder / name)

    def of_next(self, name: str) -> None:
        """The process that is made next has this name."""
        self._monkeypatch.setenv("CLOCK_AHEAD", str(self._folder / name))


@pytest.fixture
def clocks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Clocks:
    return Clocks(tmp_path / "clocks", monkeypatch)


@pytest.fixture
def fleet(tmp_path: Path) -> Iterator[FleetProcess]:
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", tmp_path / "key"], check=True)
    with FleetProcess(_PLAY, key=tmp_path / "key.pub") as made:
        yield made


@pytest.fixture
def service_of(tmp_path: Path, clocks: Clocks) -> Iterator[Services]:
    """Makes started processes whose clock is so far ahead."""
    with ExitStack() as opened:

        def make(name: str, ahead: float, **settings: Any) -> ServiceProcess:
            clocks.of_next(name)
            clocks.set(name, ahead)
            made = ServiceProcess(tmp_path / name, ssh_key_files=str(tmp_path / "key"), **settings)
            return opened.enter_context(made)

        yield make


def has_gone_on(fleet: FleetProcess, events: int) -> None:
    before = fleet.gauge()["events"]
    wait_until(lambda: fleet.gauge()["events"] >= before + events, 30, "the runs go on")


def all_are_heard(service: ServiceProcess, tasks: list[str]) -> bool:
    return all(service.progress(task_id)["last_event_seconds_ago"] is not None for task_id in tasks)


def all_end_true(fleet: FleetProcess, service: ServiceProcess, tasks: list[str]) -> list[Json]:
    ended = [service.ended(task_id) for task_id in tasks]
    assert [end_of(shown) for shown in ended] == [truth["end"] for truth in fleet.truths()]
    return ended


def test_a_service_whose_clock_is_set_goes_on(fleet: FleetProcess, clocks: Clocks, service_of: Services) -> None:
    """Back by an hour, then forward by a day."""
    service = service_of("service", 0.0)
    tasks = [service.install(fleet.command(number), manifest=_MANIFEST) for number in range(4)]
    has_gone_on(fleet, 40)
    for ahead in (-HOUR, DAY):
        clocks.set("service", ahead)
        has_gone_on(fleet, 60)
        wait_until(lambda: all(service.progress(each)["last_event_seconds_ago"] < 10 for each in tasks), 15)
    all_end_true(fleet, service, tasks)
    assert {truth["logins"] for truth in fleet.truths()} == {1}, "no line was given up"
    assert len(service.get("/tasks")["tasks"]) == 4, "nothing was forgotten"


def test_hosts_whose_clocks_differ_are_one_service(
    fleet: FleetProcess, service_of: Services, postgresql_url: str
) -> None:
    """By an hour and by a day: what one has written, the others take for what it is."""
    shared = {"database_url": postgresql_url}
    one = service_of("one", -HOUR, role="web", **shared)
    two = service_of("two", DAY + HOUR, role="web", **shared)
    service_of("works", DAY, role="worker", **shared)
    tasks = [
        one.install(fleet.command(number), manifest=_MANIFEST, idempotency_key=f"key-{number}") for number in range(4)
    ]
    has_gone_on(fleet, 60)
    for web in (one, two):
        wait_until(partial(all_are_heard, web, tasks), 10, "the runs are heard of")
        for shown in map(web.progress, tasks):
            assert shown["last_event_seconds_ago"] < 10
            assert 0 <= shown["elapsed_seconds"] < 60
    again = two.post(
        "/ssh/install-custom-nodes",
        {"ssh_connection": fleet.command(0), "manifest": _MANIFEST, "idempotency_key": "key-0"},
    ).json()
    assert again["task_id"] == tasks[0], "its key is known"
    for shown in all_end_true(fleet, two, tasks):
        assert 0 <= shown["elapsed_seconds"] < 120
    assert {one.progress(task_id)["state"] for task_id in tasks} == {"completed"}
    assert len(one.get("/tasks")["tasks"]) == 4, "nothing was forgotten"


def test_between_two_looks_the_clock_that_all_go_by_is_counted(postgresql_url: str) -> None:
    counted = [1000.0]
    engine = open_database(postgresql_url)
    clock = SharedClock(engine, lambda: counted[0])
    first = clock.now()
    assert abs(first - time.time()) < 5
    counted[0] += LOOK_SECONDS / 2
    clock.look()
    assert clock.now() == first + LOOK_SECONDS / 2, "nobody was asked"
    counted[0] += LOOK_SECONDS
    clock.look()
    assert clock.now() < first + LOOK_SECONDS / 2, "it was: no such time has passed"
    engine.dispose()
