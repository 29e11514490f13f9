"""`make prove-flood`: polls beside 500 slow connections, 200 long polls and 100 tests of a silent instance.

The service, the flood and what measures are three processes. Fails when the polls' p99 is more than five times that of
the unloaded service in the same run. ARGS="--seed S --rounds N".
"""

from __future__ import annotations

import argparse
import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from contextlib import ExitStack
from pathlib import Path

import requests

from bench.flood.clients import LONG_POLLS, READY, SLOW, TESTS
from test.support.service import ROOT, ServiceProcess

FACTOR = 5.0
GAP_SECONDS = 0.02
"""Between two polls: a page polls now and then, it does not press."""
SETTLE_SECONDS = 5.0


def main() -> None:
    """Measures in turn, and prints the table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=60.0, help="of each part, at most")
    parser.add_argument("--polls", type=int, default=400, help="of each part, at most")
    parser.add_argument("--rounds", type=int, default=3, help="of two parts: without the flood, and with it")
    asked = parser.parse_args()
    alone: list[float] = []
    loaded: list[float] = []
    counts: Counter[str] = Counter()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(dir="/tmp")))
        silent = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=4096))
        instance = f"root@127.0.0.1 -p {silent.getsockname()[1]}"
        service = stack.enter_context(ServiceProcess(folder))
        urls = [f"https://example.org/o/p{number}" for number in range(34)]
        task_id = service.install(instance, manifest={"urls": urls}, options={"wait_seconds": 600})
        _polls(service, task_id, 100, asked.seconds)
        for number in range(asked.rounds):
            alone += _polls(service, task_id, asked.polls, asked.seconds)
            command = [sys.executable, "-m", "bench.flood.clients", service.url, task_id, instance]
            command += [str(asked.seed + number), str(asked.seconds + 60)]
            with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as flood:
                assert flood.stdin is not None and flood.stdout is not None
                assert flood.stdout.readline().strip() == READY
                threading.Event().wait(SETTLE_SECONDS)
                loaded += _polls(service, task_id, asked.polls, asked.seconds)
                flood.stdin.close()
                counts += Counter(json.loads(flood.stdout.read()))
        service.post(f"/tasks/{task_id}/cancel", {})
    sys.exit(_report(asked.seed, alone, loaded, counts))


def _report(seed: int, alone: list[float], loaded: list[float], counts: Counter[str]) -> bool:
    """Prints it; whether the flooded service was too slow."""
    print(f"seed {seed}: {SLOW} slow connections, {LONG_POLLS} long polls, {TESTS} tests of a silent instance")
    base = _row("polls, unloaded", alone)
    ratio = _row("polls, flooded", loaded) / base
    for name, count in sorted(counts.items()):
        print(f"    {name:32} {count}")
    load = " ".join(f"{each:.0f}" for each in os.getloadavg())
    print(f"p99 x{ratio:.2f} of the unloaded service (at most x{FACTOR:g}); load of the machine {load}")
    return ratio > FACTOR


def _polls(service: ServiceProcess, task_id: str, count: int, seconds: float) -> list[float]:
    """Milliseconds of each poll as a client sees it, every second one on a connection of its own."""
    times = []
    body = {"task_id": task_id}
    pause = threading.Event()
    deadline = time.monotonic() + seconds
    with requests.Session() as session:
        for number in range(count):
            began = time.perf_counter()
            post = requests.post if number % 2 else session.post
            answer = post(f"{service.url}/ssh/install-custom-nodes/progress", json=body, timeout=30)
            times.append((time.perf_counter() - began) * 1000)
            assert answer.status_code == 200, answer.text
            if time.monotonic() > deadline:
                break
            pause.wait(GAP_SECONDS)
    return times


def _row(name: str, times: list[float]) -> float:
    """Prints it; its p99."""
    ordered = sorted(times)
    p99 = ordered[max(0, int(len(ordered) * 0.99) - 1)]
    print(f"{name:18} {len(times):5} polls   median {statistics.median(ordered):6.1f} ms   p99 {p99:6.1f} ms")
    return p99


if __name__ == "__main__":
    main()
