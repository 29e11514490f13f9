"""How fast the service answers: starts (also for instances that never do), polls with the sshd stopped, first events.

`make bench-answers`. Prints milliseconds and ratios to GET /health of the same run; bounded: some 400 requests
on loopback.
"""

from __future__ import annotations

import os
import socket
import statistics
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from app.standin.git_rules import RepoRule
from app.standin.git_server import GitServer
from app.standin.instance import StandIn
from app.standin.packs import make_pack
from test.support.service import ServiceProcess
from test.support.waiting import wait_until

STARTS = 100
POLLS = 200


def main() -> None:
    """Runs everything once and prints the table."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        service = stack.enter_context(ServiceProcess(folder, connect_timeout_seconds="3"))
        health = _times(POLLS, lambda _: service.get("/health"))
        _row("GET /health", health, health)
        for name, listener in (("backlog full", _backlog_full), ("never speaks", _never_speaks)):
            port = stack.enter_context(listener())
            _row(f"start, instance: {name}", _starts(service, port), health)
        _first_events_and_polls(stack, folder, service, health)


def _starts(service: ServiceProcess, port: int) -> list[float]:
    tasks: list[str] = []

    def start(number: int) -> None:
        request = {
            "ui_home": f"/c{number}",
            "manifest": {"urls": ["https://example.org/o/p"]},
            "options": {"wait_seconds": 0},
        }
        tasks.append(service.install(f"root@127.0.0.1 -p {port}", **request))

    times = _times(STARTS, start)
    last = service.ended(tasks[0], 60)
    print(f"    task of the first: {last['state']}, {last['error']['code']} after {last['elapsed_seconds']} s")
    for task_id in tasks[1:]:
        if service.progress(task_id)["in_progress"]:
            service.post(f"/tasks/{task_id}/cancel", {})
    return times


def _first_events_and_polls(stack: ExitStack, folder: Path, service: ServiceProcess, health: list[float]) -> None:
    git = stack.enter_context(GitServer(folder / "git"))
    standin = stack.enter_context(StandIn(folder / "standin", environ=os.environ, with_pip=False))
    packs = [make_pack(git, "o", f"p{number}", payload_bytes=100_000) for number in range(34)]
    for pack in packs:
        git.set_rule(pack.repo, RepoRule(bytes_per_second=20_000))
    began = time.monotonic()
    task_id = service.install(standin, manifest={"urls": [pack.url for pack in packs]})
    first = service.progress(task_id)
    print(f"first poll after the start: phase {first['phase']}, state {first['state']}")
    wait_until(lambda: _cloning(service, task_id), 30, "the first node event")
    print(f"first node event visible after {time.monotonic() - began:.2f} s")
    standin.stop_sshd()
    standin.kill_connections()
    _row("poll, sshd stopped, 34 packs", _times(POLLS, lambda _: service.progress(task_id)), health)
    standin.start_sshd()
    last = service.ended(task_id, 180)
    print(f"after the sshd was started again: {last['state']}, outcome {last['outcome']}")


def _cloning(service: ServiceProcess, task_id: str) -> bool:
    return any(row["state"] != "pending" for row in service.progress(task_id)["nodes"])


def _times(count: int, call: Callable[[int], object]) -> list[float]:
    """Milliseconds of each call, as a client sees them."""
    times = []
    for number in range(count):
        began = time.perf_counter()
        call(number)
        times.append((time.perf_counter() - began) * 1000)
    return times


def _row(name: str, times: list[float], base: list[float]) -> None:
    ordered = sorted(times)
    median, p99 = statistics.median(ordered), ordered[int(len(ordered) * 0.99) - 1]
    ratio = median / statistics.median(base)
    print(f"{name:32} median {median:6.1f} ms   p99 {p99:6.1f} ms   x{ratio:.2f} of GET /health")


@contextmanager
def _backlog_full() -> Iterator[int]:
    """A listener whose queue of connections is full: a connect hangs."""
    with ExitStack() as stack:
        listener = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0))
        for _ in range(4):
            filler = stack.enter_context(socket.socket())
            filler.setblocking(False)
            filler.connect_ex(listener.getsockname())
        yield listener.getsockname()[1]


@contextmanager
def _never_speaks() -> Iterator[int]:
    """A listener that accepts and says nothing."""
    with socket.create_server(("127.0.0.1", 0), backlog=256) as listener:
        accepted: list[socket.socket] = []
        stopping = threading.Event()
        listener.settimeout(0.2)

        def accept() -> None:
            while not stopping.is_set():
                try:
                    accepted.append(listener.accept()[0])
                except TimeoutError:
                    continue

        thread = threading.Thread(target=accept, daemon=True)
        thread.start()
        try:
            yield listener.getsockname()[1]
        finally:
            stopping.set()
            thread.join(2)
            for connection in accepted:
                connection.close()


if __name__ == "__main__":
    main()
