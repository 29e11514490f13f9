"""One real install over a real sshd: when a poll knows of an event, and how many polls the plain way answers there."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests

from app.standin.git_rules import RepoRule
from app.standin.git_server import GitServer
from app.standin.instance import StandIn
from app.standin.packs import make_pack
from bench.load import POLL, Plan, Told, run
from bench.polls.fleet import TOKEN, TREE
from test.support.service import ROOT, ServiceProcess

PACKS = 24
QUICK, SLOW = (60_000, 8_000), (600_000, 20_000)
"""Bytes of a pack, and how many of them come a second: the slow one takes a minute, and never looks stalled."""
POLL_SECONDS = 0.02
_STATES = 10_000


@dataclass(frozen=True, slots=True)
class Beside:
    """Polls a second on one sshd while an install goes on there. `ours` in the middle of the plain way's two."""

    ours: Told
    the_plain_way: Told

    @property
    def times(self) -> float:
        """How many times as many."""
        return self.ours.a_second / self.the_plain_way.a_second


@dataclass(frozen=True, slots=True)
class Lags:
    """Seconds from when the runner wrote an event to the answer of a poll that says so, in order: of all events, and of
    those that it wrote once the service was following the run."""

    all: list[float]
    followed: list[float]


class Real:
    """A service, a stand-in with a real sshd, and packs whose clones take a while."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.service = ServiceProcess(folder, tree=TREE, token=TOKEN)
        self._git = GitServer(folder / "git")
        self._standin = StandIn(folder / "standin", environ=os.environ, with_pip=False)

    @contextmanager
    def begun(self) -> Iterator[Real]:
        """All of it is there."""
        with self.service, self._git, self._standin:
            self.service.authorize(TOKEN)
            yield self

    def install(self, name: str, *, slow: bool) -> str:
        """Starts one; its task_id."""
        size, pace = SLOW if slow else QUICK
        packs = [make_pack(self._git, "o", f"{name}{number}", payload_bytes=size) for number in range(PACKS)]
        for pack in packs:
            self._git.set_rule(pack.repo, RepoRule(bytes_per_second=pace))
        return self.service.install(self._standin, manifest={"urls": [pack.url for pack in packs]})

    def lags(self, task_id: str) -> Lags:
        """How soon polls say that a pack came into a state. The clocks are one: the stand-in is this machine."""
        known: dict[tuple[str, str], float] = {}
        pause = threading.Event()
        for _ in range(_STATES):
            answer = self.service.progress(task_id)
            at = time.time()
            for row in answer["nodes"]:
                for state in row["timeline"]:
                    known.setdefault((row["name"], state), at)
            if not answer["in_progress"]:
                break
            pause.wait(POLL_SECONDS)
        events = [json.loads(line) for line in self._journal(task_id).read_text("utf-8").splitlines()]
        told: dict[tuple[str, str], float] = {}
        for event in events:
            if event.get("event") == "node" and event.get("state"):
                told.setdefault((event["name"], event["state"]), event["wall"])
        both = known.keys() & told.keys()
        followed = min(known[each] for each in both)
        return Lags(
            sorted(known[each] - told[each] for each in both),
            sorted(known[each] - told[each] for each in both if told[each] > followed),
        )

    def _journal(self, task_id: str) -> Path:
        [found] = self._standin.home.rglob(f"{task_id}/journal.ndjson")
        return found

    def beside(self, task_id: str, *, seconds: float) -> Beside:
        """Polls of both, in turn, while the task goes on."""
        held = self._folder / "progress.json"
        held.write_text(json.dumps(self._progress(task_id)), "utf-8")
        ours = Plan(self.service.url.removeprefix("http://").strip("/"), [task_id], "plain", TOKEN, seconds=seconds)
        with _the_plain_way(self._standin, held) as host:
            other = Plan(host, [task_id], "plain", connections=8, seconds=seconds)
            run(Plan(host, [task_id], "plain", connections=2, seconds=1.0))
            first, told, second = run(other), run(ours), run(other)
        both = Told(
            first.answers + second.answers, first.seconds + second.seconds, first.bytes, sorted(first.ms + second.ms)
        )
        assert self._progress(task_id)["in_progress"], "the install has ended meanwhile"
        self.service.post(f"/tasks/{task_id}/cancel", {})
        self.service.ended(task_id)
        return Beside(told, both)

    def _progress(self, task_id: str) -> dict[str, Any]:
        headers = {"Authorization": f"Bearer {TOKEN}"}
        found: dict[str, Any] = requests.post(
            self.service.url + POLL, json={"task_id": task_id}, headers=headers, timeout=10
        ).json()
        return found


@contextmanager
def _the_plain_way(standin: StandIn, file: Path) -> Iterator[str]:
    """Where it answers."""
    words = [standin.host, str(standin.port), standin.user, str(standin.client_key), str(file)]
    command = [sys.executable, "-m", "bench.polls.plain_way", *words]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        assert process.stdout is not None
        try:
            yield f"127.0.0.1:{process.stdout.readline().strip()}"
        finally:
            process.terminate()
