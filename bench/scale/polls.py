"""Polls at a steady rate, and how long after an event one has seen it."""

from __future__ import annotations

import http.client
import json
import random
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

PROGRESS = "/ssh/install-custom-nodes/progress"
ANSWER_SECONDS = 30.0
Shown = dict[str, Any]


class Client:
    """One connection that is kept, as a page's. For one thread."""

    def __init__(self, url: str, seconds: float = ANSWER_SECONDS) -> None:
        """`seconds`: how long an answer may take."""
        parts = urlsplit(url)
        self._connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=seconds)

    def post(self, path: str, body: Mapping[str, Any]) -> tuple[int, Shown]:
        """The status and the answer. Raises OSError, http.client.HTTPException."""
        return self._asked("POST", path, json.dumps(body), {"Content-Type": "application/json"})

    def get(self, path: str) -> tuple[int, Shown]:
        """As `post`."""
        return self._asked("GET", path, None, {})

    def _asked(self, method: str, path: str, body: str | None, headers: Mapping[str, str]) -> tuple[int, Shown]:
        try:
            self._connection.request(method, path, body, headers)
            answer = self._connection.getresponse()
            return answer.status, json.loads(answer.read())
        except (OSError, http.client.HTTPException):
            self._connection.close()  # the next request opens it again
            raise

    def progress(self, task_id: str) -> Shown:
        """One poll. Raises OSError, also where the answer is an error."""
        status, shown = self.post(PROGRESS, {"task_id": task_id})
        if status != 200:
            raise OSError(f"a poll was answered {status}: {shown}")
        return shown

    def close(self) -> None:
        """Ends the connection."""
        self._connection.close()


@dataclass
class Watch:
    """What the polls of one install said, from one moment on: when each new revision was first seen."""

    number: int
    began: float
    seen: list[tuple[float, int]] = field(default_factory=list)

    def lags(self, written: Sequence[float], final_revision: int) -> list[float]:
        """Seconds from each event to the first poll that saw it. Revisions count the events of the service before the
        journal's, and after those none: how many stood before follows from the last one."""
        before = final_revision - len(written)
        found: list[float] = []
        for (_, last), (moment, revision) in zip(self.seen, self.seen[1:], strict=False):
            new = written[max(last - before, 0) : max(revision - before, 0)]
            found += [moment - at for at in new if at > self.began]
        return found


class Polls:
    """Polls of some installs, by some threads at a bounded rate, while its block lasts: half of the threads watch one
    install each for a while, the others go round all."""

    def __init__(self, urls: Sequence[str], tasks: Mapping[int, str], watched: Sequence[int], seed: int) -> None:
        """`tasks`: by the number of the instance; `watched`: of which some are watched in turn."""
        self.seconds: list[float] = []
        """Of each poll, from the moment at which it was due."""
        self.watches: list[Watch] = []
        self.wrong: list[str] = []
        self._urls = urls
        self._tasks = tasks
        self._watched = list(watched)
        self._dice = random.Random(f"polls {seed}")
        self._lock = threading.Lock()
        self._over = threading.Event()
        names = ["watch", "round"] * (THREADS // 2)
        self._threads = [
            threading.Thread(target=getattr(self, f"_{name}"), args=(place,), name=f"{name}-{place}", daemon=True)
            for place, name in enumerate(names)
        ]

    def start(self) -> None:
        """From now on."""
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """No more; those that are under way are waited for."""
        self._over.set()
        for thread in self._threads:
            thread.join(2 * ANSWER_SECONDS)

    def _watch(self, place: int) -> None:
        watch, until = None, 0.0
        for client, due in self._ticks(place):
            if watch is None or due >= until:
                until = due + WATCH_SECONDS
                with self._lock:
                    watch = Watch(self._dice.choice(self._watched), time.monotonic())
                    self.watches.append(watch)
            shown = self._poll(client, due, self._tasks[watch.number])
            if shown is not None and (not watch.seen or watch.seen[-1][1] != shown["revision"]):
                watch.seen.append((time.monotonic(), shown["revision"]))

    def _round(self, place: int) -> None:
        numbers = sorted(self._tasks)
        with self._lock:
            self._dice.shuffle(numbers)
        for at, (client, due) in enumerate(self._ticks(place)):
            self._poll(client, due, self._tasks[numbers[at % len(numbers)]])

    def _ticks(self, place: int) -> Any:
        """A client and the moment of each poll. Who is late does not leave polls out: their time counts from when they
        were due."""
        client = Client(self._urls[place % len(self._urls)])
        due = time.monotonic() + place * PAUSE_SECONDS / THREADS
        while not self._over.wait(max(0.0, due - time.monotonic())):
            yield client, due
            due += PAUSE_SECONDS
        client.close()

    def _poll(self, client: Client, due: float, task_id: str) -> Shown | None:
        try:
            shown = client.progress(task_id)
        except (OSError, http.client.HTTPException, ValueError) as exc:
            self.wrong.append(f"a poll: {exc!r}"[:300])
            return None
        self.seconds.append(time.monotonic() - due)
        return shown


THREADS = 8
PAUSE_SECONDS = 0.1
"""Between two polls of one thread: 80 a second in all, with one install as with a thousand."""
WATCH_SECONDS = 10.0


def percentile(values: Sequence[float], part: float) -> float:
    """0.0 where there are none."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * part))] if ordered else 0.0
