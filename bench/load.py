"""A load of requests on loopback, in a process of its own: a closed loop for throughput, open arrival for latency.

A closed loop sends the next request once it was answered: it says how many answers there can be in a second, and hides
how long somebody would have waited in a pause. So latency is that of requests that were due at moments of their own,
counted from when they were due, whether they could be sent then or not.
"""

from __future__ import annotations

import gc
import json
import random
import re
import select
import socket
import subprocess
import sys
import time
from collections import deque
from dataclasses import asdict, dataclass, field
from typing import Any

from test.support.service import ROOT

POLL = "/ssh/install-custom-nodes/progress"
CONSTANT, AT_ONCE = "/bench/constant", "/bench/at-once"
MOST_CONNECTIONS = 512
LAST_SECONDS = 5.0
"""For so long answers are waited for that were due before the end."""
_LENGTH = re.compile(rb"content-length: *(\d+)", re.IGNORECASE)
_REVISION = re.compile(rb'"revision":(\d+)')
_LINE = re.compile(rb'"line":"(\w+)"')


@dataclass(frozen=True)
class Plan:
    """`kind`: plain, since, patch, as who polls again and again; constant or at_once for a body of `bytes` bytes.
    `rate`: requests a second, due by chance; 0 for a closed loop over `connections`."""

    host: str
    tasks: list[str]
    kind: str = "plain"
    token: str = ""
    bytes: int = 0
    connections: int = 16
    seconds: float = 3.0
    rate: float = 0.0
    seed: int = 1
    packed: bool = False


@dataclass(frozen=True)
class Told:
    """`ms`: how long each took, in order; `bytes`: of a body, on average; `lost`: never answered."""

    answers: int
    seconds: float
    bytes: float
    ms: list[float] = field(repr=False)
    lost: int = 0
    connections: int = 0

    @property
    def a_second(self) -> float:
        """Answers a second."""
        return self.answers / self.seconds

    def percentile(self, part: float) -> float:
        """Milliseconds within which this part was answered."""
        return self.ms[min(len(self.ms) - 1, int(part * len(self.ms)))] if self.ms else float("inf")


def run(plan: Plan) -> Told:
    """In a process of its own."""
    asked = [sys.executable, "-m", "bench.load"]
    done = subprocess.run(asked, cwd=ROOT, input=json.dumps(asdict(plan)), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    return Told(**json.loads(done.stdout))


class Caller:
    """One connection, and what its client remembers of each task."""

    def __init__(self, plan: Plan, number: int) -> None:
        self._plan = plan
        self._tasks = plan.tasks[number % len(plan.tasks) :: plan.connections] or plan.tasks
        self._turn = 0
        self._known: dict[str, tuple[int, str]] = {}
        self._left = -1
        self._head = b""
        self._body = bytearray()
        self.due = 0.0
        host, port = plan.host.split(":")
        self.socket = socket.create_connection((host, int(port)), timeout=10)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def send(self, due: float) -> None:
        """The next request, which is counted from `due`."""
        self.due = due
        self._turn += 1
        self.socket.sendall(self._request(self._tasks[self._turn % len(self._tasks)]))

    def _request(self, task_id: str) -> bytes:
        plan = self._plan
        body: dict[str, Any] = {"task_id": task_id}
        revision, line = self._known.get(task_id, (None, ""))
        if plan.kind in {"since", "patch"} and revision is not None:
            body["since"] = revision
        if plan.kind == "patch":
            body |= {"patch": True} | ({"line": line} if line else {})
        constant = {"constant": CONSTANT, "at_once": AT_ONCE}.get(plan.kind)
        path = f"{constant}/{plan.bytes}" if constant else POLL
        raw = json.dumps(body).encode()
        lines = [f"POST {path} HTTP/1.1", f"Host: {plan.host}", f"Content-Length: {len(raw)}"]
        lines += ["Content-Type: application/json", *(["Accept-Encoding: gzip"] if plan.packed else [])]
        lines += [f"Authorization: Bearer {plan.token}"] if plan.token else []
        return "\r\n".join([*lines, "", ""]).encode() + raw

    def read(self) -> int | None:
        """How many bytes the answer's body has, once it is here."""
        data = self.socket.recv(1 << 18)
        assert data, "the server has closed a connection"
        self._body += data
        if self._left < 0:
            head, end, _ = self._body.partition(b"\r\n\r\n")
            if not end:
                return None
            assert head.startswith(b"HTTP/1.1 200"), bytes(self._body[:500])
            found = _LENGTH.search(head)
            assert found is not None
            del self._body[: len(head) + 4]
            self._left = int(found[1])
        if len(self._body) < self._left:
            return None
        size = self._left
        self._remember()
        self._left, self._body = -1, bytearray()
        return size

    def _remember(self) -> None:
        if self._plan.kind not in {"since", "patch"} or self._plan.packed:
            return
        found = _REVISION.search(self._body)
        line = _LINE.search(self._body, max(0, len(self._body) - 60)) or _LINE.search(self._body)
        assert found is not None
        task_id = self._tasks[self._turn % len(self._tasks)]
        self._known[task_id] = int(found[1]), line[1].decode() if line else ""


class Load:
    """All callers of a plan, in one thread."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._poll = select.epoll()
        self._callers: dict[int, Caller] = {}
        self._bytes = 0
        self._ms: list[float] = []

    def _caller(self) -> Caller:
        made = Caller(self._plan, len(self._callers))
        self._callers[made.socket.fileno()] = made
        self._poll.register(made.socket.fileno(), select.EPOLLIN)
        return made

    def _answered(self, seconds: float) -> list[Caller]:
        """Whose answers have come within so many seconds, noted."""
        found = []
        for number, _ in self._poll.poll(max(0.0, seconds)):
            caller = self._callers[number]
            size = caller.read()
            if size is not None:
                self._ms.append((time.perf_counter() - caller.due) * 1000)
                self._bytes += size
                found.append(caller)
        return found

    def closed(self) -> Told:
        """Each connection asks as soon as it was answered."""
        for _ in range(self._plan.connections):
            self._caller().send(time.perf_counter())
        began = time.perf_counter()
        while (now := time.perf_counter()) - began < self._plan.seconds:
            for caller in self._answered(0.5):
                caller.send(time.perf_counter())
        return self._told(now - began, 0)

    def open(self) -> Told:
        """Requests are due when they are due; each finds a connection that is free, or one more."""
        chance = random.Random(self._plan.seed)
        idle = deque(self._caller() for _ in range(self._plan.connections))
        waiting: deque[float] = deque()
        began = due = time.perf_counter()
        sent, end = 0, began + self._plan.seconds
        while True:
            now = time.perf_counter()
            while due <= min(now, end):
                waiting.append(due)
                due += chance.expovariate(self._plan.rate)
            while waiting and (idle or len(self._callers) < MOST_CONNECTIONS):
                (idle.popleft() if idle else self._caller()).send(waiting.popleft())
                sent += 1
            is_over = now > end and not waiting and sent == len(self._ms)
            if is_over or now > end + LAST_SECONDS:
                return self._told(self._plan.seconds, sent + len(waiting) - len(self._ms))
            idle.extend(self._answered(min(due, end) - now if now < end else 0.05))

    def _told(self, seconds: float, lost: int) -> Told:
        for caller in self._callers.values():
            caller.socket.close()
        count = len(self._ms)
        return Told(count, seconds, self._bytes / max(1, count), sorted(self._ms), lost, len(self._callers))


def main() -> None:
    """A plan on stdin, what was found on stdout."""
    plan = Plan(**json.load(sys.stdin))
    gc.disable()
    load = Load(plan)
    print(json.dumps(asdict(load.open() if plan.rate else load.closed())))


if __name__ == "__main__":
    main()
