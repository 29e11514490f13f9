"""One step: so many installs at once, at one rate, on a fresh service and a fresh fleet."""

from __future__ import annotations

import http.client
import os
import signal
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from app.sync.http.fleet_bodies import MAX_INSTANCES
from bench.fleet.process import FleetProcess
from bench.fleet.script import Fate, dealt
from bench.fleet.truth import end_of
from bench.scale.asked import Asked
from bench.scale.gauges import Gauge, Taken, shared_memory_kib, taken
from bench.scale.polls import Client, Polls
from bench.scale.services import Services
from test.support.service import TERMINAL

_NODES = [{"name": f"pack-{n}", "repo_url": f"https://git.example.org/scale/pack-{n}"} for n in range(34)]
_SHARED = {"manifest": {"nodes": _NODES}, "options": {"wait_seconds": 120}}
_START_SECONDS, _START_AGAIN_SECONDS = 120.0, 30.0
_SETTLE_SECONDS, _LOOK_SECONDS, _ENDS_SECONDS, _GONE_SECONDS = 3.0, 0.5, 60.0, 60.0
_MOSTLY = 0.97
"""The window ends when fewer than this part of the installs run."""
_MORE_THREADS, _MORE_FILES = 8, 64
"""What a service may have more of than before its first install: what its pool opens when it is needed."""


@dataclass
class Window:
    """What was measured while all ran. `running`: installs, on average; `events`: a second, which were written `late`
    seconds after they were due; the others in seconds of a processor, but for memory."""

    seconds: float = 0.0
    running: float = 0.0
    events: float = 0.0
    service: float = 0.0
    database: float = 0.0
    database_kib: int = 0
    late: float = 0.0
    fleet: float = 0.0
    fleet_kib: int = 0
    bench: float = 0.0


@dataclass
class Measured:
    """A step, as it was measured. `begins`: seconds from each start to the runner's start on its instance; `lags` and
    `polls`: seconds; `restart`: seconds until the service had ended, and from its start until it followed all again."""

    load: float = 0.0
    accepted: float = 0.0
    before: Taken = field(default_factory=Taken)
    most: Taken = field(default_factory=Taken)
    window: Window = field(default_factory=Window)
    begins: list[float] = field(default_factory=list)
    lags: list[float] = field(default_factory=list)
    polls: list[float] = field(default_factory=list)
    restart: tuple[float, float] | None = None
    truths: list[dict[str, Any]] = field(default_factory=list)
    true: int = 0
    left: dict[str, int] = field(default_factory=dict)
    wrong: list[str] = field(default_factory=list)


class Step:
    """For one thread; `measure` is called once."""

    def __init__(self, asked: Asked, folder: Path) -> None:
        self._asked = asked
        self._pause = threading.Event()
        self._end = time.monotonic() + asked.seconds
        self._found = Measured(load=os.getloadavg()[0])
        self._services = Services(folder, asked.engine, asked.installs, asked.roles, asked.tree)
        self._fleet = FleetProcess(asked.play, key=self._services.public_key)
        self._tasks: dict[int, str] = {}
        """By the number of the instance."""
        self._sent: dict[int, float] = {}
        """When each start was sent."""
        fates = dealt(asked.play)
        self._answering = sum(fate is not Fate.SILENT for fate, _ in fates)
        self._untroubled = [n for n, (fate, cut) in enumerate(fates) if fate is Fate.ENDS and not cut]

    def measure(self) -> Measured:
        """From the start of the service to its end."""
        found = self._found
        with self._fleet, self._services:
            self._pause.wait(_SETTLE_SECONDS)
            found.before = taken(self._services.pids)
            with Gauge(lambda: self._services.pids) as gauge:
                self._start()
                all_go = _MOSTLY * self._answering
                self._until(lambda: self._fleet.gauge()["followed"] >= all_go, self._asked.ramp)
                watched = [number for number in self._untroubled if number in self._tasks]
                polls = Polls(self._services.urls, self._tasks, watched, self._asked.seed)
                polls.start()
                self._look()
                polls.stop()
                if self._asked.restart:
                    self._restart(signal.Signals[self._asked.restart])
                self._until(lambda: not self._fleet.gauge()["running"], self._end - time.monotonic() - _ENDS_SECONDS)
                ends = self._ends()
            found.most = gauge.most
            self._judge(ends, polls)
            self._look_for_rests()
            found.wrong += [*self._services.faults(), *polls.wrong[:5]]
        return found

    # -- from the starts to the ends -------------------------------------------------------------------------------

    def _start(self) -> None:
        client, began = Client(self._services.urls[0], _START_SECONDS), time.monotonic()
        try:
            if self._asked.installs == 1:
                self._sent[0] = began
                body = {"ssh_connection": self._fleet.command(0), **_SHARED}
                self._tasks[0] = _posted(client, "/ssh/install-custom-nodes", body)["task_id"]
            else:
                self._start_fleets(client)
        except (OSError, http.client.HTTPException) as exc:
            if not self._tasks:
                raise
            self._found.wrong.append(f"a start was not answered within {_START_SECONDS:g} s: {exc!r}")
        client.close()
        self._found.accepted = time.monotonic() - began

    def _start_fleets(self, client: Client) -> None:
        for first in range(0, self._asked.installs, MAX_INSTANCES):
            numbers = range(first, min(first + MAX_INSTANCES, self._asked.installs))
            self._sent |= dict.fromkeys(numbers, time.monotonic())
            body = {"ssh_connections": [self._fleet.command(number) for number in numbers], **_SHARED}
            answer = _posted(client, "/fleet/install-custom-nodes", body)
            self._tasks |= dict(zip(numbers, (task["task_id"] for task in answer["tasks"]), strict=True))

    def _look(self) -> None:
        """The window: until too few run, or long enough."""
        window, before, used = self._found.window, self._fleet.gauge(), self._used()
        until = time.monotonic() + self._asked.window
        running: list[int] = []
        while time.monotonic() < until:
            self._pause.wait(_LOOK_SECONDS)
            fleet = self._fleet.gauge()
            if fleet["running"] < _MOSTLY * self._answering and running:
                break
            running.append(fleet["running"])
        after, used_then = self._fleet.gauge(), self._used()
        window.seconds = after["at"] - before["at"]
        window.running = sum(running) / max(1, len(running))
        window.events = (after["events"] - before["events"]) / window.seconds
        window.late = (after["late"] - before["late"]) / max(1, after["events"] - before["events"])
        window.fleet = after["processor_seconds"] - before["processor_seconds"]
        window.fleet_kib = after["memory_kib"]
        window.service, window.database, window.bench = (b - a for a, b in zip(used, used_then, strict=True))
        window.database_kib = shared_memory_kib(self._services.database_pids)

    def _restart(self, number: signal.Signals) -> None:
        """In the middle of all: the runs go on, and the next service follows them again."""
        began = time.monotonic()
        self._services.end(number)
        ended = time.monotonic() - began
        self._services.start()
        began = time.monotonic()

        def all_go() -> bool:
            fleet = self._fleet.gauge()
            return bool(fleet["followed"] >= _MOSTLY * fleet["running"])

        most = _START_AGAIN_SECONDS + self._asked.ramp
        if not self._until(all_go, most):
            self._found.wrong.append(f"not followed again within {most:.0f} s")
        self._found.restart = ended, time.monotonic() - began

    def _used(self) -> tuple[float, float, float]:
        """Processor seconds of the service, of its database and of this process."""
        own = os.times()
        service = taken(self._services.pids).processor_seconds
        return service, taken(self._services.database_pids).processor_seconds, own.user + own.system

    def _ends(self) -> dict[int, dict[str, Any]]:
        """The last progress of each task that has ended."""
        client, found = Client(self._services.urls[0]), {}
        waiting, end = dict(self._tasks), max(self._end, time.monotonic() + _ENDS_SECONDS)
        while waiting and time.monotonic() < end:
            for number, task_id in list(waiting.items()):
                try:
                    shown = client.progress(task_id)
                except (OSError, http.client.HTTPException, ValueError):
                    continue  # asked again
                if shown["state"] in TERMINAL:
                    found[number] = shown
                    del waiting[number]
            self._pause.wait(_LOOK_SECONDS)
        client.close()
        return found

    def _until(self, holds: Callable[[], bool], seconds: float) -> bool:
        end = min(self._end, time.monotonic() + seconds)
        while not (held := holds()) and time.monotonic() < end:
            self._pause.wait(_LOOK_SECONDS)
        return held

    # -- what came of it -------------------------------------------------------------------------------------------

    def _judge(self, ends: Mapping[int, dict[str, Any]], polls: Polls) -> None:
        found = self._found
        found.truths, found.polls = self._fleet.truths(), polls.seconds
        otherwise: dict[str, list[int]] = {}
        for truth in found.truths:
            number = truth["number"]
            if "began" in truth and number in self._sent:
                found.begins.append(truth["began"] - self._sent[number])
            if (wrong := wrong_end(truth, ends.get(number))) is None:
                found.true += 1
            else:
                otherwise.setdefault(wrong, []).append(number)
        found.wrong += [f"{len(numbers)} {text}; one is instance {numbers[0]}" for text, numbers in otherwise.items()]
        written = self._fleet.written(sorted({watch.number for watch in polls.watches}))
        for watch in polls.watches:
            if watch.number in ends:
                found.lags += watch.lags(written[watch.number], ends[watch.number]["revision"])
        if not found.lags:
            found.wrong.append("no event was watched")

    def _look_for_rests(self) -> None:
        """Threads, open files, connections, rows: once nothing runs, they are as before."""
        more: dict[str, int] = {}

        def is_gone() -> bool:
            now, before, processes = taken(self._services.pids), self._found.before, len(self._services.pids)
            more["threads"] = max(0, now.threads - before.threads - _MORE_THREADS * processes)
            more["open files"] = max(0, now.files - before.files - _MORE_FILES * processes)
            more["connections"] = self._fleet.gauge()["connections"]
            return not any(more.values())

        self._end = max(self._end, time.monotonic() + _GONE_SECONDS)
        self._until(is_gone, _GONE_SECONDS)
        self._found.left = {name: count for name, count in {**more, **self._services.left()}.items() if count}
        if self._found.left:
            self._found.wrong.append(f"left: {self._found.left}")


def wrong_end(truth: Mapping[str, Any], shown: dict[str, Any] | None) -> str | None:
    """How a task ended otherwise than its instance says; None where it did not."""
    fate, end = truth["fate"], truth["end"]
    if shown is None:
        return f"instances ({fate}): the task has not ended, its run: {truth['word']}"
    got = end_of(shown)
    if end is None:
        return f"instances ({fate}): the task ended {got['state']} ({got['code']}), its run: {truth['word']}"
    differs = [name for name, value in end.items() if value is not None and got[name] != value]
    told = ", ".join(f"{name} {got[name]} for {end[name]}" for name in differs)
    reason = "" if "code" in differs else f" (reason: {got['code']})"
    return f"instances ({fate}): {told}{reason}" if differs else None


def _posted(client: Client, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
    """The answer to a start. Raises OSError."""
    status, answer = client.post(path, body)
    if status != 202:
        raise OSError(f"a start was answered {status}: {answer}")
    return answer
