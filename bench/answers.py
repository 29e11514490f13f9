"""How fast the service answers: starts (also for instances that never do, and beside a long history), its first answer
after a start, polls while no connection is possible.

`make bench-answers`. Each is measured against something else of the same run; bounded: some 800 requests on loopback.
"""

from __future__ import annotations

import argparse
import os
import socket
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from app.standin.git_rules import RepoRule
from app.standin.git_server import GitServer
from app.standin.instance import StandIn
from app.standin.packs import make_pack
from bench.ratios import Machine, Ratio, missed, table, write
from test.support.past_records import past_record, put_past
from test.support.ports import closed_port
from test.support.service import ServiceProcess
from test.support.waiting import wait_until

STARTS, POLLS, RECORDS, ROUNDS = 100, 200, 1000, 7
MOST_OF_A_REFUSED_START, MOST_OF_AN_EMPTY_START = 1.5, 1.1


def main() -> int:
    """Measures, prints, writes. 1 where a goal is missed."""
    parser = argparse.ArgumentParser(prog="python -m bench.answers", description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("build/bench-answers"))
    given = parser.parse_args()
    machine = Machine.now()
    with tempfile.TemporaryDirectory(prefix="nf-answers-", dir="/tmp") as folder:
        found = [*measure(Path(folder)), *without_connection(Path(folder) / "real")]
    print(table(found))
    write(found, machine.ended(), given.out)
    return int(bool(missed(found)))


def measure(folder: Path, *, starts: int = STARTS, rounds: int = ROUNDS) -> list[Ratio]:
    """Starts, and the first answer of a fresh process."""
    found = []
    with ExitStack() as stack:
        empty = ServiceProcess(folder / "empty", connect_timeout_seconds="3")
        full = ServiceProcess(folder / "full", connect_timeout_seconds="3")
        with full:
            pass  # makes its database
        put_past(full.data_dir, *map(past_record, range(RECORDS)))
        found.append(_first_answers(empty, full, rounds))
        for service in (empty, full):
            stack.enter_context(service)
        refused = closed_port()
        ports = {"whose instance refuses": refused}
        for name, listener in (("whose backlog is full", _backlog_full), ("that never speaks", _never_speaks)):
            ports[name] = stack.enter_context(listener())
        base = _starts(empty, refused, starts, "base")
        for name, port in list(ports.items())[1:]:
            told = _starts(empty, port, starts, name)
            found.append(_against(f"start, instance {name}", told, base, MOST_OF_A_REFUSED_START))
        told = _starts(full, refused, starts, "full")
        found.append(_against(f"start beside {RECORDS} records", told, base, MOST_OF_A_REFUSED_START))
    return found


def _first_answers(empty: ServiceProcess, full: ServiceProcess, rounds: int) -> Ratio:
    """From the process's begin to its first answer, in turn."""
    times: dict[ServiceProcess, list[float]] = {empty: [], full: []}
    for number in range(rounds):
        for service in (empty, full) if number % 2 else (full, empty):
            began = time.perf_counter()
            with service:
                service.get("/tasks", limit=1)
                times[service].append((time.perf_counter() - began) * 1000)
    ratio = statistics.median([one / other for one, other in zip(times[full], times[empty], strict=True)])
    mine, its = (statistics.median(times[service]) for service in (full, empty))
    told = f"{mine:.0f} to {its:.0f} ms, medians of {rounds}"
    return Ratio("answers", f"first answer, {RECORDS} records", ratio, most=MOST_OF_AN_EMPTY_START, told=told)


def _starts(service: ServiceProcess, port: int, count: int, name: str) -> list[float]:
    tasks: list[str] = []

    def start(number: int) -> None:
        request = {
            "ui_home": f"/{name.replace(' ', '-')}{number}",
            "manifest": {"urls": ["https://example.org/o/p"]},
            "options": {"wait_seconds": 0},
        }
        tasks.append(service.install(f"root@127.0.0.1 -p {port}", **request))

    times = _times(count, start)
    for task_id in tasks:
        if service.progress(task_id)["in_progress"]:
            service.post(f"/tasks/{task_id}/cancel", {})
    return times


def without_connection(folder: Path) -> list[Ratio]:
    """Polls of an install whose instance is away, against GET /health."""
    with ExitStack() as stack:
        service = stack.enter_context(ServiceProcess(folder))
        git = stack.enter_context(GitServer(folder / "git"))
        standin = stack.enter_context(StandIn(folder / "standin", environ=os.environ, with_pip=False))
        packs = [make_pack(git, "o", f"p{number}", payload_bytes=100_000) for number in range(34)]
        for pack in packs:
            git.set_rule(pack.repo, RepoRule(bytes_per_second=20_000))
        health = _times(POLLS, lambda _: service.get("/health"))
        task_id = service.install(standin, manifest={"urls": [pack.url for pack in packs]})
        wait_until(lambda: _cloning(service, task_id), 60, "the first node event")
        standin.stop_sshd()
        standin.kill_connections()
        polls = _times(POLLS, lambda _: service.progress(task_id))
        standin.start_sshd()
        service.post(f"/tasks/{task_id}/cancel", {})
        service.ended(task_id, 60)
        return [_against("poll, sshd stopped, 34 packs, of GET /health", polls, health, None)]


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


def _against(what: str, times: Sequence[float], base: Sequence[float], most: float | None) -> Ratio:
    mine, its = statistics.median(times), statistics.median(base)
    p99 = sorted(times)[max(0, int(len(times) * 0.99) - 1)]
    return Ratio("answers", what, mine / its, most=most, told=f"{mine:.1f} to {its:.1f} ms, p99 {p99:.1f}")


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
    sys.exit(main())
