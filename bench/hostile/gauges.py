"""What is measured of the service while it is lied to: memory, and how long its answers take."""

from __future__ import annotations

import statistics
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

import requests

from test.support.service import ServiceProcess

_PAUSE_SECONDS = 0.04
_ANSWER_SECONDS = 30.0


@dataclass
class Times:
    """Milliseconds of answers."""

    health: list[float] = field(default_factory=list)
    polls: list[float] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)

    @property
    def health_median(self) -> float:
        return statistics.median(self.health or [0.0])

    @property
    def polls_p99(self) -> float:
        ordered = sorted(self.polls or [0.0])
        return ordered[max(0, int(len(ordered) * 0.99) - 1)]


class Client:
    """Asks health, and polls a task, as a page does."""

    def __init__(self, service: ServiceProcess, task_id: str) -> None:
        self._url = service.url
        self._task_id = task_id
        self._session = requests.Session()

    def ask(self, times: Times) -> None:
        """Both, once."""
        path = "/ssh/install-custom-nodes/progress"
        times.health.append(self._timed(times, lambda: self._get("/health")))
        times.polls.append(self._timed(times, lambda: self._post(path, {"task_id": self._task_id})))

    def _timed(self, times: Times, call: Callable[[], requests.Response]) -> float:
        began = time.perf_counter()
        try:
            answer = call()
            if answer.status_code != 200:
                times.wrong.append(f"{answer.url} was answered {answer.status_code}: {answer.text[:200]}")
        except requests.RequestException as exc:
            times.wrong.append(f"no answer: {exc}")
        return (time.perf_counter() - began) * 1000

    def _get(self, path: str) -> requests.Response:
        return self._session.get(self._url + path, timeout=_ANSWER_SECONDS)

    def _post(self, path: str, body: dict[str, str]) -> requests.Response:
        return self._session.post(self._url + path, json=body, timeout=_ANSWER_SECONDS)


class Gauge:
    """Measures in a thread of its own, while its block lasts: into `calm`, `loaded` or neither, as `into` says."""

    def __init__(self, client: Client, pid: int) -> None:
        self.calm, self.loaded, self.between = Times(), Times(), Times()
        self.into = self.between
        self.most_kib = 0
        self._client = client
        self._pid = pid
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._measure, name="gauge", daemon=True)

    @property
    def wrong(self) -> list[str]:
        """Answers that were none."""
        return [*self.calm.wrong, *self.loaded.wrong, *self.between.wrong]

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._over.set()
        self._thread.join(2 * _ANSWER_SECONDS)

    def _measure(self) -> None:
        while not self._over.wait(_PAUSE_SECONDS):
            self._client.ask(self.into)
            self.most_kib = max(self.most_kib, memory_kib(self._pid))


def memory_kib(pid: int) -> int:
    """A process's resident memory; 0 when it is gone."""
    try:
        text = Path(f"/proc/{pid}/status").read_text("ascii", "replace")
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in text.splitlines() if line.startswith("VmRSS:")), 0)
