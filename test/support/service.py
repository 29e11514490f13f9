"""A real service in a process of its own, as users start it, and what a client does with it."""

from __future__ import annotations

import os
import selectors
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import requests

from app.standin.instance import StandIn
from test.support.database import put_database
from test.support.waiting import wait_until

ROOT = Path(__file__).parents[2]
TERMINAL = frozenset({"completed", "failed", "cancelled"})
Json = dict[str, Any]


class ServiceProcess:
    """`run.py serve` on a free port, or `run.py worker`, with a home and a data folder of its own below `folder`."""

    def __init__(self, folder: Path, *, tree: Path = ROOT, open_files: int = 0, **settings: str) -> None:
        """`settings`: NODEFERRY_ variables without their prefix, in small letters; with the role
        worker it only works; `tree`: of another checkout, whose `run.py` it is; `open_files`: how many it may open (0:
        as many as this process)."""
        self.home = folder / "service-home"
        self.data_dir = folder / "service-data"
        self.home.mkdir(parents=True, exist_ok=True)
        self._tree = tree
        self._open_files = open_files
        self._only_works = settings.get("role") == "worker"
        self._log = folder / "service.log"
        words = {"allowed_git_schemes": "https,ssh,http", "node_map_url": "", "registry_url": "", **settings}
        self._environ = {**os.environ, "HOME": str(self.home), **prefixed(words)}
        self._environ.pop("SSH_AUTH_SOCK", None)
        self._process: subprocess.Popen[str] | None = None
        self._session = requests.Session()
        self.url = ""

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def pid(self) -> int:
        """The process's id."""
        assert self._process is not None
        return self._process.pid

    @property
    def log(self) -> str:
        """What the service wrote to stderr so far."""
        return self._log.read_text("utf-8", "replace")

    def start(self, port: int = 0) -> None:
        """Returns once the service has said where it answers, or that it works. `port`: by default a free one."""
        command = ["worker"] if self._only_works else ["serve", "--port", str(port)]
        if self._tree == ROOT and not self._only_works:  # another checkout may have another schema
            put_database(self.data_dir)
        argv = [sys.executable, "run.py", *command, "--data-dir", str(self.data_dir)]
        if self._open_files:
            argv = ["sh", "-c", f'ulimit -n {self._open_files} && exec "$@"', "sh", *argv]
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                argv,
                cwd=self._tree,
                env=self._environ,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                start_new_session=True,
            )
        line, expected = first_line(self._process, 60.0), "A worker on " if self._only_works else "Nodeferry on "
        assert line.startswith(expected), f"{line!r}\n{self.log[-3000:]}"
        self.url = "" if self._only_works else line.removeprefix(expected).strip()

    def kill(self) -> None:
        """kill -9."""
        self.end(signal.SIGKILL)

    def stop(self) -> None:
        """SIGTERM."""
        self.end(signal.SIGTERM)
        self._session.close()

    def end(self, number: int) -> None:
        """Sends a signal that ends it, and waits for that."""
        if self._process is not None:
            self._process.send_signal(number)
            self.wait()

    def wait(self, seconds: float = 30.0) -> None:
        """Until it has ended, by a signal that it was sent."""
        assert self._process is not None
        self._process.wait(seconds)
        if self._process.stdout is not None:
            self._process.stdout.close()
        self._process = None

    # -- as a client ------------------------------------------------------------------------------------------------

    def authorize(self, token: str) -> None:
        """Sends this token from now on."""
        self._session.headers["Authorization"] = f"Bearer {token}"

    def post(self, path: str, payload: Mapping[str, Any]) -> requests.Response:
        """POST of a JSON object."""
        return self._session.post(self.url + path, json=payload, timeout=30)

    def get(self, path: str, **query: Any) -> Json:
        """GET of a JSON object."""
        found: Json = self._session.get(self.url + path, params=query, timeout=90).json()
        return found

    def text(self, path: str) -> str:
        """GET of a text."""
        return self._session.get(self.url + path, timeout=90).text

    def install(self, standin: StandIn | str, **request: Any) -> str:
        """Starts an install; its task_id."""
        connection = standin if isinstance(standin, str) else standin.ssh_command
        if isinstance(standin, StandIn):
            request.setdefault("ui_home", str(standin.ui_home))
        answer = self.post("/ssh/install-custom-nodes", {"ssh_connection": connection, **request})
        assert answer.status_code == 202, answer.text
        return str(answer.json()["task_id"])

    def progress(self, task_id: str) -> Json:
        """One poll."""
        answer = self.post("/ssh/install-custom-nodes/progress", {"task_id": task_id})
        assert answer.status_code == 200, answer.text
        shown: Json = answer.json()
        return shown

    def polls(self, task_id: str, timeout: float = 120.0) -> Iterator[Json]:
        """Each new revision, to the end."""
        pause, deadline, revision = threading.Event(), time.monotonic() + timeout, -1
        while True:
            shown = self.progress(task_id)
            if shown["revision"] != revision:
                revision = shown["revision"]
                yield shown
            if shown["state"] in TERMINAL:
                return
            assert time.monotonic() < deadline, f"not ended within {timeout:g} s: {shown}"
            pause.wait(0.02)

    def _has_ended(self, task_id: str) -> bool:
        """Within two seconds; the service itself waits so long."""
        return self.get(f"/tasks/{task_id}", wait=2)["progress"]["state"] in TERMINAL

    def until(self, task_id: str, state: str, timeout: float = 60.0) -> Json:
        """Waits for a state; the progress then."""
        wait_until(lambda: self.progress(task_id)["state"] == state, timeout, f"{task_id} {state}")
        return self.progress(task_id)

    def ended(self, task_id: str, timeout: float = 120.0) -> Json:
        """Waits for the end; the last progress."""
        wait_until(lambda: self._has_ended(task_id), timeout, f"the end of {task_id}")
        return self.progress(task_id)


def prefixed(words: Mapping[str, str]) -> dict[str, str]:
    """Settings as variables of the environment."""
    return {f"NODEFERRY_{name.upper()}": value for name, value in words.items()}


def first_line(process: subprocess.Popen[str], timeout: float) -> str:
    """What a process says first, within so many seconds."""
    assert process.stdout is not None
    with selectors.DefaultSelector() as selector:
        selector.register(process.stdout, selectors.EVENT_READ)
        assert selector.select(timeout), "the service said nothing"
    return process.stdout.readline()


def essence(progress: Json) -> Json:
    """What must not depend on how the line was: each pack's state, reason, commit and results, counts and outcome."""
    kept = ("name", "state", "status", "commit", "requirements_status", "script_status", "verified", "kept")
    nodes = [{key: row[key] for key in kept} | {"error": (row["error"] or {}).get("code")} for row in progress["nodes"]]
    counts = {key: progress[key] for key in ("state", "outcome", "total_nodes", "successful", "failed", "processed")}
    return {"nodes": nodes, **counts}
