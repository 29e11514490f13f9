"""What people ask of the cluster meanwhile: starts and cancels, tried again at the other web process until answered."""

from __future__ import annotations

import http.client
import threading
import time
from collections.abc import Callable
from typing import Any

from bench.cluster.cluster import Cluster
from bench.scale.polls import Client
from test.support.service import TERMINAL

_TRY_SECONDS, _PAUSE_SECONDS, _ANSWER_SECONDS = 90.0, 0.5, 30.0
NODES = [{"name": f"pack-{n}", "repo_url": f"https://git.example.org/prove/pack-{n}"} for n in range(34)]


class Asks:
    """Starts and cancels of one run. Any thread."""

    def __init__(self, cluster: Cluster) -> None:
        self.tasks: dict[int, str] = {}
        """By the number of the instance."""
        self.cancelled: dict[int, float] = {}
        """When the cancel of each was accepted, by the monotonic clock."""
        self.tries = 0
        self.wrong: list[str] = []
        self._cluster = cluster
        self._over = threading.Event()
        self._threads: list[threading.Thread] = []

    def start(self, number: int) -> None:
        """An install on this instance; the same key with each try, so that it is one install."""
        body = {**self._cluster.request(number), "manifest": {"nodes": NODES}, "idempotency_key": f"prove-{number}"}
        answer = self._until_answered("/ssh/install-custom-nodes", body, number, 202)
        if answer is not None:
            self.tasks[number] = answer["task_id"]

    def cancel(self, number: int) -> None:
        """Of the install on this instance, at the other web process than its start."""
        task_id = self.tasks.get(number)
        if task_id is not None and self._until_answered(f"/tasks/{task_id}/cancel", {}, number + 1, 202) is not None:
            self.cancelled[number] = time.monotonic()

    def later(self, seconds: float, ask: Callable[[int], None], number: int) -> None:
        """Asks in a thread of its own."""

        def run() -> None:
            if not self._over.wait(seconds):
                ask(number)

        self._threads.append(threading.Thread(target=run, daemon=True))
        self._threads[-1].start()

    def close(self) -> None:
        """Nothing more is asked."""
        self._over.set()
        self.wait()

    def wait(self) -> None:
        """Until all that was asked later is answered."""
        for thread in self._threads:
            thread.join()

    def _until_answered(self, path: str, body: dict[str, Any], place: int, wanted: int) -> dict[str, Any] | None:
        """A web process that is gone, or has no database, is not the end: the other one is asked."""
        until, web, said = time.monotonic() + _TRY_SECONDS, self._cluster.web, ""
        while time.monotonic() < until and not self._over.is_set():
            client = Client(web[place % len(web)].url, _ANSWER_SECONDS)
            try:
                status, answer = client.post(path, body)
                if status == wanted:
                    return answer
                said = f"{status} {answer.get('code')}"
                if status != 503:
                    break
            except (OSError, http.client.HTTPException, ValueError) as exc:
                said = repr(exc)
            finally:
                client.close()
            self.tries += 1
            place += 1
            self._over.wait(_PAUSE_SECONDS)
        self.wrong.append(f"{path} was not accepted: {said}")
        return None


def ended(shown: dict[str, Any]) -> bool:
    """Whether this progress is an end."""
    return shown["state"] in TERMINAL
