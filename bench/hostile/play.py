"""One hostile task, from its start to its end; and honest installs beside it, one after the other."""

from __future__ import annotations

import random
import shutil
import threading
import time
from dataclasses import dataclass, field
from typing import Any

import requests

from app.standin.instance import StandIn
from app.sync.installs.cancel_watch import MOST_SECONDS
from bench.hostile.cancels import Cancel, Kind
from bench.hostile.machines import Machines
from bench.hostile.script import Script
from test.support.service import TERMINAL, ServiceProcess

PATIENCE_SECONDS = 30.0
"""Until a task is cancelled that has not ended."""
GONE_SECONDS = MOST_SECONDS + 15.0
"""After which a task that was cancelled is given up, as one that never ends."""
HONEST_SECONDS = 120.0
_POLL_SECONDS = 0.1
_ANSWER_SECONDS = 30.0
_PROGRESS = "/ssh/install-custom-nodes/progress"


@dataclass(frozen=True, slots=True)
class Played:
    """How a hostile task went. `cancel_seconds`: from the cancel to the end, where there was one; `kept`: by what."""

    number: int
    name: str
    command: str
    end: str
    code: str
    seconds: float
    cancel_seconds: float | None
    wrong: tuple[str, ...] = ()
    kept: str = Kind.NOTHING

    def to_json(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in self.__slots__}


@dataclass
class _Watched:
    """A task as its polls show it. `asked`: when it was cancelled."""

    began: float
    ended: float = 0.0
    asked: float | None = None
    unreached: bool = False
    shown: dict[str, Any] = field(default_factory=dict)
    wrong: list[str] = field(default_factory=list)

    def judged(self, script: Script, connected_at: float, confirmed: bool) -> Played:
        """How it went, with what its instance knows of it."""
        error = self.shown.get("error") or {}
        code = str(error.get("code") or "")
        wrong = [*self.wrong, *([f"a bug: {error}"] if code == "internal_error" else [])]
        cancelled, kept = None, Kind.NOTHING
        if self.asked is not None:
            unreached = self.unreached or "could not be reached" in str(error.get("message"))
            cancel = Cancel(self.asked, self.ended, connected_at, confirmed, unreached)
            cancelled, kept = round(cancel.seconds, 2), cancel.kind
            wrong += cancel.faults()
        state, seconds = str(self.shown.get("state")), round(self.ended - self.began, 1)
        return Played(
            script.number, script.name, script.command, state, code, seconds, cancelled, tuple(wrong[:5]), kept
        )


class Player:
    """Plays hostile tasks against a service. For one thread."""

    def __init__(self, service: ServiceProcess, machines: Machines) -> None:
        self._service = service
        self._machines = machines
        self._session = requests.Session()

    def play(self, script: Script) -> Played:
        """Starts the task, cancels it when its script says so, and waits for its end."""
        port = self._machines.opened(script)
        closed = False
        try:
            watched = self._watched(script, self._start(port))
            connected_at, confirmed = self._machines.close(script)
            closed = True
            return watched.judged(script, connected_at, confirmed)
        except requests.RequestException as exc:
            return Played(script.number, script.name, script.command, "?", "", 0.0, None, (f"no answer: {exc}",))
        finally:
            if not closed:
                self._machines.close(script)

    def _watched(self, script: Script, task_id: str) -> _Watched:
        found = _Watched(time.monotonic())
        pause = threading.Event()
        while found.shown.get("state") not in TERMINAL:
            now = time.monotonic()
            if found.asked is None and now - found.began >= script.cancel_after:
                found.asked = now
                found.wrong += self._cancel(task_id)
            if found.asked is not None and now - found.asked > GONE_SECONDS:
                found.wrong.append(f"has not ended {GONE_SECONDS:g} s after its cancel: {str(found.shown)[:300]}")
                break
            pause.wait(_POLL_SECONDS)
            answer = self._post(_PROGRESS, {"task_id": task_id})
            if answer.status_code != 200:
                found.wrong.append(f"a poll was answered {answer.status_code}: {answer.text[:300]}")
                continue
            found.shown = answer.json()
            found.unreached = found.unreached or found.shown.get("message_code") == "cancel_unreached"
        found.ended = time.monotonic()
        found.wrong += self._read(task_id)
        return found

    def _start(self, port: int) -> str:
        pack = {"name": "a", "repo_url": "https://example.org/o/a"}
        body = {
            "ssh_connection": f"ssh -p {port} root@127.0.0.1",
            "ui_home": f"/c{port}",
            "manifest": {"nodes": [pack]},
            "options": {"wait_seconds": 3},
        }
        answer = self._post("/ssh/install-custom-nodes", body)
        answer.raise_for_status()
        return str(answer.json()["task_id"])

    def _cancel(self, task_id: str) -> list[str]:
        answer = self._post(f"/tasks/{task_id}/cancel", {})
        if answer.status_code == 202 or (answer.status_code == 409 and "not_cancellable" in answer.text):
            return []
        return [f"the cancel was answered {answer.status_code}: {answer.text[:200]}"]

    def _read(self, task_id: str) -> list[str]:
        """What else can be asked of the task is answered."""
        wrong = []
        for path in (f"/tasks/{task_id}", f"/tasks/{task_id}/log", f"/tasks/{task_id}/log?format=text"):
            answer = self._session.get(self._service.url + path, timeout=_ANSWER_SECONDS)
            if answer.status_code >= 500 or any(letter in answer.text for letter in "\x1b\x9b\x00\u202e"):
                wrong.append(f"{path} was answered {answer.status_code}: {answer.text[:200]!r}")
        return wrong

    def _post(self, path: str, body: dict[str, Any]) -> requests.Response:
        return self._session.post(self._service.url + path, json=body, timeout=_ANSWER_SECONDS)


class Honest:
    """Small installs on a real instance, one after the other, in a thread of their own."""

    def __init__(self, service: ServiceProcess, standin: StandIn, urls: list[str], seed: int) -> None:
        self.wrong: list[str] = []
        self.ended = 0
        self._service = service
        self._standin = standin
        self._urls = urls
        self._dice = random.Random(f"{seed}:{standin.port}")
        self._over = threading.Event()
        self.turn = threading.Lock()
        """Whoever holds it keeps the next install from starting."""
        self._thread = threading.Thread(target=self._install_all, name="honest", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """After the one that goes on."""
        self._over.set()
        self._thread.join(HONEST_SECONDS + 10)

    def _install_all(self) -> None:
        while not self._over.wait(self._dice.uniform(0.5, 3.0)):
            with self.turn:
                self._install_one()

    def _install_one(self) -> None:
        try:
            install(self._service, self._standin, self._urls)
            self.ended += 1
            for folder in self._standin.custom_nodes.iterdir():
                if folder.is_dir():
                    shutil.rmtree(folder)  # the next one clones again
        except (AssertionError, requests.RequestException, KeyError, ValueError) as exc:
            self.wrong.append(f"an honest install: {str(exc)[:500]}")


def install(service: ServiceProcess, standin: StandIn, urls: list[str]) -> str:
    """An install of these packs to its end; its task."""
    with requests.Session() as session:
        body = {
            "ssh_connection": standin.ssh_command,
            "ui_home": str(standin.ui_home),
            "manifest": {"urls": urls},
            "options": {"verify": False},
        }
        answer = session.post(f"{service.url}/ssh/install-custom-nodes", json=body, timeout=_ANSWER_SECONDS)
        assert answer.status_code == 202, answer.text[:300]
        task_id = str(answer.json()["task_id"])
        deadline, pause, shown = time.monotonic() + HONEST_SECONDS, threading.Event(), answer.json()
        while shown.get("state") not in TERMINAL:
            assert time.monotonic() < deadline, f"{task_id} has not ended: {shown.get('message')}"
            pause.wait(0.25)
            shown = session.post(service.url + _PROGRESS, json={"task_id": task_id}, timeout=_ANSWER_SECONDS).json()
    counts = shown["state"], shown["outcome"], shown["successful"], shown["failed"]
    assert counts == ("completed", "all", len(urls), 0), f"{task_id}: {counts} {shown.get('error')}"
    return task_id
