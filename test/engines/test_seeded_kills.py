"""Workers, and PostgreSQL, are killed and frozen at seeded moments: every install ends, once, and none is left."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import pytest

from app.protocol.states import TERMINAL_TASK_STATES
from app.standin.postgresql import PostgreSQL
from test.engines.conftest import Played, fleet, install
from test.engines.process import Process
from test.support.waiting import wait_until

SEED = 20261130
INSTALLS, INSTANCES, WORKERS, MOMENTS = 24, 12, 3, 8
FLEET, AT_ONCE = 12, 2


class Workers:
    """Real processes; one that was killed is followed by another."""

    def __init__(self, played: Played) -> None:
        self._argv = [sys.executable, "-m", "test.engines.process", played.url, str(played.folder)]
        self.processes: list[subprocess.Popen[bytes]] = []

    def begin(self) -> None:
        self.processes.append(
            subprocess.Popen(self._argv, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        )

    def kill(self, number: int) -> None:
        process = self.processes.pop(number)
        process.kill()
        process.communicate()
        self.begin()

    def freeze(self, number: int, seconds: float) -> None:
        """Longer than a worker may be silent: others have what it had when it goes on."""
        process = self.processes[number]
        os.kill(process.pid, signal.SIGSTOP)
        passed(seconds)
        os.kill(process.pid, signal.SIGCONT)

    def end(self) -> None:
        for process in self.processes:
            process.kill()
            process.communicate()


def passed(seconds: float) -> None:
    until = time.monotonic() + seconds
    wait_until(lambda: time.monotonic() >= until, seconds + 30)


@pytest.mark.slow
@pytest.mark.quiet
def test_every_install_ends_once_whatever_is_killed(server: PostgreSQL, tmp_path: Path) -> None:
    chance = random.Random(SEED)
    played = Played(tmp_path, server.url())
    workers = Workers(played)
    with closing(Process(played.url, tmp_path, works=False)) as web:
        try:
            for _ in range(WORKERS):
                workers.begin()
            tasks = [web.start(install(f"root@127.0.0.1:{number % INSTANCES}")) for number in range(INSTALLS)]
            limited = [web.start(each) for each in fleet([f"root@h:{port}" for port in range(FLEET)], at_once=AT_ONCE)]
            tasks += limited
            for _ in range(MOMENTS):
                passed(chance.uniform(0.2, 1.5))
                _happens(chance, server, workers)
                played.end(*chance.sample(tasks, 3))
            played.end(*tasks)
            wait_until(lambda: not web.store.unfinished(), 90, "all have ended")
            wait_until(lambda: web.engine.unfinished == 0, 30, "no job is left")
        finally:
            workers.end()
        assert {web.store.get(task).state in TERMINAL_TASK_STATES for task in tasks} == {True}  # type: ignore[union-attr]
        assert {task for task in tasks if not played.lines("began", task)} == set()
        played.is_kept_once()
        assert played.most_at_once(*limited) <= AT_ONCE


def _happens(chance: random.Random, server: PostgreSQL, workers: Workers) -> None:
    what = chance.choice(["kill", "kill", "freeze", "database"])
    if what == "kill":
        workers.kill(chance.randrange(WORKERS))
    elif what == "freeze":
        workers.freeze(chance.randrange(WORKERS), 3.0)
    else:
        server.kill()
        passed(1.0)
        server.start()
