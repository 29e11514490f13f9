"""A played machine: a real SSH server on loopback whose runner plays scenarios instead of installing anything."""

from __future__ import annotations

import base64
import json
import socket
import threading
import time
from collections.abc import Callable
from typing import Any

import paramiko

from app.protocol import manifest as manifests
from test.support.hostile_sshd import Exec, Hostile, honest
from test.support.stage import scenario as scenarios
from test.support.stage.casting import GPU, PYTHON, UI_HOME
from test.support.stage.packs import played_as, real_list
from test.support.stage.run import Run
from test.support.stage.story import Scenario
from test.support.waiting import wait_until

HEARTBEAT_SECONDS = 3.0
_LOOK_SECONDS = 0.05
_PIECE_BYTES = 16 * 1024
PROBE = {
    "ui_home": UI_HOME,
    "disk_free_bytes": 80 * 10**9,
    "disk_total_bytes": 128 * 10**9,
    "comfyui_running": True,
    "comfyui_port": 8188,
    "processors": 16,
    "system": "Ubuntu 22.04.5 LTS",
    "gpu": [GPU],
    "driver": "570.86.15",
    "git": "2.34.1",
    "interpreter": PYTHON,
    "python": "3.12.3",
    "torch": {"version": "2.9.1+cu128", "cuda": "12.8", "cuda_available": True},
    "warnings": [],
    "provisioning": [],
}


class Machine:
    """What the service reaches over SSH. `probe`: what it says of itself; `speed`: how fast runs are played that no
    test has prepared, 0: not at all."""

    def __init__(self, name: str, runner_sha256: str = "") -> None:
        """`name`: as users would write it; `runner_sha256`: of the runner that it has, by default the one of this
        checkout."""
        self.name = name
        self.probe: dict[str, Any] = dict(PROBE)
        self.speed = 0.0
        self.runs: dict[str, Run] = {}
        self._sha256 = runner_sha256
        self._prepared: list[tuple[Scenario, float]] = []
        self._started = threading.Condition()
        self._greets = threading.Event()
        plays = {name: getattr(self, f"_{name}") for name in ("start", "follow", "status", "cancel", "skip", "answer")}
        self.server = Hostile({**plays, "find": self._find, "probe": self._probe, "sweep": self._sweep})

    @property
    def command(self) -> str:
        """The SSH command for it."""
        return f"ssh -p {self.server.port} root@{self.name}"

    def prepare(self, scenario: Scenario, speed: float) -> None:
        """The next run that is started here is this one."""
        self._prepared.append((scenario, speed))

    def started(self, task_id: str, timeout: float = 30.0) -> Run:
        """The run of a task, once the service has started it."""
        with self._started:
            assert self._started.wait_for(lambda: task_id in self.runs, timeout), f"{task_id} was not started"
            return self.runs[task_id]

    # -- the line ----------------------------------------------------------------------------------------------------

    def cut(self) -> None:
        """The line breaks, and nobody gets in again until `mend`."""
        self.server.refuse()
        self.server.cut()

    def mend(self) -> None:
        """It can be reached again."""
        self.server.listen()

    def hold_greeting(self) -> None:
        """Whoever connects waits, until `greet`."""
        self._greets.clear()
        self.server.greeting = self._silent

    def greet(self) -> None:
        """Who waits is sent away, and who comes next is let in."""
        self.server.greeting = None
        self._greets.set()

    def change_key(self) -> None:
        """Another machine has this address now."""
        self.server.key = paramiko.ECDSAKey.generate()
        self.server.cut()

    def close(self) -> None:
        """Ends the threads that play."""
        for run in self.runs.values():
            run.stop()

    def _silent(self, _sock: socket.socket, stop: threading.Event) -> None:
        while not stop.is_set() and not self._greets.wait(_LOOK_SECONDS):
            pass

    # -- the runner's commands ---------------------------------------------------------------------------------------

    def _find(self, called: Exec) -> None:
        if not self._sha256:
            honest(called)
            return
        for kind, said in (("s", "Linux"), ("p", "/usr/bin/python3"), ("h", self._sha256), ("f", "/root/runner.pyz")):
            called.frame(kind, said.encode())

    def _probe(self, called: Exec) -> None:
        called.answer(**self.probe)

    def _start(self, called: Exec) -> None:
        request = json.loads(_input(called))
        task_id = request["task_id"]
        with self._started:
            if task_id not in self.runs:
                scenario, speed = self._prepared.pop(0) if self._prepared else (self._usual(request), self.speed)
                self.runs[task_id] = Run(task_id, scenario)
                if speed:
                    self.runs[task_id].play_on(speed)
                self._started.notify_all()
            run = self.runs[task_id]
        called.answer(status="ended" if run.ended else "running", offset=run.size)

    def _usual(self, request: dict[str, Any]) -> Scenario:
        """What a good run of this request is."""
        packs = _packs_of(request)
        if request.get("restart_of"):
            return scenarios.restart(expected=len(request.get("expected") or []))
        if request.get("rollback_of"):
            undone = self.runs.get(str(request["rollback_of"]))
            return scenarios.rollback(of=played_as(undone.scenario.packs if undone else packs))
        options = request.get("options") or {}
        verify, plan_only = options.get("verify", True), options.get("plan_only", False)
        return scenarios.scenario(of=played_as(packs), verify=verify, plan_only=plan_only)

    def _status(self, called: Exec) -> None:
        run = self.runs.get(called.words[5])
        called.answer(status="unknown" if run is None else _status_of(run))

    def _sweep(self, called: Exec) -> None:
        called.answer(status="died", rebooted=False)

    def _cancel(self, called: Exec) -> None:
        run = self.runs[called.words[5]]
        run.cancel()
        run.wait(lambda each: each.ended, 10)
        called.answer(status=_status_of(run))

    def _skip(self, called: Exec) -> None:
        self.runs[called.words[5]].skip(_option(called, "package"))
        called.answer(status="running")

    def _answer(self, called: Exec) -> None:
        self.runs[called.words[5]].answer(_option(called, "question"), _option(called, "answer"))
        called.answer(status="running")

    def _follow(self, called: Exec) -> None:
        offset = int(called.words[called.words.index("--offset") + 1])
        _Follower(called, self.runs[called.words[5]], offset).send_all()


class _Follower:
    """What one `follow` sends: lines, logs, heartbeats, the end."""

    def __init__(self, called: Exec, run: Run, offset: int) -> None:
        self._called = called
        self._run = run
        self._offset = offset
        self._sent: dict[str, int] | None = None
        self._kept: dict[str, int] = {}
        self._unread = b""
        self._beat = 0.0

    def send_all(self) -> None:
        run, called = self._run, self._called
        with run.changed:
            run.is_followed = True
            run.changed.notify_all()
        while not called.stop.is_set() and not called.channel.closed:
            lines = [(end, line) for end, line in run.lines if end > self._offset]
            if not run.is_silent:
                for end, line in lines:
                    if not called.frame("j", b"%d %s" % (end, line)):
                        return
                    self._offset = end
                self._send_rest(bool(lines))
                if (run.ended or run.died) and self._is_all_kept():
                    called.frame("e", {"status": "died" if run.died else "ended"})
                    return
            self._read()
            run.wait(lambda each: each.size > self._offset or each.died, _LOOK_SECONDS)

    def _send_rest(self, sent: bool) -> None:
        for name, text in list(self._run.logs.items()):
            at = (self._sent or {}).get(name, 0)
            if self._sent is None or at < 0 or at >= len(text):
                continue
            piece = bytes(text[at : at + _PIECE_BYTES])
            self._sent[name] = at + len(piece)
            content = base64.b64encode(piece).decode()
            self._called.frame("l", {"log": name, "at": at, "anew": False, "bytes": content})
        if sent or time.monotonic() - self._beat > HEARTBEAT_SECONDS:
            self._beat = time.monotonic()
            if not sent:
                self._called.frame("h", {})

    def _is_all_kept(self) -> bool:
        """Whether the service has all of the logs."""
        sizes = {name: len(text) for name, text in self._run.logs.items()}
        return self._sent is not None and all(self._kept.get(name, 0) in (size, -1) for name, size in sizes.items())

    def _read(self) -> None:
        """What the service says on the follower's input."""
        while self._called.channel.recv_ready():
            self._unread += self._called.channel.recv(65536)
        *lines, self._unread = self._unread.split(b"\n")
        for line in filter(None, lines):
            said = json.loads(line)
            if said.get("cancel"):
                self._called.frame("c", {})
                self._run.cancel()
            if "logs" in said:
                self._kept.update(said["logs"])
                self._sent = dict(self._kept) if self._sent is None else self._sent


def _packs_of(request: dict[str, Any]) -> tuple[manifests.NodePack, ...]:
    form, value = manifests.split_source(request.get("manifest"))
    readers: dict[str, Callable[..., list[manifests.NodePack]]] = {
        "nodes": manifests.parse_nodes,
        "csv": manifests.parse_csv,
        "urls": manifests.parse_urls,
    }
    return tuple(readers[form](value, ("https", "http", "ssh"))) if form in readers else real_list()


def _status_of(run: Run) -> str:
    return "died" if run.died else "ended" if run.ended else "running"


def _option(called: Exec, name: str) -> str:
    return next(word.partition("=")[2] for word in called.words if word.startswith(f"--{name}="))


def _input(called: Exec) -> bytes:
    """The whole input of a command."""
    content = bytearray()

    def is_whole() -> bool:
        if called.channel.recv_ready():
            piece = called.channel.recv(65536)
            content.extend(piece)
        return bool(called.channel.eof_received) and not called.channel.recv_ready()

    wait_until(is_whole, 20, "the input of a command")
    return bytes(content)
